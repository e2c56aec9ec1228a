/* SPDX-License-Identifier: AGPL-3.0-only */
/* A back end, or one of its connections, that does not get what it needs. */
/* wrap: calloc malloc strdup eventfd accept4 lstat thread_start */
#include "vhost/vhost_backend.h"

#include "support/cmocka_test.h"

#include <dirent.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/thread.h"
#include "support/test_device.h"
#include "support/vhost_frontend.h"

/* The call that fails, counted from 1 and down; 0: none. */
static _Atomic uint32_t calloc_countdown;
static _Atomic bool malloc_fails;
static _Atomic uint32_t accept_failures;
static uint32_t eventfd_countdown;
static bool strdup_fails;
static uint32_t lstat_countdown;
static const char *failing_thread;

void *__real_calloc(size_t count, size_t byte_len);
void *__wrap_calloc(size_t count, size_t byte_len);
void *__real_malloc(size_t byte_len);
void *__wrap_malloc(size_t byte_len);
char *__real_strdup(const char *text);
char *__wrap_strdup(const char *text);
int __real_eventfd(unsigned count, int flags);
int __wrap_eventfd(unsigned count, int flags);
int __real_accept4(int fd, struct sockaddr *address, socklen_t *byte_len, int flags);
int __wrap_accept4(int fd, struct sockaddr *address, socklen_t *byte_len, int flags);
int __real_lstat(const char *path, struct stat *status);
int __wrap_lstat(const char *path, struct stat *status);
int __real_thread_start(pthread_t *thread, const char *name, void *(*main)(void *), void *argument);
int __wrap_thread_start(pthread_t *thread, const char *name, void *(*main)(void *), void *argument);

void *__wrap_calloc(size_t count, size_t byte_len)
{
    uint32_t left = atomic_load(&calloc_countdown);
    if (left > 0) {
        atomic_store(&calloc_countdown, left - 1);
        if (left == 1) {
            return NULL;
        }
    }
    return __real_calloc(count, byte_len);
}

void *__wrap_malloc(size_t byte_len)
{
    return atomic_load(&malloc_fails) ? NULL : __real_malloc(byte_len);
}

char *__wrap_strdup(const char *text)
{
    return strdup_fails ? NULL : __real_strdup(text);
}

int __wrap_eventfd(unsigned count, int flags)
{
    if (eventfd_countdown > 0 && --eventfd_countdown == 0) {
        errno = EMFILE;
        return -1;
    }
    return __real_eventfd(count, flags);
}

int __wrap_accept4(int fd, struct sockaddr *address, socklen_t *byte_len, int flags)
{
    uint32_t left = atomic_load(&accept_failures);
    if (left > 0) {
        atomic_store(&accept_failures, left - 1);
        errno = left == 1 ? EMFILE : ECONNABORTED;
        return -1;
    }
    return __real_accept4(fd, address, byte_len, flags);
}

int __wrap_lstat(const char *path, struct stat *status)
{
    if (lstat_countdown > 0 && --lstat_countdown == 0) {
        errno = EACCES;
        return -1;
    }
    return __real_lstat(path, status);
}

int __wrap_thread_start(pthread_t *thread, const char *name, void *(*main)(void *), void *argument)
{
    if (failing_thread && strcmp(name, failing_thread) == 0) {
        return -EAGAIN;
    }
    return __real_thread_start(thread, name, main, argument);
}

static struct test_device *test;
static struct vhost_backend *backend;
static char path[64];
static struct error error;

static uint32_t open_fds(void)
{
    DIR *directory = opendir("/proc/self/fd");
    assert_non_null(directory);
    uint32_t count = 0;
    while (readdir(directory)) {
        count++;
    }
    closedir(directory);
    return count;
}

static int setup(void **state)
{
    const struct test_device_params params = {.queue_count = 2, .sync_engine = true};
    (void)state;
    test = test_device_create(&params);
    snprintf(path, sizeof(path), "/tmp/vhost-backend-fault-%d", (int)getpid());
    backend = NULL;
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    if (backend) {
        vhost_backend_stop(backend);
    }
    test_device_destroy(test);
    return 0;
}

static int start(void)
{
    const struct vhost_backend_params params = {.socket_path = path, .stop_timeout_ms = 10000};
    error = (struct error){0};
    return vhost_backend_start(&test->device, &params, test->log, &backend, &error);
}

/* What was to fail has been set; nothing may be left behind. */
static void assert_start_fails(int code)
{
    const uint32_t before = open_fds();
    int result = start();
    atomic_store(&calloc_countdown, 0);
    eventfd_countdown = lstat_countdown = 0;
    strdup_fails = false;
    failing_thread = NULL;
    assert_int_equal(code, result);
    assert_int_equal(code, error.code);
    assert_null(backend);
    assert_int_equal(before, open_fds());
    assert_int_equal(-1, access(path, F_OK));
}

static void leaves_nothing_behind_whatever_it_does_not_get(void **state)
{
    (void)state;
    atomic_store(&calloc_countdown, 1); /* itself */
    assert_start_fails(-ENOMEM);
    atomic_store(&calloc_countdown, 2); /* a queue */
    assert_start_fails(-ENOMEM);
    strdup_fails = true;
    assert_start_fails(-ENOMEM);
    for (uint32_t nth = 1; nth <= 2; nth++) {
        eventfd_countdown = nth;
        assert_start_fails(-ENOMEM);
    }
    eventfd_countdown = 4; /* the second queue's */
    assert_start_fails(-EMFILE);
    failing_thread = "queue-1";
    assert_start_fails(-EAGAIN);
    failing_thread = "vhost-session";
    assert_start_fails(-EAGAIN);
    for (uint32_t nth = 1; nth <= 2; nth++) { /* before and after it binds */
        lstat_countdown = nth;
        assert_start_fails(-EACCES);
    }
}

static void greet(void)
{
    struct vhost_frontend frontend;
    assert_int_equal(0, vhost_frontend_connect(&frontend, path, 20000));
    assert_int_equal(0, vhost_frontend_negotiate(&frontend, 0x170001e46, 0));
    vhost_frontend_disconnect(&frontend);
}

static void serves_the_next_front_end_after_one_it_had_no_memory_for(void **state)
{
    (void)state;
    struct vhost_frontend frontend;
    assert_int_equal(0, start());
    for (uint32_t nth = 1; nth <= 3; nth++) {
        atomic_store(&malloc_fails, nth == 3); /* session, rings, memory table */
        atomic_store(&calloc_countdown, nth < 3 ? nth : 0);
        assert_int_equal(0, vhost_frontend_connect(&frontend, path, 20000));
        assert_int_equal(0, vhost_frontend_await_close(&frontend, 20000));
        vhost_frontend_disconnect(&frontend);
        atomic_store(&malloc_fails, false);
        assert_true(test_device_logged(test, "no memory for a session"));
    }
    greet();
}

static void accepts_again_after_it_could_not(void **state)
{
    (void)state;
    assert_int_equal(0, start());
    atomic_store(&accept_failures, 2);
    greet();
    assert_true(test_device_logged(test, "cannot accept")); /* one of the two is worth a line */
    assert_true(test_device_logged(test, "front end connected"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(leaves_nothing_behind_whatever_it_does_not_get),
        TEST(serves_the_next_front_end_after_one_it_had_no_memory_for),
        TEST(accepts_again_after_it_could_not),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
