/* SPDX-License-Identifier: AGPL-3.0-only */
/* The life of a back end: its socket, one front end after the other, an orderly end. */
#include "vhost/vhost_backend.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "support/cmocka_test.h"
#include "support/test_device.h"
#include "support/vhost_frontend.h"

enum { QUEUES = 2, WAIT_MS = 20000 };

static const uint64_t features = 0x170001e46;

struct fixture {
    struct test_device *test;
    struct vhost_backend *backend;
    char path[64];
    struct error error;
};

static int start(struct fixture *f)
{
    const struct vhost_backend_params params = {.socket_path = f->path, .stop_timeout_ms = 10000};
    f->error = (struct error){0};
    return vhost_backend_start(&f->test->device, &params, f->test->log, &f->backend, &f->error);
}

static int setup(void **state)
{
    const struct test_device_params params = {.queue_count = QUEUES, .sync_engine = true};
    struct fixture *f = calloc(1, sizeof(*f));
    assert_non_null(f);
    f->test = test_device_create(&params);
    snprintf(f->path, sizeof(f->path), "/tmp/vhost-backend-test-%d", (int)getpid());
    assert_int_equal(0, start(f));
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    if (f->backend) {
        assert_int_equal(0, vhost_backend_stop(f->backend));
    }
    unlink(f->path);
    test_device_destroy(f->test);
    free(f);
    return 0;
}

static int stop(struct fixture *f)
{
    int result = vhost_backend_stop(f->backend);
    f->backend = NULL;
    return result;
}

static void greet(struct fixture *f, struct vhost_frontend *frontend)
{
    assert_int_equal(0, vhost_frontend_connect(frontend, f->path, WAIT_MS));
    assert_int_equal(0, vhost_frontend_negotiate(frontend, features, 0x8209));
    assert_true(vhost_backend_connected(f->backend));
}

static void serves_one_front_end_after_the_other(void **state)
{
    struct fixture *f = *state;
    struct vhost_frontend frontend;
    assert_false(vhost_backend_connected(f->backend));
    for (int i = 0; i < 20; i++) {
        greet(f, &frontend);
        vhost_frontend_disconnect(&frontend);
    }
    assert_true(test_device_logged(f->test, "front end connected"));
    assert_true(test_device_logged(f->test, "front end disconnected"));
}

static void turns_a_second_front_end_away(void **state)
{
    struct fixture *f = *state;
    struct vhost_frontend first;
    struct vhost_frontend second;
    greet(f, &first);
    assert_int_equal(0, vhost_frontend_connect(&second, f->path, WAIT_MS));
    assert_int_equal(0, vhost_frontend_await_close(&second, WAIT_MS));
    vhost_frontend_disconnect(&second);
    assert_int_equal(0, vhost_frontend_sync(&first));
    vhost_frontend_disconnect(&first);
    greet(f, &second);
    vhost_frontend_disconnect(&second);
}

static void survives_a_front_end_that_breaks_the_protocol(void **state)
{
    struct fixture *f = *state;
    struct vhost_frontend frontend;
    struct log_record record;
    greet(f, &frontend);
    assert_int_equal(0, vhost_frontend_send(&frontend, 99, 0, NULL, 0, NULL, 0));
    assert_int_equal(0, vhost_frontend_await_close(&frontend, WAIT_MS));
    vhost_frontend_disconnect(&frontend);
    greet(f, &frontend);
    vhost_frontend_disconnect(&frontend);
    assert_int_equal(1, log_wait(f->test->log, &record, 0)); /* connected */
    assert_int_equal(1, log_wait(f->test->log, &record, 0));
    assert_int_equal(LOG_WARN, record.level);
    assert_non_null(strstr(record.message, "front end dropped"));
}

static void keeps_its_socket_in_place_and_removes_it_at_the_end(void **state)
{
    struct fixture *f = *state;
    struct vhost_frontend frontend;
    struct stat before;
    struct stat after;
    assert_int_equal(0, stat(f->path, &before));
    greet(f, &frontend);
    assert_int_equal(0, stat(f->path, &after));
    assert_int_equal(before.st_ino, after.st_ino);
    assert_int_equal(0, stop(f));
    assert_int_equal(-1, stat(f->path, &after));
    assert_int_equal(0, vhost_frontend_await_close(&frontend, WAIT_MS));
    vhost_frontend_disconnect(&frontend);
}

static void does_not_remove_the_socket_of_a_successor(void **state)
{
    struct fixture *f = *state;
    struct vhost_backend *first = f->backend;
    assert_int_equal(0, unlink(f->path));
    assert_int_equal(0, start(f)); /* takes the path over */
    assert_int_equal(0, vhost_backend_stop(first));
    struct vhost_frontend frontend;
    greet(f, &frontend);
    vhost_frontend_disconnect(&frontend);
}

static void says_that_the_last_sync_failed(void **state)
{
    struct fixture *f = *state;
    blk_device_fsync_failed(&f->test->device, EIO);
    assert_int_equal(-EIO, stop(f));
}

static void leaves_nothing_behind_when_it_cannot_start(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(0, stop(f));
    snprintf(f->path, sizeof(f->path), "/nonexistent/socket");
    assert_int_equal(-ENOENT, start(f));
    assert_non_null(strstr(f->error.message, "/nonexistent/socket"));
    assert_null(f->backend);
}

static void pins_queues_to_the_cpus_it_is_given(void **state)
{
    struct fixture *f = *state;
    const int cpus[QUEUES] = {0, 1023};
    const struct vhost_backend_params params = {
        .socket_path = f->path, .cpus = cpus, .stop_timeout_ms = 10000};
    assert_int_equal(0, stop(f));
    assert_int_equal(
        0, vhost_backend_start(&f->test->device, &params, f->test->log, &f->backend, &f->error));
    assert_true(test_device_logged(f->test, "queue 1 cannot be pinned to CPU 1023"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(serves_one_front_end_after_the_other),
        TEST(turns_a_second_front_end_away),
        TEST(survives_a_front_end_that_breaks_the_protocol),
        TEST(keeps_its_socket_in_place_and_removes_it_at_the_end),
        TEST(does_not_remove_the_socket_of_a_successor),
        TEST(says_that_the_last_sync_failed),
        TEST(leaves_nothing_behind_when_it_cannot_start),
        TEST(pins_queues_to_the_cpus_it_is_given),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
