/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * What a failure of the disk leads to: the whole back end in this process on the sync engine, with
 * its calls to the kernel made to fail.
 */
/* wrap: preadv2 pwritev2 fdatasync io_engine_reap */
#include <errno.h>
#include <string.h>

#include "support/cmocka_test.h"
#include "support/faulty_kernel.h"
#include "support/local_guest.h"

enum { SECTOR = 512 };

static void ends_failing_writes_with_an_error_and_goes_on(void **state)
{
    struct local_guest *guest = *state;
    const int errors[] = {EIO, ENOSPC, EDQUOT, EROFS};

    local_guest_connect(guest, BLK_CLIENT_FEATURES);
    memset(local_guest_data(guest, 0), 0x11, 2 * SECTOR);
    assert_int_equal(local_guest_execute(guest, VIRTIO_BLK_T_OUT, 40), VIRTIO_BLK_S_OK);
    for (uint32_t i = 0; i < 4; i++) {
        kernel_set_errors(0, errors[i], 0);
        memset(local_guest_data(guest, 0), 0x22, 2 * SECTOR);
        assert_int_equal(local_guest_execute(guest, VIRTIO_BLK_T_OUT, 40), VIRTIO_BLK_S_IOERR);
    }
    kernel_set_errors(0, 0, 0);
    assert_int_equal(local_guest_execute(guest, VIRTIO_BLK_T_IN, 40), VIRTIO_BLK_S_OK);
    assert_int_equal(local_guest_data(guest, 0)[700], 0x11);
    assert_int_equal(local_guest_execute(guest, VIRTIO_BLK_T_OUT, 40), VIRTIO_BLK_S_OK);
    assert_int_equal(local_guest_execute(guest, VIRTIO_BLK_T_FLUSH, 0), VIRTIO_BLK_S_OK);
}

static void ends_failing_reads_with_an_error_and_goes_on(void **state)
{
    struct local_guest *guest = *state;

    local_guest_connect(guest, BLK_CLIENT_FEATURES);
    kernel_set_errors(EIO, 0, 0);
    assert_int_equal(local_guest_execute(guest, VIRTIO_BLK_T_IN, 40), VIRTIO_BLK_S_IOERR);
    assert_int_equal(local_guest_execute(guest, VIRTIO_BLK_T_OUT, 40), VIRTIO_BLK_S_OK);
    kernel_set_errors(0, 0, 0);
    assert_int_equal(local_guest_execute(guest, VIRTIO_BLK_T_IN, 40), VIRTIO_BLK_S_OK);
}

static void continues_short_transfers_and_interrupted_calls(void **state)
{
    struct local_guest *guest = *state;
    uint8_t *data = local_guest_data(guest, 0), pattern[2 * SECTOR];

    for (uint32_t i = 0; i < sizeof(pattern); i++) {
        pattern[i] = (uint8_t)(i * 7 + i / 256);
    }
    local_guest_connect(guest, BLK_CLIENT_FEATURES);
    kernel_set_transfers(true, false, 5);
    memcpy(data, pattern, sizeof(pattern));
    assert_int_equal(local_guest_execute(guest, VIRTIO_BLK_T_OUT, 40), VIRTIO_BLK_S_OK);
    memset(data, 0, sizeof(pattern));
    kernel_set_transfers(true, false, 5);
    assert_int_equal(local_guest_execute(guest, VIRTIO_BLK_T_IN, 40), VIRTIO_BLK_S_OK);
    assert_memory_equal(data, pattern, sizeof(pattern));
    kernel_set_transfers(false, false, 0);
    memset(data, 0, sizeof(pattern));
    assert_int_equal(local_guest_execute(guest, VIRTIO_BLK_T_IN, 40), VIRTIO_BLK_S_OK);
    assert_memory_equal(data, pattern, sizeof(pattern));
}

static void takes_a_transfer_that_does_not_move_for_a_failure(void **state)
{
    struct local_guest *guest = *state;

    local_guest_connect(guest, BLK_CLIENT_FEATURES);
    kernel_set_transfers(false, true, 0);
    assert_int_equal(local_guest_execute(guest, VIRTIO_BLK_T_IN, 40), VIRTIO_BLK_S_IOERR);
    assert_int_equal(local_guest_execute(guest, VIRTIO_BLK_T_OUT, 40), VIRTIO_BLK_S_IOERR);
    kernel_set_transfers(false, false, 0);
    assert_int_equal(local_guest_execute(guest, VIRTIO_BLK_T_OUT, 40), VIRTIO_BLK_S_OK);
}

/* After a failed fsync nothing promises durability any more, and no fsync is tried to hear better
 * news. Reads and volatile writes go on. */
static void check_sticky(struct local_guest *guest)
{
    uint32_t calls = kernel_sync_calls();

    kernel_set_errors(0, 0, 0);
    for (uint32_t i = 0; i < 3; i++) {
        assert_int_equal(local_guest_execute(guest, VIRTIO_BLK_T_FLUSH, 0), VIRTIO_BLK_S_IOERR);
    }
    local_guest_submit(guest, 1, VIRTIO_BLK_T_FLUSH, 0);
    assert_int_equal(local_guest_complete(guest, 1), VIRTIO_BLK_S_IOERR);
    assert_int_equal(local_guest_execute(guest, VIRTIO_BLK_T_IN, 40), VIRTIO_BLK_S_OK);
    assert_int_equal(kernel_sync_calls(), calls);
}

static void fails_every_flush_after_a_failed_fsync(void **state)
{
    struct local_guest *guest = *state;

    local_guest_connect(guest, BLK_CLIENT_FEATURES);
    kernel_set_errors(0, 0, EIO);
    assert_int_equal(local_guest_execute(guest, VIRTIO_BLK_T_FLUSH, 0), VIRTIO_BLK_S_IOERR);
    check_sticky(guest);
    assert_int_equal(local_guest_execute(guest, VIRTIO_BLK_T_OUT, 40), VIRTIO_BLK_S_OK);
    vhost_frontend_disconnect(&guest->frontend);
    local_guest_connect(guest, BLK_CLIENT_FEATURES);
    check_sticky(guest);
    vhost_frontend_disconnect(&guest->frontend);
    local_guest_connect(guest, LOCAL_GUEST_NO_FLUSH);
    assert_int_equal(local_guest_execute(guest, VIRTIO_BLK_T_OUT, 40), VIRTIO_BLK_S_IOERR);
    assert_int_equal(local_guest_execute(guest, VIRTIO_BLK_T_IN, 40), VIRTIO_BLK_S_OK);
    vhost_frontend_disconnect(&guest->frontend);
    assert_true(local_guest_stop_backend(guest) < 0);
    local_guest_start_backend(guest, false); /* until restart */
    local_guest_reset_queues(guest);
    local_guest_connect(guest, BLK_CLIENT_FEATURES);
    assert_int_equal(local_guest_execute(guest, VIRTIO_BLK_T_FLUSH, 0), VIRTIO_BLK_S_OK);
}

static void does_not_confirm_that_the_cache_is_off_when_the_fsync_failed(void **state)
{
    struct local_guest *guest = *state;

    local_guest_connect(guest, BLK_CLIENT_FEATURES);
    kernel_set_errors(0, 0, EIO);
    assert_int_equal(local_guest_set_cache_mode(guest, 0), -EREMOTEIO);
    check_sticky(guest);
    assert_int_equal(local_guest_execute(guest, VIRTIO_BLK_T_OUT, 40), VIRTIO_BLK_S_IOERR);
}

/* With direct I/O it is the write that fails, through the page cache the sync behind it. */
static void takes_a_failed_durable_write_for_a_failed_fsync(void **state)
{
    struct local_guest *guest = *state;
    bool direct = guest->device->file.direct;

    local_guest_connect(guest, BLK_CLIENT_FEATURES);
    kernel_set_errors(0, direct ? EIO : 0, direct ? 0 : EIO);
    assert_int_equal(local_guest_execute(guest, VIRTIO_BLK_T_OUT, 40), VIRTIO_BLK_S_IOERR);
    check_sticky(guest);
    assert_int_equal(local_guest_execute(guest, VIRTIO_BLK_T_OUT, 40), VIRTIO_BLK_S_IOERR);
}

static void says_when_the_last_fsync_failed(void **state)
{
    struct local_guest *guest = *state;

    local_guest_connect(guest, BLK_CLIENT_FEATURES);
    kernel_set_errors(0, 0, EIO);
    assert_true(local_guest_stop_backend(guest) < 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        LOCAL_GUEST_TEST(ends_failing_writes_with_an_error_and_goes_on),
        LOCAL_GUEST_TEST(ends_failing_reads_with_an_error_and_goes_on),
        LOCAL_GUEST_TEST(continues_short_transfers_and_interrupted_calls),
        LOCAL_GUEST_TEST(takes_a_transfer_that_does_not_move_for_a_failure),
        LOCAL_GUEST_TEST(fails_every_flush_after_a_failed_fsync),
        LOCAL_GUEST_TEST(does_not_confirm_that_the_cache_is_off_when_the_fsync_failed),
        LOCAL_GUEST_WRITE_THROUGH_TEST(takes_a_failed_durable_write_for_a_failed_fsync),
        LOCAL_GUEST_CACHED_TEST(takes_a_failed_durable_write_for_a_failed_fsync),
        LOCAL_GUEST_TEST(says_when_the_last_fsync_failed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
