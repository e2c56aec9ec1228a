/* SPDX-License-Identifier: AGPL-3.0-only */
/* wrap: open fstat fcntl ioctl */
#include "io/disk_look.h"

#include "support/cmocka_test.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* What the wrapped calls do; all zero: what they always do. */
static struct {
    int open_error;
    int fstat_error;
    mode_t fstat_type; /* instead of the real one */
    int lock_error;
    int ioctl_error;
    uint64_t device_bytes;
} fault;

int __real_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, mode_t mode);
int __real_fstat(int fd, struct stat *status);
int __wrap_fstat(int fd, struct stat *status);
int __real_fcntl(int fd, int command, ...);
int __wrap_fcntl(int fd, int command, void *argument);
int __wrap_ioctl(int fd, unsigned long request, void *argument);

static int fails(int error)
{
    errno = error;
    return -1;
}

int __wrap_open(const char *path, int flags, mode_t mode)
{
    return fault.open_error != 0 ? fails(fault.open_error) : __real_open(path, flags, mode);
}

int __wrap_fstat(int fd, struct stat *status)
{
    if (fault.fstat_error != 0) {
        return fails(fault.fstat_error);
    }
    int ret = __real_fstat(fd, status);
    if (fault.fstat_type != 0) {
        status->st_mode = (status->st_mode & ~(mode_t)S_IFMT) | fault.fstat_type;
    }
    return ret;
}

int __wrap_fcntl(int fd, int command, void *argument)
{
    return fault.lock_error != 0 ? fails(fault.lock_error) : __real_fcntl(fd, command, argument);
}

int __wrap_ioctl(int fd, unsigned long request, void *argument)
{
    (void)fd;
    assert_int_equal(BLKGETSIZE64, request);
    if (fault.ioctl_error != 0) {
        return fails(fault.ioctl_error);
    }
    *(uint64_t *)argument = fault.device_bytes;
    return 0;
}

struct fixture {
    char path[64];
    int fd;
    struct disk_look look;
    struct error error;
};

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    memset(&fault, 0, sizeof(fault));
    snprintf(f->path, sizeof(f->path), "/tmp/ubiblk-disk-look-XXXXXX");
    f->fd = mkostemp(f->path, O_CLOEXEC);
    assert_int_equal(0, ftruncate(f->fd, 1001));
    memset(&f->look, 0xff, sizeof(f->look));
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    memset(&fault, 0, sizeof(fault));
    close(f->fd);
    unlink(f->path);
    free(f);
    return 0;
}

/* Expects a refusal whose sentence has path and words in it. */
static void refuse(struct fixture *f, const char *path, int code, const char *words)
{
    assert_int_equal(code, disk_look_at(path, &f->look, &f->error));
    if (strstr(f->error.message, path) == NULL || strstr(f->error.message, words) == NULL) {
        fail_msg("\"%s\" says nothing of \"%s\"", f->error.message, words);
    }
}

static void sees_a_free_file(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(0, chmod(f->path, 0400));
    assert_int_equal(0, disk_look_at(f->path, &f->look, &f->error));
    assert_int_equal(1001, f->look.byte_len);
    assert_false(f->look.locked);
    assert_string_equal("", f->look.holder);
}

static void sees_who_has_it_locked_and_takes_no_lock(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(0, disk_lock_take(f->fd, f->path, 0, NULL, &f->error));
    for (int i = 0; i < 2; i++) {
        assert_int_equal(0, disk_look_at(f->path, &f->look, &f->error));
        assert_true(f->look.locked);
        assert_non_null(strstr(f->look.holder, "this process"));
    }
    /* Still the only lock: looking left nothing behind. */
    assert_int_equal(0, disk_lock_take(f->fd, f->path, 0, NULL, &f->error));
}

static void a_block_device_has_its_capacity(void **state)
{
    struct fixture *f = *state;
    fault.fstat_type = S_IFBLK;
    fault.device_bytes = (uint64_t)5 << 40;
    assert_int_equal(0, disk_look_at(f->path, &f->look, &f->error));
    assert_int_equal((uint64_t)5 << 40, f->look.byte_len);
    fault.ioctl_error = EIO;
    refuse(f, f->path, -EIO, "cannot learn the size of");
}

static void refuses_what_is_no_disk(void **state)
{
    struct fixture *f = *state;
    refuse(f, "/nowhere/disk", -ENOENT, "No such file or directory");
    refuse(f, "/dev/null", -EINVAL, "is neither a regular file nor a block device");
    refuse(f, "/tmp", -EINVAL, "is neither a regular file nor a block device");
}

static void reports_calls_that_fail(void **state)
{
    struct fixture *f = *state;
    fault.open_error = EACCES;
    refuse(f, f->path, -EACCES, "cannot read");
    fault.open_error = 0;
    fault.fstat_error = ESTALE;
    refuse(f, f->path, -ESTALE, "cannot read");
    fault.fstat_error = 0;
    fault.lock_error = ENOLCK;
    refuse(f, f->path, -ENOLCK, "cannot see who uses");
}

int main(void)
{
#define WITH_FILE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        WITH_FILE(sees_a_free_file),
        WITH_FILE(sees_who_has_it_locked_and_takes_no_lock),
        WITH_FILE(a_block_device_has_its_capacity),
        WITH_FILE(refuses_what_is_no_disk),
        WITH_FILE(reports_calls_that_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
