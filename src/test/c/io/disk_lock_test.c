/* SPDX-License-Identifier: AGPL-3.0-only */
/* Two processes, one disk. */
#include "io/disk_lock.h"

#include "support/cmocka_test.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

struct fixture {
    char path[64];
    int fd;
    pid_t child;
    int pipe_fd; /* closed: the child ends */
};

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    snprintf(f->path, sizeof(f->path), "/tmp/ubiblk-disk-lock-XXXXXX");
    f->fd = mkostemp(f->path, O_CLOEXEC);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    unlink(f->path);
    close(f->fd);
    free(f);
    return 0;
}

/* A child that locks the file in its own way, holds it until the pipe closes, and then for
 * linger_ms more. */
static void start_holder(struct fixture *f, int command, int linger_ms)
{
    int go[2];
    int ready[2];
    char byte = 0;
    assert_int_equal(0, pipe(go));
    assert_int_equal(0, pipe(ready));
    f->child = fork();
    if (f->child == 0) {
        struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
        close(f->fd);
        close(go[1]);
        int fd = open(f->path, O_RDWR);
        prctl(PR_SET_NAME, "lock holder");
        int ok = command < 0 || fcntl(fd, command, &lock) == 0;
        ok = ok && write(ready[1], &byte, 1) == 1 && read(go[0], &byte, 1) == 0;
        poll(NULL, 0, linger_ms);
        _exit(ok ? 0 : 1);
    }
    close(go[0]);
    close(ready[1]);
    assert_int_equal(1, read(ready[0], &byte, 1));
    close(ready[0]);
    f->pipe_fd = go[1];
}

static void end_holder(struct fixture *f)
{
    int status;
    close(f->pipe_fd);
    assert_int_equal(f->child, waitpid(f->child, &status, 0));
    assert_int_equal(0, status);
}

static void assert_names_holder(const struct fixture *f, const struct error *error)
{
    char expected[64];
    snprintf(expected, sizeof(expected), "process %d (lock holder)", f->child);
    if (strstr(error->message, expected) == NULL || strstr(error->message, f->path) == NULL) {
        fail_msg("\"%s\" does not name %s", error->message, expected);
    }
}

static void locks_a_free_file(void **state)
{
    struct fixture *f = *state;
    struct error error;
    assert_int_equal(0, disk_lock_take(f->fd, f->path, 0, NULL, &error));
    assert_int_equal(0, disk_lock_take(f->fd, f->path, 0, NULL, &error)); /* ours already */
}

static void names_the_process_with_a_lock_of_our_kind(void **state)
{
    struct fixture *f = *state;
    struct error error;
    start_holder(f, F_OFD_SETLK, 0);
    assert_int_equal(-EBUSY, disk_lock_take(f->fd, f->path, 30, NULL, &error));
    assert_names_holder(f, &error);
    end_holder(f);
    assert_int_equal(0, disk_lock_take(f->fd, f->path, 0, NULL, &error));
}

static void names_the_process_with_a_lock_of_posix(void **state)
{
    struct fixture *f = *state;
    struct error error;
    start_holder(f, F_SETLK, 0);
    assert_int_equal(-EBUSY, disk_lock_take(f->fd, f->path, 0, NULL, &error));
    assert_names_holder(f, &error);
    end_holder(f);
}

static void tells_the_holder_from_one_that_only_has_it_open(void **state)
{
    struct fixture *f = *state;
    struct fixture opener = *f;
    struct error error;
    start_holder(&opener, -1, 0);
    start_holder(f, F_OFD_SETLK, 0);
    struct fixture late_opener = *f;
    start_holder(&late_opener, -1, 0);
    assert_int_equal(-EBUSY, disk_lock_take(f->fd, f->path, 0, NULL, &error));
    assert_names_holder(f, &error);
    close(opener.pipe_fd); /* the children share the ends of pipes: all are closed before a wait */
    close(f->pipe_fd);
    close(late_opener.pipe_fd);
    for (int i = 0; i < 3; i++) {
        int status;
        assert_true(wait(&status) > 0);
        assert_int_equal(0, status);
    }
}

static void waits_until_the_holder_lets_go(void **state)
{
    struct fixture *f = *state;
    struct error error;
    struct log *log = log_create(LOG_INFO, 4);
    struct log_record record;
    start_holder(f, F_OFD_SETLK, 100);
    close(f->pipe_fd);
    assert_int_equal(0, disk_lock_take(f->fd, f->path, 10000, log, &error));
    assert_int_equal(1, log_wait(log, &record, 0));
    assert_non_null(strstr(record.message, f->path));
    assert_int_equal(f->child, waitpid(f->child, NULL, 0));
    log_destroy(log);
}

static void a_lock_goes_with_a_killed_process(void **state)
{
    struct fixture *f = *state;
    struct error error;
    start_holder(f, F_OFD_SETLK, 0);
    kill(f->child, SIGKILL);
    assert_int_equal(0, disk_lock_take(f->fd, f->path, 10000, NULL, &error));
    close(f->pipe_fd);
    assert_int_equal(f->child, waitpid(f->child, NULL, 0));
}

static void says_when_the_holder_is_this_process(void **state)
{
    struct fixture *f = *state;
    struct error error;
    int fd = open(f->path, O_RDWR | O_CLOEXEC);
    assert_int_equal(0, disk_lock_take(fd, f->path, 0, NULL, &error));
    assert_int_equal(-EBUSY, disk_lock_take(f->fd, f->path, 0, NULL, &error));
    assert_non_null(strstr(error.message, "this process"));
    close(fd);
}

static void reports_a_file_that_cannot_be_locked(void **state)
{
    struct fixture *f = *state;
    struct error error;
    int fd = open(f->path, O_RDONLY | O_CLOEXEC);
    assert_int_equal(-EBADF, disk_lock_take(fd, f->path, 0, NULL, &error));
    assert_non_null(strstr(error.message, f->path));
    close(fd);
}

static void describes_a_holder_nobody_can_see(void **state)
{
    struct fixture *f = *state;
    char holder[DISK_HOLDER_BYTES];
    disk_lock_describe_holder(f->path, f->fd, holder, sizeof(holder)); /* only we have it open */
    assert_string_equal("a process that cannot be seen from here", holder);
    disk_lock_describe_holder("/nowhere", -1, holder, sizeof(holder));
    assert_string_equal("a process that cannot be seen from here", holder);
    disk_lock_describe_holder(f->path, -1, holder, sizeof(holder));
    assert_non_null(strstr(holder, "this process"));
}

int main(void)
{
#define WITH_FILE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        WITH_FILE(locks_a_free_file),
        WITH_FILE(names_the_process_with_a_lock_of_our_kind),
        WITH_FILE(names_the_process_with_a_lock_of_posix),
        WITH_FILE(tells_the_holder_from_one_that_only_has_it_open),
        WITH_FILE(waits_until_the_holder_lets_go),
        WITH_FILE(a_lock_goes_with_a_killed_process),
        WITH_FILE(says_when_the_holder_is_this_process),
        WITH_FILE(reports_a_file_that_cannot_be_locked),
        WITH_FILE(describes_a_holder_nobody_can_see),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
