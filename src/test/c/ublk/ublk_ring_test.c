/* SPDX-License-Identifier: AGPL-3.0-only */
/* The ring on a file that stands in for the control device, and takes no commands. */
/* wrap: open io_uring_queue_init io_uring_submit */
#include "ublk/ublk_ring.h"

#include "support/cmocka_test.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

static int open_errno;    /* 0: a file without commands is opened */
static int init_result;   /* 0: the real one */
static int submit_result; /* for the next submit, once */

int __wrap_open(const char *path, int flags, ...);
int __real_open(const char *path, int flags, ...);
int __wrap_io_uring_queue_init(unsigned entries, struct io_uring *ring, unsigned flags);
int __real_io_uring_queue_init(unsigned entries, struct io_uring *ring, unsigned flags);
int __wrap_io_uring_submit(struct io_uring *ring);
int __real_io_uring_submit(struct io_uring *ring);

int __wrap_open(const char *path, int flags, ...)
{
    assert_string_equal("/dev/ublk-control", path);
    if (open_errno) {
        errno = open_errno;
        return -1;
    }
    return __real_open("/dev/zero", flags);
}

int __wrap_io_uring_queue_init(unsigned entries, struct io_uring *ring, unsigned flags)
{
    assert_int_equal(IORING_SETUP_SQE128, flags);
    return init_result ? init_result : __real_io_uring_queue_init(entries, ring, flags);
}

int __wrap_io_uring_submit(struct io_uring *ring)
{
    int result = submit_result;
    submit_result = 0;
    return result ? result : __real_io_uring_submit(ring);
}

static void names_the_module_where_there_is_no_ublk(void **state)
{
    (void)state;
    const int errnos[] = {ENOENT, ENODEV, ENXIO};
    for (int i = 0; i < 3; i++) {
        struct ublk_ring ring;
        struct error error = {0};
        open_errno = errnos[i];
        assert_int_equal(-ENOTSUP, ublk_ring_open(&ring, &error));
        assert_non_null(strstr(error.message, "ublk_drv"));
        assert_non_null(strstr(error.message, "linux-image-6.12-amd64"));
    }
    open_errno = 0;
}

static void says_who_may(void **state)
{
    (void)state;
    const int errnos[] = {EACCES, EPERM};
    for (int i = 0; i < 2; i++) {
        struct ublk_ring ring;
        struct error error = {0};
        open_errno = errnos[i];
        assert_int_equal(-errnos[i], ublk_ring_open(&ring, &error));
        assert_non_null(strstr(error.message, "CAP_SYS_ADMIN"));
    }
    open_errno = EMFILE;
    struct ublk_ring ring;
    struct error error = {0};
    assert_int_equal(-EMFILE, ublk_ring_open(&ring, &error));
    assert_non_null(strstr(error.message, "/dev/ublk-control"));
    open_errno = 0;
}

static void needs_io_uring(void **state)
{
    (void)state;
    struct ublk_ring ring;
    struct error error = {0};
    init_result = -ENOSYS;
    assert_int_equal(-ENOSYS, ublk_ring_open(&ring, &error));
    assert_non_null(strstr(error.message, "io_uring"));
    init_result = 0;
}

static void a_command_comes_back_with_the_kernels_answer(void **state)
{
    (void)state;
    struct ublk_ring ring;
    struct error error = {0};
    const struct ublksrv_ctrl_cmd command = {.dev_id = 1};
    assert_int_equal(0, ublk_ring_open(&ring, &error));
    const int passing[] = {0, -EINTR, -EAGAIN};
    for (int i = 0; i < 3; i++) {
        int32_t result = 0;
        submit_result = passing[i];
        assert_int_equal(0, ublk_ring_begin(&ring, UBLK_U_CMD_STOP_DEV, &command));
        assert_int_equal(-1, ublk_ring_wait(&ring, NULL, 0, &result));
        assert_int_equal(-EOPNOTSUPP, result);
    }
    submit_result = -EBADF;
    assert_int_equal(-EBADF, ublk_ring_begin(&ring, UBLK_U_CMD_STOP_DEV, &command));
    ublk_ring_close(&ring);
}

/* No command is under way, so only an fd can end the wait. */
static void a_wait_ends_when_another_fd_is_readable(void **state)
{
    (void)state;
    struct ublk_ring ring;
    struct error error = {0};
    int32_t result = 77;
    assert_int_equal(0, ublk_ring_open(&ring, &error));
    int silent = eventfd(0, EFD_CLOEXEC);
    int fired = eventfd(1, EFD_CLOEXEC);
    const int fds[] = {-1, silent, fired};
    assert_int_equal(2, ublk_ring_wait(&ring, fds, 3, &result));
    assert_int_equal(77, result);
    close(silent);
    close(fired);
    ublk_ring_close(&ring);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_the_module_where_there_is_no_ublk),
        cmocka_unit_test(says_who_may),
        cmocka_unit_test(needs_io_uring),
        cmocka_unit_test(a_command_comes_back_with_the_kernels_answer),
        cmocka_unit_test(a_wait_ends_when_another_fd_is_readable),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
