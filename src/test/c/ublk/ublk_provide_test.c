/* SPDX-License-Identifier: AGPL-3.0-only */
/* Which device a disk gets, against a kernel that is none (fake_ublk). */
/* wrap: ublk_ring_open ublk_ring_close ublk_ring_begin ublk_ring_wait ublk_ctrl_list */
/* wrap: open clock_gettime */
#include "ublk/ublk_provide.h"

#include "support/cmocka_test.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "support/fake_ublk.h"
#include "support/test_device.h"
#include "ublk/ublk_identity.h"

enum { HASH = 0x1234, OPENS_MAX = 4 };

static int open_errnos[OPENS_MAX]; /* of the next opens of a character device; 0: it opens */
static uint32_t opens;
static uint64_t skipped_ns; /* every look at the clock is so much later */
static uint64_t skip_ns;

int __wrap_open(const char *path, int flags, ...);
int __real_clock_gettime(clockid_t clock, struct timespec *now);
int __wrap_clock_gettime(clockid_t clock, struct timespec *now);

int __wrap_open(const char *path, int flags, ...)
{
    assert_string_equal("/dev/ublkc3", path);
    assert_int_equal(O_RDWR | O_CLOEXEC, flags);
    errno = opens < OPENS_MAX ? open_errnos[opens] : 0;
    opens++;
    return errno ? -1 : memfd_create("ublkc", MFD_CLOEXEC);
}

int __wrap_clock_gettime(clockid_t clock, struct timespec *now)
{
    int result = __real_clock_gettime(clock, now);
    skipped_ns += skip_ns;
    now->tv_sec += (time_t)(skipped_ns / 1000000000u);
    return result;
}

static struct test_device *test;
static struct ublk_provided own;
static struct error error;

static int setup(void **state)
{
    (void)state;
    fake_ublk_reset();
    memset(open_errnos, 0, sizeof(open_errnos));
    opens = 0;
    skip_ns = skipped_ns = 0;
    error = (struct error){0};
    test = test_device_create(&(struct test_device_params){.queue_count = 2, .queue_size = 16});
    own = (struct ublk_provided){.disk = &test->device,
                                 .log = test->log,
                                 .params = ublk_identity_params(&test->device),
                                 .hash = HASH,
                                 .stop_fd = -1};
    return ublk_ctrl_open(&own.ctrl, &error);
}

static int teardown(void **state)
{
    (void)state;
    ublk_ctrl_close(&own.ctrl);
    assert_int_equal(0, fake_ublk.open_count);
    test_device_destroy(test);
    return 0;
}

static int provide(int32_t dev_id)
{
    own.recovered = false;
    return ublk_provide(&own, dev_id, &error);
}

static void refused(int expected, int32_t dev_id, const char *text)
{
    assert_int_equal(expected, provide(dev_id));
    if (!strstr(error.message, text))
        fail_msg("does not say \"%s\": %s", text, error.message);
}

/* A device of this disk, as a server that is gone left it. */
static struct fake_ublk_device *plant_ours(uint32_t id, uint16_t state)
{
    struct fake_ublk_device *planted = fake_ublk_plant(id, state, HASH);
    planted->info = ublk_identity_info(&test->device, HASH, fake_ublk.features);
    planted->info.dev_id = id;
    planted->info.state = state;
    planted->info.ublksrv_pid = 4711;
    planted->params = ublk_identity_params(&test->device);
    return planted;
}

static void makes_a_device(void **state)
{
    (void)state;
    assert_int_equal(0, provide(UBLK_ANY_ID));
    assert_int_equal(0, own.info.dev_id);
    assert_false(own.recovered);
    assert_true(fake_ublk.devices[0].info.ublksrv_flags == HASH);
    assert_int_equal(test->device.capacity, fake_ublk.devices[0].params.basic.dev_sectors);
}

static void warns_where_a_device_cannot_be_kept(void **state)
{
    (void)state;
    own.ctrl.features = UBLK_F_CMD_IOCTL_ENCODE;
    assert_int_equal(0, provide(UBLK_ANY_ID));
    assert_true(test_device_logged(test, "cannot keep a device"));
}

static void says_why_no_device_is_made(void **state)
{
    (void)state;
    const struct {
        uint8_t number;
        int result;
        const char *text;
    } refusals[] = {
        {UBLK_CMD_ADD_DEV, -EPERM, "CAP_SYS_ADMIN"},
        {UBLK_CMD_ADD_DEV, -ENOMEM, "does not make a ublk device"},
        {UBLK_CMD_SET_PARAMS, -EINVAL, "refuses the parameters"},
    };
    for (size_t i = 0; i < sizeof(refusals) / sizeof(*refusals); i++) {
        fake_ublk_fail(refusals[i].number, refusals[i].result, 1);
        refused(refusals[i].result, UBLK_ANY_ID, refusals[i].text);
        assert_false(fake_ublk.devices[0].exists);
    }
}

static void takes_over_the_device_of_its_disk(void **state)
{
    (void)state;
    fake_ublk_plant(0, UBLK_S_DEV_QUIESCED, HASH + 1);
    plant_ours(3, UBLK_S_DEV_QUIESCED);
    assert_int_equal(0, provide(UBLK_ANY_ID));
    assert_int_equal(3, own.info.dev_id);
    assert_true(own.recovered);
    assert_int_equal(0, fake_ublk_count(UBLK_CMD_ADD_DEV));
    assert_true(test_device_logged(test, "taking over ublk device 3 from process 4711"));
}

static void waits_until_the_kernel_has_noticed_that_the_server_is_gone(void **state)
{
    (void)state;
    plant_ours(1, UBLK_S_DEV_LIVE);
    fake_ublk.live_looks = 3;
    fake_ublk_fail(UBLK_CMD_START_USER_RECOVERY, -EBUSY, 2);
    skip_ns = 5000000000; /* it does so within half a minute */
    assert_int_equal(0, provide(1));
    assert_int_equal(3, fake_ublk_count(UBLK_CMD_START_USER_RECOVERY));
    assert_true(skipped_ns >= 35000000000);
    assert_true(test_device_logged(test, "waiting for the kernel to notice that process 4711"));
}

static void leaves_a_device_alone_that_is_served(void **state)
{
    (void)state;
    plant_ours(1, UBLK_S_DEV_LIVE);
    skip_ns = 3000000000;
    refused(-EBUSY, UBLK_ANY_ID, "ublk device 1 is being served by process 4711");
    assert_int_equal(UBLK_S_DEV_LIVE, fake_ublk.devices[1].info.state);
}

static void waits_no_longer_when_it_is_told_to_end(void **state)
{
    (void)state;
    plant_ours(1, UBLK_S_DEV_LIVE);
    own.stop_fd = eventfd(1, EFD_CLOEXEC);
    refused(-EBUSY, UBLK_ANY_ID, "ublk device 1 is being served by process 4711");
    assert_int_equal(FAKE_UBLK_DEVICES, fake_ublk_count(UBLK_CMD_GET_DEV_INFO)); /* the search */
    close(own.stop_fd);
}

static void goes_on_with_a_device_that_was_half_taken_over(void **state)
{
    (void)state;
    plant_ours(1, UBLK_S_DEV_QUIESCED)->ready = false;
    assert_int_equal(0, provide(UBLK_ANY_ID));
    assert_true(own.recovered);
}

static void makes_a_device_anew_that_was_never_started(void **state)
{
    (void)state;
    plant_ours(2, UBLK_S_DEV_DEAD)->params.basic.dev_sectors = 0;
    assert_int_equal(0, provide(UBLK_ANY_ID));
    assert_int_equal(2, own.info.dev_id);
    assert_false(own.recovered);
    assert_int_equal(1, fake_ublk_count(DEL_DEV_ASYNC));
    assert_int_equal(1, fake_ublk_count(UBLK_CMD_ADD_DEV));
}

static void does_not_make_a_device_anew_that_is_still_mounted(void **state)
{
    (void)state;
    plant_ours(2, UBLK_S_DEV_DEAD)->opened = true;
    skip_ns = 3000000000;
    refused(-EEXIST, 2, "ublk device 2 is still open somewhere");
    assert_true(fake_ublk_count(UBLK_CMD_ADD_DEV) > 1); /* it may be closed any moment */
    fake_ublk_fail(DEL_DEV_ASYNC, -EINTR, 1);
    fake_ublk.devices[2].opened = false;
    assert_int_equal(0, provide(2));
    plant_ours(2, UBLK_S_DEV_DEAD);
    fake_ublk.waits_for_del = true;
    fake_ublk_fail(UBLK_CMD_DEL_DEV, -EINTR, 1);
    refused(-EINTR, 2, "removing ublk device 2");
}

static void never_takes_another_disks_device(void **state)
{
    (void)state;
    plant_ours(2, UBLK_S_DEV_QUIESCED)->info.ublksrv_flags = HASH + 1;
    refused(-EINVAL, 2, "ublk device 2 is not of this disk");
    assert_int_equal(UBLK_S_DEV_QUIESCED, fake_ublk.devices[2].info.state);
    assert_int_equal(0, provide(UBLK_ANY_ID)); /* but makes one */
    assert_int_equal(0, own.info.dev_id);
}

static void takes_over_nothing_that_does_not_match(void **state)
{
    (void)state;
    plant_ours(2, UBLK_S_DEV_QUIESCED)->params.basic.dev_sectors = 99;
    refused(-EINVAL, UBLK_ANY_ID, "has 99 sectors");
    plant_ours(2, 3); /* FAIL_IO: its requests have failed */
    refused(-EBUSY, UBLK_ANY_ID, "in state 3");
    plant_ours(4, UBLK_S_DEV_QUIESCED);
    plant_ours(2, UBLK_S_DEV_QUIESCED);
    refused(-EEXIST, UBLK_ANY_ID, "ublk devices 2 and 4 are both of this disk");
    assert_int_equal(0, provide(4));
}

static void makes_no_second_device_of_a_disk(void **state)
{
    (void)state;
    plant_ours(2, UBLK_S_DEV_QUIESCED);
    refused(-EEXIST, 5, "this disk has ublk device 2 already");
    plant_ours(5, UBLK_S_DEV_DEAD);
    refused(-EEXIST, 5, "this disk has ublk device 2 already");
    assert_int_equal(0, fake_ublk_count(UBLK_CMD_ADD_DEV));
    assert_int_equal(0, fake_ublk_count(DEL_DEV_ASYNC));
    plant_ours(1, UBLK_S_DEV_DEAD);
    assert_int_equal(0, provide(UBLK_ANY_ID)); /* what waits counts, wherever it stands */
    assert_int_equal(2, own.info.dev_id);
    fake_ublk.devices[2].exists = false;
    assert_int_equal(0, provide(6));
    assert_int_equal(6, own.info.dev_id);
}

static void makes_none_while_it_cannot_know_of_others(void **state)
{
    (void)state;
    plant_ours(2, UBLK_S_DEV_QUIESCED);
    const int32_t asked_for[] = {UBLK_ANY_ID, 2, 5};
    for (int i = 0; i < 3; i++) {
        fake_ublk.list_result = -EMFILE;
        refused(-EMFILE, asked_for[i], "no list");
        fake_ublk.list_result = 0;
        fake_ublk_fail(UBLK_CMD_GET_DEV_INFO, -EINTR, FAKE_UBLK_DEVICES);
        refused(-EINTR, asked_for[i], "asking for ublk device");
        fake_ublk.fail_times = 0;
    }
    assert_int_equal(0, fake_ublk_count(UBLK_CMD_ADD_DEV));
    /* Of somebody without privileges: not ours. */
    fake_ublk_fail(UBLK_CMD_GET_DEV_INFO, -EINVAL, 1);
    assert_int_equal(0, provide(UBLK_ANY_ID));
    assert_int_equal(2, own.info.dev_id);
}

static void leaves_what_it_could_not_take_over(void **state)
{
    (void)state;
    plant_ours(2, UBLK_S_DEV_QUIESCED);
    const uint8_t numbers[] = {UBLK_CMD_GET_PARAMS, UBLK_CMD_START_USER_RECOVERY};
    for (int i = 0; i < 2; i++) {
        fake_ublk_fail(numbers[i], -EINTR, 1);
        refused(-EINTR, UBLK_ANY_ID, "ublk device 2");
        assert_int_equal(UBLK_S_DEV_QUIESCED, fake_ublk.devices[2].info.state);
    }
    assert_int_equal(0, provide(UBLK_ANY_ID));
}

static void removes_its_own_device_only(void **state)
{
    (void)state;
    own.info.dev_id = 3;
    assert_int_equal(0, ublk_provide_remove(&own, &error)); /* which is gone */
    plant_ours(3, UBLK_S_DEV_DEAD)->info.ublksrv_flags++;
    assert_int_equal(0, ublk_provide_remove(&own, &error));
    assert_true(fake_ublk.devices[3].exists);
    plant_ours(3, UBLK_S_DEV_LIVE);
    assert_int_equal(-EBUSY, ublk_provide_remove(&own, &error));
    assert_non_null(strstr(error.message, "ublk device 3 is not stopped"));
    assert_int_equal(0, fake_ublk_count(DEL_DEV_ASYNC));
    fake_ublk_fail(UBLK_CMD_GET_DEV_INFO, -EINTR, 1);
    assert_int_equal(-EINTR, ublk_provide_remove(&own, &error));
    plant_ours(3, UBLK_S_DEV_DEAD);
    fake_ublk.waits_for_del = true;
    fake_ublk_fail(UBLK_CMD_DEL_DEV, -ETIMEDOUT, 1);
    assert_int_equal(-EBUSY, ublk_provide_remove(&own, &error));
    assert_non_null(strstr(error.message, "goes when nobody has it open"));
    assert_int_equal(0, ublk_provide_remove(&own, &error));
    assert_false(fake_ublk.devices[3].exists);
}

static void waits_for_the_node_of_the_character_device(void **state)
{
    (void)state;
    own.info.dev_id = 3;
    open_errnos[0] = ENOENT;
    open_errnos[1] = EBUSY;
    own.stop_fd = eventfd(1, EFD_CLOEXEC); /* it is a moment only */
    assert_int_equal(0, ublk_provide_node(&own, &error));
    assert_int_equal(3, opens);
    close(own.char_fd);
    close(own.stop_fd);
    opens = 0;
    open_errnos[0] = EACCES; /* not this */
    assert_int_equal(-EACCES, ublk_provide_node(&own, &error));
    assert_non_null(strstr(error.message, "cannot open /dev/ublkc3"));
    assert_int_equal(1, opens);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(makes_a_device),
        TEST(warns_where_a_device_cannot_be_kept),
        TEST(says_why_no_device_is_made),
        TEST(takes_over_the_device_of_its_disk),
        TEST(waits_until_the_kernel_has_noticed_that_the_server_is_gone),
        TEST(leaves_a_device_alone_that_is_served),
        TEST(waits_no_longer_when_it_is_told_to_end),
        TEST(goes_on_with_a_device_that_was_half_taken_over),
        TEST(makes_a_device_anew_that_was_never_started),
        TEST(does_not_make_a_device_anew_that_is_still_mounted),
        TEST(never_takes_another_disks_device),
        TEST(takes_over_nothing_that_does_not_match),
        TEST(makes_no_second_device_of_a_disk),
        TEST(makes_none_while_it_cannot_know_of_others),
        TEST(leaves_what_it_could_not_take_over),
        TEST(removes_its_own_device_only),
        TEST(waits_for_the_node_of_the_character_device),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
