/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * What waits for requests that are in flight: the end of the cache, the next front end, the end of
 * a ring. The whole back end runs in this process, with its writes and completions held.
 */
/* wrap: preadv2 pwritev2 fdatasync io_engine_reap */
#include <poll.h>
#include <string.h>

#include "support/cmocka_test.h"
#include "support/faulty_kernel.h"
#include "support/local_guest.h"

enum { WAIT_MS = 20000 };

static void waits_for_writes_in_flight_before_it_confirms_that_the_cache_is_off(void **state)
{
    struct local_guest *guest = *state;
    struct frontend_config config = {.offset = 32, .size = 1};
    struct pollfd answer;
    struct frontend_reply reply;
    uint32_t before;

    local_guest_connect(guest, BLK_CLIENT_FEATURES);
    before = kernel_event_count();
    kernel_hold_next_write();
    local_guest_submit(guest, 0, VIRTIO_BLK_T_OUT, 8);
    kernel_await_held();
    assert_int_equal(vhost_frontend_send(&guest->frontend, FRONTEND_SET_CONFIG,
                                         FRONTEND_FLAG_NEED_REPLY, &config, 13, NULL, 0),
                     0);
    /* A write that is popped while the change is under way is durable by itself. */
    answer = (struct pollfd){.fd = guest->frontend.fd, .events = POLLIN};
    assert_int_equal(poll(&answer, 1, 100), 0);
    local_guest_submit(guest, 1, VIRTIO_BLK_T_OUT, 16);
    assert_int_equal(local_guest_complete(guest, 1), VIRTIO_BLK_S_OK);
    assert_true(guest->device->file.direct ? kernel_event_at(before).durable
                                           : kernel_event_at(before + 1).kind == KERNEL_SYNC);
    assert_int_equal(poll(&answer, 1, 50), 0);
    before = kernel_event_count();
    kernel_release_write();
    assert_int_equal(vhost_frontend_receive(&guest->frontend, &reply), 0);
    assert_int_equal(reply.payload[0], 0);
    assert_int_equal(kernel_event_count(), before + 2);
    assert_int_equal(kernel_event_at(before).kind, KERNEL_WRITE);
    assert_false(kernel_event_at(before).durable);
    assert_int_equal(kernel_event_at(before + 1).kind, KERNEL_SYNC);
    assert_int_equal(local_guest_complete(guest, 0), VIRTIO_BLK_S_OK);
}

/* The same where writes really are concurrent: not even the sync begins before they have ended. */
static void syncs_after_the_writes_that_were_in_flight(void **state)
{
    struct local_guest *guest = *state;
    struct frontend_config config = {.offset = 32, .size = 1};
    struct pollfd answer;
    struct frontend_reply reply;

    local_guest_connect(guest, BLK_CLIENT_FEATURES);
    kernel_hold_completions(true);
    local_guest_submit(guest, 0, VIRTIO_BLK_T_OUT, 8);
    local_guest_submit(guest, 1, VIRTIO_BLK_T_OUT, 16);
    assert_int_equal(virtq_driver_wait(&guest->queues[0].driver, 50), 0);
    assert_int_equal(vhost_frontend_send(&guest->frontend, FRONTEND_SET_CONFIG,
                                         FRONTEND_FLAG_NEED_REPLY, &config, 13, NULL, 0),
                     0);
    answer = (struct pollfd){.fd = guest->frontend.fd, .events = POLLIN};
    assert_int_equal(poll(&answer, 1, 150), 0);
    assert_int_equal(kernel_sync_calls(), 0);
    kernel_hold_completions(false);
    assert_int_equal(vhost_frontend_receive(&guest->frontend, &reply), 0);
    assert_int_equal(reply.payload[0], 0);
    assert_int_equal(kernel_sync_calls(), 1);
    assert_int_equal(local_guest_complete(guest, 0), VIRTIO_BLK_S_OK);
    assert_int_equal(local_guest_complete(guest, 1), VIRTIO_BLK_S_OK);
}

/* Who comes while the requests of the one before are still in flight is neither answered nor turned
 * away until they have ended. */
static void lets_the_next_front_end_wait_while_the_old_one_drains(void **state)
{
    struct local_guest *guest = *state;
    struct pollfd answer;
    struct frontend_reply reply;

    local_guest_connect(guest, BLK_CLIENT_FEATURES);
    kernel_hold_completions(true);
    local_guest_submit(guest, 0, VIRTIO_BLK_T_OUT, 8);
    assert_int_equal(virtq_driver_wait(&guest->queues[0].driver, 50), 0);
    vhost_frontend_disconnect(&guest->frontend);
    assert_int_equal(vhost_frontend_connect(&guest->frontend, guest->socket_path, WAIT_MS), 0);
    assert_int_equal(
        vhost_frontend_send(&guest->frontend, FRONTEND_GET_FEATURES, 0, NULL, 0, NULL, 0), 0);
    answer = (struct pollfd){.fd = guest->frontend.fd, .events = POLLIN};
    assert_int_equal(poll(&answer, 1, 150), 0);
    kernel_hold_completions(false);
    assert_int_equal(vhost_frontend_receive(&guest->frontend, &reply), 0);
    assert_int_equal(local_guest_complete(guest, 0), VIRTIO_BLK_S_OK);
}

/* GET_VRING_BASE is answered when everything that was popped has been pushed. */
static void stops_a_ring_only_when_its_requests_have_ended(void **state)
{
    struct local_guest *guest = *state;
    struct frontend_vring_state vring = {.index = 0};
    struct pollfd answer;
    struct frontend_reply reply;

    local_guest_connect(guest, BLK_CLIENT_FEATURES);
    kernel_hold_completions(true);
    local_guest_submit(guest, 0, VIRTIO_BLK_T_OUT, 8);
    assert_int_equal(virtq_driver_wait(&guest->queues[0].driver, 50), 0);
    assert_int_equal(vhost_frontend_send(&guest->frontend, FRONTEND_GET_VRING_BASE, 0, &vring,
                                         sizeof(vring), NULL, 0),
                     0);
    answer = (struct pollfd){.fd = guest->frontend.fd, .events = POLLIN};
    assert_int_equal(poll(&answer, 1, 150), 0);
    kernel_hold_completions(false);
    assert_int_equal(vhost_frontend_receive(&guest->frontend, &reply), 0);
    memcpy(&vring, reply.payload, sizeof(vring));
    assert_int_equal(vring.num, 1);
    assert_true(virtq_driver_has_used(&guest->queues[0].driver));
    assert_int_equal(local_guest_complete(guest, 0), VIRTIO_BLK_S_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        LOCAL_GUEST_TEST(waits_for_writes_in_flight_before_it_confirms_that_the_cache_is_off),
        LOCAL_GUEST_URING_TEST(syncs_after_the_writes_that_were_in_flight),
        LOCAL_GUEST_URING_TEST(lets_the_next_front_end_wait_while_the_old_one_drains),
        LOCAL_GUEST_URING_TEST(stops_a_ring_only_when_its_requests_have_ended),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
