/* SPDX-License-Identifier: AGPL-3.0-only */
/* wrap: pread pwrite */
#include "io/plain_io.h"

#include "support/cmocka_test.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

/* What the wrapped calls do; all zero: what they always do. */
static struct {
    size_t transfer_max; /* bytes of one transfer; 0: all */
    int interrupts;      /* transfers that EINTR ends before they begin */
    int transfer_error;  /* of the transfer after so many that succeed */
    int transfers_before;
    bool stuck; /* writes of nothing */
} fault;

ssize_t __real_pread(int fd, void *bytes, size_t byte_len, off_t offset);
ssize_t __wrap_pread(int fd, void *bytes, size_t byte_len, off_t offset);
ssize_t __real_pwrite(int fd, const void *bytes, size_t byte_len, off_t offset);
ssize_t __wrap_pwrite(int fd, const void *bytes, size_t byte_len, off_t offset);

static bool fails(size_t *byte_len)
{
    if (fault.interrupts > 0) {
        fault.interrupts--;
        errno = EINTR;
        return true;
    }
    if (fault.transfer_error != 0 && fault.transfers_before-- == 0) {
        errno = fault.transfer_error;
        return true;
    }
    if (fault.transfer_max != 0 && *byte_len > fault.transfer_max) {
        *byte_len = fault.transfer_max;
    }
    return false;
}

ssize_t __wrap_pread(int fd, void *bytes, size_t byte_len, off_t offset)
{
    return fails(&byte_len) ? -1 : __real_pread(fd, bytes, byte_len, offset);
}

ssize_t __wrap_pwrite(int fd, const void *bytes, size_t byte_len, off_t offset)
{
    if (fault.stuck) {
        return 0;
    }
    return fails(&byte_len) ? -1 : __real_pwrite(fd, bytes, byte_len, offset);
}

enum { FILE_BYTES = 8192 };

struct fixture {
    int fd;
    char content[FILE_BYTES];
};

static int set_up(void **state)
{
    char path[] = "/tmp/ubiblk-plain-io-XXXXXX";
    struct fixture *f = calloc(1, sizeof(*f));
    f->fd = mkstemp(path);
    unlink(path);
    for (size_t i = 0; i < FILE_BYTES; i++) {
        f->content[i] = (char)(i * 7 + i / 251);
    }
    *state = f;
    return f->fd >= 0 ? 0 : -1;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    memset(&fault, 0, sizeof(fault));
    close(f->fd);
    free(f);
    return 0;
}

static void goes_on_after_short_and_interrupted_transfers(void **state)
{
    struct fixture *f = *state;
    char bytes[FILE_BYTES] = {0};
    fault.transfer_max = 1000;
    fault.interrupts = 2;
    assert_int_equal(0, plain_write(f->fd, f->content, FILE_BYTES, 512));
    fault.interrupts = 2;
    assert_int_equal(0, plain_read(f->fd, bytes, FILE_BYTES, 512));
    assert_memory_equal(f->content, bytes, FILE_BYTES);
}

static void the_end_of_a_file_is_no_success(void **state)
{
    struct fixture *f = *state;
    char bytes[FILE_BYTES];
    assert_int_equal(0, plain_write(f->fd, f->content, 100, 0));
    assert_int_equal(-ENODATA, plain_read(f->fd, bytes, 101, 0));
    assert_int_equal(0, plain_read(f->fd, bytes, 0, 1000));
}

static void failures_are_told_however_late(void **state)
{
    struct fixture *f = *state;
    char bytes[FILE_BYTES];
    fault.transfer_max = 1000;
    fault.transfer_error = EIO;
    fault.transfers_before = 3;
    assert_int_equal(-EIO, plain_write(f->fd, f->content, FILE_BYTES, 0));
    fault.transfers_before = 2;
    assert_int_equal(-EIO, plain_read(f->fd, bytes, FILE_BYTES, 0));
    fault.stuck = true;
    assert_int_equal(-EIO, plain_write(f->fd, f->content, FILE_BYTES, 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(goes_on_after_short_and_interrupted_transfers, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(the_end_of_a_file_is_no_success, set_up, tear_down),
        cmocka_unit_test_setup_teardown(failures_are_told_however_late, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
