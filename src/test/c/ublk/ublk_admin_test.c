/* SPDX-License-Identifier: AGPL-3.0-only */
/* What operators do, against a kernel that is none. */
/* wrap: ublk_ring_open ublk_ring_close ublk_ring_begin ublk_ring_wait ublk_ctrl_list */
#include "ublk/ublk_admin.h"

#include "support/cmocka_test.h"

#include <errno.h>
#include <string.h>

#include "support/fake_ublk.h"
#include "ublk/ublk_ctrl.h"

int __wrap_ublk_ctrl_list(uint32_t *ids, struct error *list_error);

static bool list_fails;

/* All nodes, also of devices that are gone. */
int __wrap_ublk_ctrl_list(uint32_t *ids, struct error *list_error)
{
    if (list_fails)
        return error_set(list_error, -EMFILE, "no list");
    for (uint32_t i = 0; i < FAKE_UBLK_DEVICES; i++)
        ids[i] = i;
    return FAKE_UBLK_DEVICES;
}

static struct error error;

static int setup(void **state)
{
    (void)state;
    fake_ublk_reset();
    list_fails = false;
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
    fake_ublk.fail_number = UBLK_CMD_GET_PARAMS;
    assert_int_equal(2, ublk_admin_list(entries, &error));
    assert_int_equal(2, entries[0].info.dev_id);
    assert_int_equal(2048, entries[0].capacity);
    assert_int_equal(5, entries[1].info.dev_id);
    assert_int_equal(UBLK_S_DEV_QUIESCED, entries[1].info.state);
    fake_ublk.fail_times = 1;
    fake_ublk.fail_result = -EINVAL;
    assert_int_equal(2, ublk_admin_list(entries, &error));
    assert_int_equal(0, entries[0].capacity);
}

static void lists_all_or_says_why_not(void **state)
{
    (void)state;
    struct ublk_admin_entry entries[UBLK_DEVICES_MAX];
    fake_ublk_plant(2, UBLK_S_DEV_LIVE, 1);
    list_fails = true;
    assert_int_equal(-EMFILE, ublk_admin_list(entries, &error));
    list_fails = false;
    fake_ublk.fail_number = UBLK_CMD_GET_DEV_INFO;
    fake_ublk.fail_times = 1;
    fake_ublk.fail_result = -EINTR;
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

static void stops_a_device(void **state)
{
    (void)state;
    fake_ublk_plant(2, UBLK_S_DEV_LIVE, 1);
    assert_int_equal(0, ublk_admin_stop(2, &error));
    assert_int_equal(UBLK_S_DEV_DEAD, fake_ublk.devices[2].info.state);
    assert_int_equal(-ENODEV, ublk_admin_stop(3, &error));
    assert_non_null(strstr(error.message, "there is no ublk device 3"));
    fake_ublk.fail_number = UBLK_CMD_STOP_DEV;
    fake_ublk.fail_times = 1;
    fake_ublk.fail_result = -EINTR;
    assert_int_equal(-EINTR, ublk_admin_stop(2, &error));
    assert_non_null(strstr(error.message, "cannot stop ublk device 2"));
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
    fake_ublk.fail_number = UBLK_CMD_STOP_DEV;
    fake_ublk.fail_times = 1;
    fake_ublk.fail_result = -EINTR;
    assert_int_equal(-EINTR, ublk_admin_delete(2, &error));
    assert_true(fake_ublk.devices[2].exists);
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
        TEST(lists_the_devices_that_are_there),  TEST(lists_all_or_says_why_not),
        TEST(says_that_there_is_no_ublk),        TEST(stops_a_device),
        TEST(deletes_a_device_without_a_server), TEST(does_not_delete_one_that_is_served),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
