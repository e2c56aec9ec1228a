/* SPDX-License-Identifier: AGPL-3.0-only */
/* Which nodes are written out, on files that stand for them. */
/* wrap: glob ioctl fsync */
#include "ublk/ublk_writeback.h"

#include "support/cmocka_test.h"

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <limits.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char directory[64];
static char flushed[256]; /* names, in order, '!' behind those that were synced after it */
static int ioctl_errno, fsync_errno;

int __real_glob(const char *pattern, int flags, int (*failed)(const char *, int), glob_t *found);
int __wrap_glob(const char *pattern, int flags, int (*failed)(const char *, int), glob_t *found);
int __wrap_ioctl(int fd, unsigned long request, ...);
int __wrap_fsync(int fd);

int __wrap_glob(const char *pattern, int flags, int (*failed)(const char *, int), glob_t *found)
{
    char path[128];
    assert_int_equal(0, strncmp("/dev/", pattern, 5));
    snprintf(path, sizeof(path), "%s/%s", directory, pattern + 5);
    return __real_glob(path, flags, failed, found);
}

static void note(const char *text)
{
    size_t length = strlen(flushed);
    snprintf(flushed + length, sizeof(flushed) - length, "%s", text);
}

static const char *name_of(int fd)
{
    static char path[PATH_MAX];
    char link[64];
    snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof(path) - 1);
    assert_true(length > 0);
    path[length] = 0;
    return strrchr(path, '/') + 1;
}

int __wrap_ioctl(int fd, unsigned long request, ...)
{
    assert_int_equal(BLKFLSBUF, request);
    note(" ");
    note(name_of(fd));
    errno = ioctl_errno;
    return ioctl_errno ? -1 : 0;
}

int __wrap_fsync(int fd)
{
    (void)fd;
    note("!");
    errno = fsync_errno;
    return fsync_errno ? -1 : 0;
}

static const char *const names[] = {"ublkb1", "ublkb1p1",  "ublkb1p14", "ublkb12",
                                    "ublkc1", "ublkb12p1", "ublkb1x"};
enum { NAMES = sizeof(names) / sizeof(*names) };

static int setup(void **state)
{
    (void)state;
    char path[128];
    snprintf(directory, sizeof(directory), "/tmp/ubiblk-dev-XXXXXX");
    assert_non_null(mkdtemp(directory));
    for (int i = 0; i < NAMES; i++) {
        snprintf(path, sizeof(path), "%s/%s", directory, names[i]);
        close(open(path, O_CREAT | O_WRONLY, 0600));
    }
    flushed[0] = 0;
    ioctl_errno = fsync_errno = 0;
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    char path[128];
    for (int i = 0; i < NAMES; i++) {
        snprintf(path, sizeof(path), "%s/%s", directory, names[i]);
        unlink(path);
    }
    return rmdir(directory);
}

static void writes_the_device_and_its_partitions(void **state)
{
    (void)state;
    assert_int_equal(0, ublk_writeback(1));
    assert_string_equal(" ublkb1! ublkb1p1! ublkb1p14!", flushed);
}

static void goes_on_after_a_failure_and_tells_of_it(void **state)
{
    (void)state;
    ioctl_errno = EACCES;
    assert_int_equal(-EACCES, ublk_writeback(12));
    assert_string_equal(" ublkb12! ublkb12p1!", flushed);
    ioctl_errno = 0;
    fsync_errno = EIO;
    assert_int_equal(-EIO, ublk_writeback(12));
    assert_string_equal(" ublkb12! ublkb12p1! ublkb12! ublkb12p1!", flushed);
}

static void says_that_it_found_no_node(void **state)
{
    (void)state;
    assert_int_equal(-ENOENT, ublk_writeback(5));
    char path[128];
    snprintf(path, sizeof(path), "%s/ublkb1", directory);
    unlink(path);
    assert_int_equal(0, symlink("nowhere", path));
    assert_int_equal(-ENOENT, ublk_writeback(1));
    assert_string_equal(" ublkb1p1! ublkb1p14!", flushed);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(writes_the_device_and_its_partitions),
        TEST(goes_on_after_a_failure_and_tells_of_it),
        TEST(says_that_it_found_no_node),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
