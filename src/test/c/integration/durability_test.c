/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * When written data is durable: which writes are so by themselves, what is followed by an fsync,
 * and who decides about it. The whole back end runs in this process, with its calls recorded.
 */
/* wrap: preadv2 pwritev2 fdatasync io_engine_reap */
#include "support/cmocka_test.h"
#include "support/faulty_kernel.h"
#include "support/local_guest.h"

/* Whether a write is durable when it is answered: through the page cache a sync has followed it. */
static bool write_is_durable(struct local_guest *guest, uint32_t queue)
{
    uint32_t before = kernel_event_count();
    bool synced;

    local_guest_submit(guest, queue, VIRTIO_BLK_T_OUT, 8);
    assert_int_equal(local_guest_complete(guest, queue), VIRTIO_BLK_S_OK);
    synced = kernel_event_count() == before + 2;
    assert_int_equal(kernel_event_count(), before + 1 + synced);
    assert_int_equal(kernel_event_at(before).kind, KERNEL_WRITE);
    assert_true(!synced || kernel_event_at(before + 1).kind == KERNEL_SYNC);
    assert_false(synced && guest->device->file.direct);
    return synced || kernel_event_at(before).durable;
}

/* The same on both queues, which must agree. */
static bool writes_are_durable(struct local_guest *guest)
{
    bool durable = write_is_durable(guest, 0);

    assert_int_equal(durable, write_is_durable(guest, 1));
    return durable;
}

static void writes_through_the_cache_and_flushes_with_an_fsync(void **state)
{
    struct local_guest *guest = *state;
    uint32_t before;

    local_guest_connect(guest, BLK_CLIENT_FEATURES);
    assert_int_equal(local_guest_cache_mode(guest), 1);
    assert_false(writes_are_durable(guest));
    for (uint32_t i = 0; i < 3; i++) { /* also when nothing was written in between */
        before = kernel_event_count();
        assert_int_equal(local_guest_execute(guest, VIRTIO_BLK_T_FLUSH, 0), VIRTIO_BLK_S_OK);
        assert_int_equal(kernel_event_count(), before + 1);
        assert_int_equal(kernel_event_at(before).kind, KERNEL_SYNC);
    }
}

static void writes_durably_when_it_is_configured_to(void **state)
{
    struct local_guest *guest = *state;

    local_guest_connect(guest, BLK_CLIENT_FEATURES);
    assert_int_equal(local_guest_cache_mode(guest), 0);
    assert_true(writes_are_durable(guest));
    assert_int_equal(local_guest_set_cache_mode(guest, 1), 0); /* ignored */
    assert_int_equal(local_guest_cache_mode(guest), 0);
    assert_true(writes_are_durable(guest));
    assert_int_equal(local_guest_execute(guest, VIRTIO_BLK_T_FLUSH, 0), VIRTIO_BLK_S_OK);
    assert_int_equal(kernel_event_at(kernel_event_count() - 1).kind, KERNEL_SYNC);
}

static void writes_durably_for_a_driver_that_cannot_flush(void **state)
{
    struct local_guest *guest = *state;

    local_guest_connect(guest, LOCAL_GUEST_NO_FLUSH);
    assert_true(writes_are_durable(guest));
}

static void makes_volatile_writes_durable_when_the_next_driver_cannot_flush(void **state)
{
    struct local_guest *guest = *state;
    uint32_t before;

    local_guest_connect(guest, BLK_CLIENT_FEATURES);
    assert_false(writes_are_durable(guest));
    before = kernel_event_count();
    /* Other features on the same connection, as after a reset of the guest. */
    assert_int_equal(
        vhost_frontend_set_u64(&guest->frontend, FRONTEND_SET_FEATURES, LOCAL_GUEST_NO_FLUSH), 0);
    assert_int_equal(kernel_event_count(), before + 1);
    assert_int_equal(kernel_event_at(before).kind, KERNEL_SYNC);
    assert_true(writes_are_durable(guest));
    assert_int_equal(
        vhost_frontend_set_u64(&guest->frontend, FRONTEND_SET_FEATURES, BLK_CLIENT_FEATURES), 0);
    assert_false(writes_are_durable(guest));
}

static void syncs_before_it_confirms_that_the_cache_is_off(void **state)
{
    struct local_guest *guest = *state;
    uint32_t before;

    local_guest_connect(guest, BLK_CLIENT_FEATURES);
    for (uint32_t i = 0; i < 3; i++) {
        assert_false(writes_are_durable(guest));
        before = kernel_event_count();
        assert_int_equal(local_guest_set_cache_mode(guest, 0), 0);
        assert_int_equal(kernel_event_count(), before + 1);
        assert_int_equal(kernel_event_at(before).kind, KERNEL_SYNC);
        assert_int_equal(local_guest_cache_mode(guest), 0);
        assert_true(writes_are_durable(guest));
        assert_int_equal(local_guest_set_cache_mode(guest, 1), 0);
        assert_int_equal(local_guest_cache_mode(guest), 1);
    }
}

static void keeps_the_cache_mode_over_connections(void **state)
{
    struct local_guest *guest = *state;

    for (uint8_t mode = 0; mode < 2; mode++) {
        local_guest_connect(guest, BLK_CLIENT_FEATURES);
        assert_int_equal(local_guest_set_cache_mode(guest, mode), 0);
        vhost_frontend_disconnect(&guest->frontend);
        for (uint32_t fresh = 0; fresh < 2; fresh++) {
            if (fresh == 1) {
                local_guest_reset_queues(guest);
            }
            local_guest_connect(guest, BLK_CLIENT_FEATURES);
            assert_int_equal(local_guest_cache_mode(guest), mode);
            assert_int_equal(writes_are_durable(guest), mode == 0);
            vhost_frontend_disconnect(&guest->frontend);
        }
    }
}

/* Leaves rings behind whose used.idx is not 0, and connects them to another back end. */
static void resume_in_a_new_process(struct local_guest *guest)
{
    local_guest_connect(guest, BLK_CLIENT_FEATURES);
    assert_false(writes_are_durable(guest));
    vhost_frontend_disconnect(&guest->frontend);
    assert_int_equal(local_guest_stop_backend(guest), 0);
    local_guest_start_backend(guest, false);
    local_guest_connect(guest, BLK_CLIENT_FEATURES);
}

/* A new process does not know what the driver of a running guest chose. */
static void writes_durably_to_a_ring_that_resumes_in_a_new_process(void **state)
{
    struct local_guest *guest = *state;

    resume_in_a_new_process(guest);
    assert_true(writes_are_durable(guest));
    vhost_frontend_disconnect(&guest->frontend);
    local_guest_connect(guest, BLK_CLIENT_FEATURES);
    assert_true(writes_are_durable(guest));
    assert_int_equal(local_guest_set_cache_mode(guest, 1), 0);
    assert_false(writes_are_durable(guest));
}

static void trusts_the_cache_again_when_the_guest_starts_afresh(void **state)
{
    struct local_guest *guest = *state;

    resume_in_a_new_process(guest);
    assert_true(writes_are_durable(guest));
    vhost_frontend_disconnect(&guest->frontend);
    local_guest_reset_queues(guest);
    local_guest_connect(guest, BLK_CLIENT_FEATURES);
    assert_false(writes_are_durable(guest));
    vhost_frontend_disconnect(&guest->frontend);
    local_guest_connect(guest, BLK_CLIENT_FEATURES); /* this process saw it start */
    assert_false(writes_are_durable(guest));
}

static void syncs_when_it_stops(void **state)
{
    struct local_guest *guest = *state;

    local_guest_connect(guest, BLK_CLIENT_FEATURES);
    assert_false(writes_are_durable(guest));
    assert_int_equal(local_guest_stop_backend(guest), 0);
    assert_int_equal(kernel_event_at(kernel_event_count() - 1).kind, KERNEL_SYNC);
}

/* A flush covers the writes that completed before it, on whichever queue. */
static void flushes_what_another_queue_wrote(void **state)
{
    struct local_guest *guest = *state;
    uint32_t before;

    local_guest_connect(guest, BLK_CLIENT_FEATURES);
    before = kernel_event_count();
    local_guest_submit(guest, 1, VIRTIO_BLK_T_OUT, 24);
    assert_int_equal(local_guest_complete(guest, 1), VIRTIO_BLK_S_OK);
    assert_int_equal(local_guest_execute(guest, VIRTIO_BLK_T_FLUSH, 0), VIRTIO_BLK_S_OK);
    assert_int_equal(kernel_event_count(), before + 2);
    assert_int_equal(kernel_event_at(before + 1).kind, KERNEL_SYNC);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        LOCAL_GUEST_TEST(writes_through_the_cache_and_flushes_with_an_fsync),
        LOCAL_GUEST_WRITE_THROUGH_TEST(writes_durably_when_it_is_configured_to),
        LOCAL_GUEST_CACHED_TEST(writes_durably_when_it_is_configured_to),
        LOCAL_GUEST_TEST(writes_durably_for_a_driver_that_cannot_flush),
        LOCAL_GUEST_TEST(makes_volatile_writes_durable_when_the_next_driver_cannot_flush),
        LOCAL_GUEST_TEST(syncs_before_it_confirms_that_the_cache_is_off),
        LOCAL_GUEST_TEST(keeps_the_cache_mode_over_connections),
        LOCAL_GUEST_TEST(writes_durably_to_a_ring_that_resumes_in_a_new_process),
        LOCAL_GUEST_TEST(trusts_the_cache_again_when_the_guest_starts_afresh),
        LOCAL_GUEST_TEST(syncs_when_it_stops),
        LOCAL_GUEST_TEST(flushes_what_another_queue_wrote),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
