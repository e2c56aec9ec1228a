/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * One request at a time, the next one made available at every possible moment: while the device
 * answers, polls, goes to sleep or sleeps. A kick or signal that is lost in between leaves both
 * sides waiting for each other.
 */
#include <string.h>

#include "support/backend_host.h"
#include "support/blk_client.h"
#include "support/cmocka_test.h"
#include "support/test_scale.h"

enum { DISK_BYTES = 1 << 20, WAIT_MS = 5000, PAUSE_MAX = 3000, KINDS = 8 };

static void pause_at_random(struct test_random *random)
{
    uint64_t rounds = test_random_below(random, PAUSE_MAX);

    for (volatile uint64_t i = 0; i < rounds; i = i + 1) {
    }
}

static void take_turns(struct blk_client *client, bool polling, uint64_t rounds)
{
    struct virtq_driver *driver = &client->queues[0].driver;
    struct test_random random = {test_seed()};

    if (polling) {
        virtq_driver_disable_signals(driver);
    }
    for (uint64_t round = 0; round < rounds; round++) {
        struct blk_client_done done;
        int ready;

        pause_at_random(&random);
        assert_int_equal(
            blk_client_submit(client, 0, 0, VIRTIO_BLK_T_GET_ID, 0, VIRTIO_BLK_ID_BYTES), 0);
        blk_client_publish(client, 0);
        ready = polling ? virtq_driver_poll(driver, WAIT_MS) : virtq_driver_wait(driver, WAIT_MS);
        if (ready == 0) {
            fail_msg("round %" PRIu64 ": %s", round,
                     virtq_driver_has_used(driver) ? "a signal was lost" : "a kick was lost");
        }
        assert_int_equal(blk_client_reap(client, 0, &done, 1), 1);
        assert_int_equal(done.status, VIRTIO_BLK_S_OK);
    }
}

static void serve_one_kind(const char *path, uint32_t kind, uint64_t rounds)
{
    struct backend_host_params host_params = backend_host_defaults(path);
    struct blk_client_params params = {.features = BLK_CLIENT_FEATURES,
                                       .protocol_features = BLK_CLIENT_PROTOCOL_FEATURES,
                                       .queue_count = 1,
                                       .queue_size = 16,
                                       .depth = 1,
                                       .slot_bytes = 4096,
                                       .connect_timeout_ms = WAIT_MS};
    struct blk_client client;
    struct backend_host host;

    host_params.device.poll_timeout_us = (kind & 1) != 0 ? 5 : 0;
    host_params.device.io_engine = (kind & 2) != 0 ? IO_ENGINE_SYNC : IO_ENGINE_URING;
    if ((kind & 4) != 0) {
        params.features &= ~FRONTEND_BIT(VIRTIO_RING_F_EVENT_IDX);
    }
    assert_int_equal(backend_host_start(&host, &host_params), 0);
    params.socket_path = host.socket_path;
    assert_int_equal(blk_client_open(&client, &params), 0);
    take_turns(&client, true, rounds);
    virtq_driver_enable_signals(&client.queues[0].driver);
    take_turns(&client, false, rounds);
    blk_client_close(&client);
    assert_int_equal(backend_host_stop(&host), 0);
}

static void loses_neither_kicks_nor_signals(void **state)
{
    uint64_t rounds = test_count_long(32000, 3200000);
    char path[BACKEND_HOST_PATH_BYTES];

    (void)state;
    test_print_scale(rounds, "requests one at a time");
    assert_int_equal(test_disk_create(path, DISK_BYTES), 0);
    for (uint32_t kind = 0; kind < KINDS; kind++) {
        serve_one_kind(path, kind, rounds / KINDS / 2);
    }
    test_disk_remove(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(loses_neither_kicks_nor_signals),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
