/* SPDX-License-Identifier: AGPL-3.0-only */
/* Control commands, and every way in which the kernel answers them. */
/* wrap: ublk_ring_open ublk_ring_close ublk_ring_begin ublk_ring_wait opendir readdir */
/* wrap: timerfd_create timerfd_settime */
#include "ublk/ublk_ctrl.h"

#include "support/cmocka_test.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "support/fake_ublk.h"

static const char *dev_directory; /* NULL: it cannot be opened */
static int readdir_errno;

struct dirent *__wrap_readdir(DIR *directory);
struct dirent *__real_readdir(DIR *directory);

struct dirent *__wrap_readdir(DIR *directory)
{
    errno = readdir_errno;
    return readdir_errno ? NULL : __real_readdir(directory);
}

DIR *__wrap_opendir(const char *path);
DIR *__real_opendir(const char *path);

DIR *__wrap_opendir(const char *path)
{
    assert_string_equal("/dev", path);
    errno = ENOENT;
    return dev_directory ? __real_opendir(dev_directory) : NULL;
}

static bool timer_fails, time_is_over;
static time_t limit_s;

int __wrap_timerfd_create(int clock, int flags);
int __wrap_timerfd_settime(int fd, int flags, const struct itimerspec *limit,
                           struct itimerspec *old);

int __wrap_timerfd_create(int clock, int flags)
{
    assert_int_equal(CLOCK_MONOTONIC, clock);
    assert_int_equal(TFD_CLOEXEC, flags);
    errno = EMFILE;
    return timer_fails ? -1 : eventfd(time_is_over, EFD_CLOEXEC);
}

int __wrap_timerfd_settime(int fd, int flags, const struct itimerspec *limit,
                           struct itimerspec *old)
{
    assert_true(fd >= 0 && flags == 0 && old == NULL);
    limit_s = limit->it_value.tv_sec;
    return 0;
}

static struct ublk_ctrl ctrl;

static int setup(void **state)
{
    (void)state;
    fake_ublk_reset();
    dev_directory = NULL;
    readdir_errno = 0;
    timer_fails = time_is_over = false;
    return 0;
}

static void open_ctrl(void)
{
    struct error error = {0};
    assert_int_equal(0, ublk_ctrl_open(&ctrl, &error));
}

static void close_ctrl(void)
{
    ublk_ctrl_close(&ctrl);
    assert_int_equal(0, fake_ublk.open_count);
}

static uint32_t last_command(void)
{
    return fake_ublk.commands[fake_ublk.command_count - 1];
}

static void speaks_ioctl_codes_to_a_kernel_that_knows_them(void **state)
{
    (void)state;
    open_ctrl();
    assert_true(ctrl.encoded);
    assert_int_equal(0x1fe, ctrl.features);
    struct ublksrv_ctrl_dev_info info = {.dev_id = 3, .nr_hw_queues = 1};
    assert_int_equal(0, ublk_ctrl_add(&ctrl, &info));
    assert_int_equal(UBLK_U_CMD_ADD_DEV, last_command());
    close_ctrl();
}

static void speaks_plain_numbers_to_one_that_does_not(void **state)
{
    (void)state;
    fake_ublk.features = 0;
    fake_ublk.legacy = true;
    open_ctrl();
    assert_false(ctrl.encoded);
    struct ublksrv_ctrl_dev_info info = {.dev_id = 3, .nr_hw_queues = 1};
    assert_int_equal(0, ublk_ctrl_add(&ctrl, &info));
    assert_int_equal(UBLK_CMD_ADD_DEV, last_command());
    assert_int_equal(0, ublk_ctrl_run(&ctrl, 3, false));
    assert_int_equal(UBLK_CMD_START_DEV, last_command());
    int32_t result = 1;
    assert_int_equal(-1, ublk_ctrl_wait(&ctrl, NULL, 0, &result));
    assert_int_equal(0, result);
    close_ctrl();
}

static void opens_only_where_it_may(void **state)
{
    (void)state;
    struct error error = {0};
    fake_ublk.open_result = -ENOTSUP;
    assert_int_equal(-ENOTSUP, ublk_ctrl_open(&ctrl, &error));
    fake_ublk.open_result = 0;
    const int refusals[] = {-EPERM, -EACCES};
    for (int i = 0; i < 2; i++) {
        fake_ublk_fail(0x13, refusals[i], 1);
        assert_int_equal(refusals[i], ublk_ctrl_open(&ctrl, &error));
        assert_non_null(strstr(error.message, "CAP_SYS_ADMIN"));
        assert_int_equal(0, fake_ublk.open_count);
    }
}

static void takes_a_device_through_its_life(void **state)
{
    (void)state;
    open_ctrl();
    struct ublksrv_ctrl_dev_info info = {.dev_id = UINT32_MAX, .nr_hw_queues = 2};
    fake_ublk_plant(0, UBLK_S_DEV_LIVE, 1);
    assert_int_equal(0, ublk_ctrl_add(&ctrl, &info));
    assert_int_equal(1, info.dev_id); /* the kernel's choice */
    struct ublk_params params = {.types = UBLK_PARAM_TYPE_BASIC, .basic.dev_sectors = 77};
    assert_int_equal(0, ublk_ctrl_set_params(&ctrl, 1, &params));
    struct ublk_params told;
    assert_int_equal(0, ublk_ctrl_params(&ctrl, 1, &told));
    assert_int_equal(77, told.basic.dev_sectors);
    assert_int_equal(sizeof(told), told.len);
    cpu_set_t cpus;
    assert_int_equal(0, ublk_ctrl_affinity(&ctrl, 1, 1, &cpus));
    assert_true(CPU_ISSET(1, &cpus));
    assert_int_equal(1, CPU_COUNT(&cpus));
    int32_t result = 1;
    assert_int_equal(0, ublk_ctrl_run(&ctrl, 1, false));
    assert_int_equal(-1, ublk_ctrl_wait(&ctrl, NULL, 0, &result));
    assert_int_equal(0, result);
    assert_int_equal(0, ublk_ctrl_info(&ctrl, 1, &info));
    assert_int_equal(UBLK_S_DEV_LIVE, info.state);
    assert_int_equal(getpid(), info.ublksrv_pid);
    fake_ublk.devices[1].info.state = UBLK_S_DEV_QUIESCED;
    assert_int_equal(0, ublk_ctrl_recover(&ctrl, 1));
    assert_int_equal(0, ublk_ctrl_run(&ctrl, 1, true));
    assert_int_equal(UBLK_U_CMD_END_USER_RECOVERY, last_command());
    assert_int_equal(-1, ublk_ctrl_wait(&ctrl, NULL, 0, &result));
    assert_int_equal(0, result);
    assert_int_equal(0, ublk_ctrl_stop(&ctrl, 1));
    assert_int_equal(0, ublk_ctrl_delete(&ctrl, 1));
    assert_int_equal(-ENODEV, ublk_ctrl_info(&ctrl, 1, &info));
    close_ctrl();
}

static void removes_a_device_that_is_mounted(void **state)
{
    (void)state;
    open_ctrl();
    fake_ublk_plant(1, UBLK_S_DEV_LIVE, 1)->opened = true;
    assert_int_equal(0, ublk_ctrl_delete(&ctrl, 1));
    assert_int_equal(UBLK_S_DEV_DEAD, fake_ublk.devices[1].info.state);
    close_ctrl();
}

static void waits_for_a_stop_for_a_while(void **state)
{
    (void)state;
    fake_ublk_plant(1, UBLK_S_DEV_LIVE, 1);
    open_ctrl();
    fake_ublk.stop_hangs = time_is_over = true;
    assert_int_equal(-ETIMEDOUT, ublk_ctrl_stop_within(&ctrl, 1, 7));
    assert_int_equal(7, limit_s);
    close_ctrl();
    open_ctrl();
    fake_ublk.stop_hangs = time_is_over = false;
    assert_int_equal(0, ublk_ctrl_stop_within(&ctrl, 1, 7));
    assert_int_equal(UBLK_S_DEV_DEAD, fake_ublk.devices[1].info.state);
    close_ctrl();
}

static void waits_for_a_removal_for_a_while(void **state)
{
    (void)state;
    fake_ublk.waits_for_del = true;
    fake_ublk_plant(1, UBLK_S_DEV_LIVE, 1);
    fake_ublk_plant(2, UBLK_S_DEV_LIVE, 1)->opened = true;
    open_ctrl();
    assert_int_equal(0, ublk_ctrl_delete(&ctrl, 1));
    assert_false(fake_ublk.devices[1].exists);
    time_is_over = true;
    assert_int_equal(-ETIMEDOUT, ublk_ctrl_delete(&ctrl, 2));
    assert_int_equal(5, limit_s);
    close_ctrl();
    open_ctrl();
    timer_fails = true;
    assert_int_equal(-EMFILE, ublk_ctrl_delete(&ctrl, 2));
    close_ctrl();
}

static void hands_on_every_refusal(void **state)
{
    (void)state;
    open_ctrl();
    fake_ublk_plant(1, UBLK_S_DEV_LIVE, 1);
    struct ublksrv_ctrl_dev_info info = {.dev_id = 1};
    struct ublk_params params;
    assert_int_equal(-EEXIST, ublk_ctrl_add(&ctrl, &info));
    assert_int_equal(-EACCES, ublk_ctrl_set_params(&ctrl, 1, &params));
    assert_int_equal(-EBUSY, ublk_ctrl_recover(&ctrl, 1));
    assert_int_equal(-ENODEV, ublk_ctrl_stop(&ctrl, 7));
    assert_int_equal(-ENODEV, ublk_ctrl_delete(&ctrl, 7));
    assert_int_equal(-ENODEV, ublk_ctrl_params(&ctrl, 7, &params));
    fake_ublk_fail(UBLK_CMD_GET_DEV_INFO, -EINVAL, 1); /* is not for us to see */
    assert_int_equal(-ENODEV, ublk_ctrl_info(&ctrl, 1, &info));
    cpu_set_t cpus;
    assert_int_equal(-ENODEV, ublk_ctrl_affinity(&ctrl, 7, 0, &cpus));
    fake_ublk.begin_result = -EBADF; /* of the ring itself */
    assert_int_equal(-EBADF, ublk_ctrl_stop(&ctrl, 1));
    assert_int_equal(-EBADF, ublk_ctrl_run(&ctrl, 1, false));
    close_ctrl();
}

static void finds_devices_by_their_nodes(void **state)
{
    (void)state;
    struct error error = {0};
    char directory[] = "/tmp/ubiblk-dev-XXXXXX";
    assert_non_null(mkdtemp(directory));
    const char *const names[] = {"ublkc12", "ublkc3",  "ublkb3",       "ublkc",
                                 "ublkc4x", "ublkcx4", "ublk-control", "ublkc7"};
    char path[64];
    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
        snprintf(path, sizeof(path), "%s/%s", directory, names[i]);
        close(open(path, O_CREAT | O_WRONLY, 0600));
    }
    dev_directory = directory;
    uint32_t ids[UBLK_DEVICES_MAX];
    assert_int_equal(3, ublk_ctrl_list(ids, &error));
    assert_int_equal(3, ids[0]);
    assert_int_equal(7, ids[1]);
    assert_int_equal(12, ids[2]);
    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
        snprintf(path, sizeof(path), "%s/%s", directory, names[i]);
        unlink(path);
    }
    rmdir(directory);
}

static void lists_all_devices_or_none(void **state)
{
    (void)state;
    struct error error = {0};
    uint32_t ids[UBLK_DEVICES_MAX];
    assert_int_equal(-ENOENT, ublk_ctrl_list(ids, &error));
    assert_non_null(strstr(error.message, "looking for ublk devices in /dev"));
    char directory[] = "/tmp/ubiblk-dev-XXXXXX", path[64];
    assert_non_null(mkdtemp(directory));
    dev_directory = directory;
    for (int i = 0; i <= UBLK_DEVICES_MAX; i++) {
        snprintf(path, sizeof(path), "%s/ublkc%d", directory, i);
        close(open(path, O_CREAT | O_WRONLY, 0600));
    }
    assert_int_equal(-EOVERFLOW, ublk_ctrl_list(ids, &error));
    unlink(path);
    assert_int_equal(UBLK_DEVICES_MAX, ublk_ctrl_list(ids, &error));
    readdir_errno = EIO;
    assert_int_equal(-EIO, ublk_ctrl_list(ids, &error));
    for (int i = 0; i < UBLK_DEVICES_MAX; i++) {
        snprintf(path, sizeof(path), "%s/ublkc%d", directory, i);
        unlink(path);
    }
    rmdir(directory);
}

#define TEST(name) cmocka_unit_test_setup(name, setup)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(speaks_ioctl_codes_to_a_kernel_that_knows_them),
        TEST(speaks_plain_numbers_to_one_that_does_not),
        TEST(opens_only_where_it_may),
        TEST(takes_a_device_through_its_life),
        TEST(removes_a_device_that_is_mounted),
        TEST(waits_for_a_stop_for_a_while),
        TEST(waits_for_a_removal_for_a_while),
        TEST(hands_on_every_refusal),
        TEST(finds_devices_by_their_nodes),
        TEST(lists_all_devices_or_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
