/* SPDX-License-Identifier: AGPL-3.0-only */
/* What operators do, against a kernel that is none. */
/* wrap: ublk_ring_open ublk_ring_close ublk_ring_begin ublk_ring_wait ublk_ctrl_list */
/* wrap: ublk_ctrl_node timerfd_create clock_gettime */
#include "ublk/ublk_admin.h"

#include "support/cmocka_test.h"

#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <time.h>

#include "support/fake_ublk.h"
#include "ublk/ublk_ctrl.h"

static bool time_is_over;
static int open_errno;         /* of opens of a character device; 0: it opens */
static uint32_t open_failures; /* after so many it opens */
static time_t skipped_s;       /* every look at the clock is a second later */

int __wrap_ublk_ctrl_node(uint32_t dev_id);
int __wrap_timerfd_create(int clock, int flags);
int __real_clock_gettime(clockid_t clock, struct timespec *now);
int __wrap_clock_gettime(clockid_t clock, struct timespec *now);

int __wrap_ublk_ctrl_node(uint32_t dev_id)
{
    assert_true(fake_ublk.devices[dev_id].exists);
    if (open_errno && open_failures-- > 0)
        return -open_errno;
    return memfd_create("ublkc", MFD_CLOEXEC);
}

int __wrap_clock_gettime(clockid_t clock, struct timespec *now)
{
    int result = __real_clock_gettime(clock, now);
    now->tv_sec += ++skipped_s;
    return result;
}

int __wrap_timerfd_create(int clock, int flags)
{
    (void)clock, (void)flags;
    return eventfd(time_is_over, EFD_CLOEXEC);
}

static struct error error;

static int setup(void **state)
{
    (void)state;
    fake_ublk_reset();
    time_is_over = false;
    open_errno = 0;
    open_failures = UINT32_MAX;
    error = (struct error){0};
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    assert_int_equal(0, fake_ublk.open_count);
    return 0;
}

static void lists_the_devices_that_are_there(void **state)
{
    (void)state;
    struct ublk_admin_entry entries[UBLK_DEVICES_MAX];
    assert_int_equal(0, ublk_admin_list(entries, &error));
    fake_ublk_plant(2, UBLK_S_DEV_LIVE, 1)->params.basic.dev_sectors = 2048;
    fake_ublk_plant(5, UBLK_S_DEV_QUIESCED, 2);
    assert_int_equal(2, ublk_admin_list(entries, &error));
    assert_int_equal(2, entries[0].info.dev_id);
    assert_int_equal(2048, entries[0].capacity);
    assert_int_equal(5, entries[1].info.dev_id);
    assert_int_equal(UBLK_S_DEV_QUIESCED, entries[1].info.state);
    fake_ublk_fail(UBLK_CMD_GET_PARAMS, -EINVAL, 1);
    assert_int_equal(2, ublk_admin_list(entries, &error));
    assert_int_equal(0, entries[0].capacity);
}

static void lists_all_or_says_why_not(void **state)
{
    (void)state;
    struct ublk_admin_entry entries[UBLK_DEVICES_MAX];
    fake_ublk_plant(2, UBLK_S_DEV_LIVE, 1);
    fake_ublk.list_result = -EMFILE;
    assert_int_equal(-EMFILE, ublk_admin_list(entries, &error));
    fake_ublk.list_result = 0;
    fake_ublk_fail(UBLK_CMD_GET_DEV_INFO, -EINTR, 1);
    assert_int_equal(-EINTR, ublk_admin_list(entries, &error));
    assert_non_null(strstr(error.message, "cannot look at ublk device 0"));
}

static void says_that_there_is_no_ublk(void **state)
{
    (void)state;
    struct ublk_admin_entry entries[UBLK_DEVICES_MAX];
    fake_ublk.open_result = -ENOTSUP;
    assert_int_equal(-ENOTSUP, ublk_admin_list(entries, &error));
    assert_int_equal(-ENOTSUP, ublk_admin_stop(0, &error));
    assert_int_equal(-ENOTSUP, ublk_admin_delete(0, &error));
}

static void refused(int expected, int result, const char *text)
{
    assert_int_equal(expected, result);
    if (!strstr(error.message, text))
        fail_msg("does not say \"%s\": %s", text, error.message);
}

static void stops_a_live_device(void **state)
{
    (void)state;
    fake_ublk_plant(2, UBLK_S_DEV_LIVE, 1);
    fake_ublk_fail(UBLK_CMD_STOP_DEV, -EINTR, 1);
    refused(-EINTR, ublk_admin_stop(2, &error), "cannot stop ublk device 2");
    assert_int_equal(0, ublk_admin_stop(2, &error));
    assert_int_equal(UBLK_S_DEV_DEAD, fake_ublk.devices[2].info.state);
    refused(-ENODEV, ublk_admin_stop(3, &error), "there is no ublk device 3");
}

static void stops_nothing_that_is_not_live(void **state)
{
    (void)state;
    const uint16_t states[] = {UBLK_S_DEV_DEAD, UBLK_S_DEV_QUIESCED};
    for (int i = 0; i < 2; i++) {
        fake_ublk_plant(2, states[i], 1);
        refused(-EINVAL, ublk_admin_stop(2, &error), "not live; --delete 2 removes it");
    }
    assert_int_equal(0, fake_ublk_count(UBLK_CMD_STOP_DEV));
}

static void says_what_a_stop_waits_for(void **state)
{
    (void)state;
    fake_ublk_plant(2, UBLK_S_DEV_LIVE, 1);
    fake_ublk.stop_hangs = time_is_over = true;
    refused(-EBUSY, ublk_admin_stop(2, &error), "SIGTERM to process 4711");
}

static void deletes_a_device_without_a_server(void **state)
{
    (void)state;
    fake_ublk_plant(2, UBLK_S_DEV_QUIESCED, 1);
    assert_int_equal(0, ublk_admin_delete(2, &error));
    assert_false(fake_ublk.devices[2].exists);
    /* Stopped before, or what waits for it would wait for ever. */
    assert_true(fake_ublk_place(UBLK_CMD_STOP_DEV) < fake_ublk_place(DEL_DEV_ASYNC));
    assert_int_equal(-ENODEV, ublk_admin_delete(2, &error));
    fake_ublk_plant(2, UBLK_S_DEV_QUIESCED, 1);
    fake_ublk_fail(UBLK_CMD_STOP_DEV, -EINTR, 1);
    assert_int_equal(-EINTR, ublk_admin_delete(2, &error));
    assert_true(fake_ublk.devices[2].exists);
}

static void does_not_delete_one_that_is_being_made_or_taken_over(void **state)
{
    (void)state;
    const uint16_t states[] = {UBLK_S_DEV_DEAD, UBLK_S_DEV_QUIESCED};
    open_errno = EBUSY;
    for (int i = 0; i < 2; i++) {
        fake_ublk_plant(2, states[i], 1);
        refused(-EBUSY, ublk_admin_delete(2, &error), "is being made or taken over");
    }
    open_failures = 2; /* of its server, which is gone */
    assert_int_equal(0, ublk_admin_delete(2, &error));
    open_failures = UINT32_MAX;
    fake_ublk_plant(2, UBLK_S_DEV_QUIESCED, 1);
    open_errno = EACCES;
    refused(-EACCES, ublk_admin_delete(2, &error), "cannot open ublk device 2");
    assert_int_equal(1, fake_ublk_count(UBLK_CMD_STOP_DEV));
    assert_true(fake_ublk.devices[2].exists);
    open_errno = ENOENT; /* removed before, and mounted still */
    assert_int_equal(0, ublk_admin_delete(2, &error));
}

static void says_that_a_device_is_open_somewhere(void **state)
{
    (void)state;
    fake_ublk_plant(2, UBLK_S_DEV_QUIESCED, 1)->opened = true;
    fake_ublk.waits_for_del = time_is_over = true;
    refused(-EBUSY, ublk_admin_delete(2, &error), "goes when nobody has it open any more");
}

static void does_not_delete_one_that_is_served(void **state)
{
    (void)state;
    fake_ublk_plant(2, UBLK_S_DEV_LIVE, 1);
    assert_int_equal(-EBUSY, ublk_admin_delete(2, &error));
    assert_non_null(strstr(error.message, "process 4711"));
    assert_int_equal(UBLK_S_DEV_LIVE, fake_ublk.devices[2].info.state);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(lists_the_devices_that_are_there),
        TEST(lists_all_or_says_why_not),
        TEST(says_that_there_is_no_ublk),
        TEST(stops_a_live_device),
        TEST(stops_nothing_that_is_not_live),
        TEST(says_what_a_stop_waits_for),
        TEST(deletes_a_device_without_a_server),
        TEST(does_not_delete_one_that_is_being_made_or_taken_over),
        TEST(says_that_a_device_is_open_somewhere),
        TEST(does_not_delete_one_that_is_served),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
