/* SPDX-License-Identifier: AGPL-3.0-only */
/* Locks where file systems have none, and holders where /proc is not to be seen. */
/* wrap: fcntl opendir */
#include "io/disk_lock.h"

#include "support/cmocka_test.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>

static int lock_error;
static bool opendir_fails;

int __wrap_fcntl(int fd, int command, void *argument);
DIR *__real_opendir(const char *path);
DIR *__wrap_opendir(const char *path);

int __wrap_fcntl(int fd, int command, void *argument)
{
    (void)fd;
    (void)argument;
    errno = command == F_OFD_SETLK ? lock_error : EINVAL;
    return -1;
}

DIR *__wrap_opendir(const char *path)
{
    return opendir_fails ? NULL : __real_opendir(path);
}

static void reports_a_file_system_without_locks(void **state)
{
    (void)state;
    struct error error;
    lock_error = ENOLCK;
    assert_int_equal(-ENOLCK, disk_lock_take(0, "/some/disk", 1000, NULL, &error));
    assert_non_null(strstr(error.message, "cannot lock /some/disk: No locks available"));
}

static void refuses_all_the_same_when_the_holder_cannot_be_found(void **state)
{
    (void)state;
    const int errors[2] = {EAGAIN, EACCES};
    opendir_fails = true;
    for (int i = 0; i < 2; i++) {
        struct error error;
        lock_error = errors[i];
        assert_int_equal(-EBUSY, disk_lock_take(0, "/some/disk", 0, NULL, &error));
        assert_non_null(strstr(error.message, "/some/disk is locked by a process that cannot be"));
    }
    opendir_fails = false;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reports_a_file_system_without_locks),
        cmocka_unit_test(refuses_all_the_same_when_the_holder_cannot_be_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
