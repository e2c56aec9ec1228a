/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Front ends that vanish with requests in flight, and guests that start afresh on the next
 * connection with the same memory: whatever the old connection still had in hand has ended when the
 * new one answers, so no late completion or write can hit the new rings, buffers or sectors.
 */
#include <string.h>
#include <unistd.h>

#include "support/backend_host.h"
#include "support/blk_client.h"
#include "support/blk_stress.h"
#include "support/cmocka_test.h"

enum { DISK_BYTES = 16 << 20, SECTOR = 512, QUEUES = 2, QUEUE_SIZE = 256, DEPTH = 128 };

struct fixture {
    struct backend_host host;
    struct blk_stress stress;
    struct stamped_disk disk;
    char path[BACKEND_HOST_PATH_BYTES];
};

static void check(const struct fixture *fixture, int error)
{
    if (error < 0) {
        fail_msg("%s", fixture->stress.failure);
    }
}

/* Leaves without a word, or in the middle of one. */
static void vanish(struct fixture *fixture, uint64_t round)
{
    struct vhost_frontend *frontend = &fixture->stress.frontend;
    struct frontend_vring_state state = {.index = (uint32_t)(round % QUEUES)};
    struct frontend_header header = {FRONTEND_GET_VRING_BASE, FRONTEND_VERSION, sizeof(state)};

    switch (round % 4) {
    case 1: /* within a message */
        assert_int_equal(vhost_frontend_send_raw(frontend, &header, sizeof(header), NULL, 0), 0);
        break;
    case 2: /* without waiting for an answer that takes a while */
        assert_int_equal(vhost_frontend_send(frontend, FRONTEND_GET_VRING_BASE, 0, &state,
                                             sizeof(state), NULL, 0),
                         0);
        break;
    case 3: /* with a violation */
        header.flags = 3;
        assert_int_equal(vhost_frontend_send_raw(frontend, &header, sizeof(header), NULL, 0), 0);
        break;
    default:
        break;
    }
    blk_stress_vanish(&fixture->stress, true);
}

static void survive(const char *name, bool encrypted, enum io_engine_kind engine, uint64_t rounds)
{
    struct fixture *fixture = test_calloc(1, sizeof(*fixture));
    struct blk_stress_params params = {.seed = test_seed(),
                                       .features = BLK_CLIENT_FEATURES,
                                       .protocol_features = BLK_CLIENT_PROTOCOL_FEATURES,
                                       .queue_count = QUEUES,
                                       .region_count = 2,
                                       .queue_size = QUEUE_SIZE,
                                       .depth = DEPTH};
    struct test_random random = {test_seed()};
    struct backend_host_params host;
    uint32_t fds, mappings;
    uint64_t lost = 0;

    test_print_scale(rounds, name);
    assert_int_equal(test_disk_create(fixture->path, DISK_BYTES), 0);
    host = backend_host_defaults(fixture->path);
    host.device.queue_count = QUEUES;
    host.device.io_engine = engine;
    host.encrypted = encrypted;
    assert_int_equal(backend_host_start(&fixture->host, &host), 0);
    assert_int_equal(stamped_disk_init(&fixture->disk, DISK_BYTES / SECTOR), 0);
    assert_int_equal(blk_stress_init(&fixture->stress, &params, &fixture->disk), 0);
    check(fixture, blk_stress_connect(&fixture->stress, fixture->host.socket_path));
    check(fixture, blk_stress_script_format(&fixture->stress));
    check(fixture, blk_stress_run_script(&fixture->stress));
    fds = backend_host_fd_count(&fixture->host);
    mappings = backend_host_mapping_count(&fixture->host);
    for (uint64_t round = 0; round < rounds; round++) {
        check(fixture,
              blk_stress_run(&fixture->stress, 20 + test_random_below(&random, 2 * DEPTH)));
        lost += blk_stress_in_flight(&fixture->stress);
        vanish(fixture, round);
        check(fixture, blk_stress_connect(&fixture->stress, fixture->host.socket_path));
    }
    assert_true(lost > rounds); /* there was something in flight */
    assert_int_equal(backend_host_fd_count(&fixture->host), fds);
    assert_int_equal(backend_host_mapping_count(&fixture->host), mappings);
    check(fixture, blk_stress_drain(&fixture->stress));
    check(fixture, blk_stress_script_verify(&fixture->stress));
    check(fixture, blk_stress_run_script(&fixture->stress));
    blk_stress_deinit(&fixture->stress);
    assert_int_equal(backend_host_stop(&fixture->host), 0);
    stamped_disk_deinit(&fixture->disk);
    test_disk_remove(fixture->path);
    test_free(fixture);
}

static void survives_front_ends_that_vanish_from_a_plain_disk(void **state)
{
    (void)state;
    survive("disconnects under load", false, IO_ENGINE_URING, test_count(60, 1000));
}

static void survives_front_ends_that_vanish_from_an_encrypted_disk(void **state)
{
    (void)state;
    survive("disconnects under load, encrypted", true, IO_ENGINE_URING, test_count(60, 1000));
}

static void survives_front_ends_that_vanish_from_the_sync_engine(void **state)
{
    (void)state;
    survive("disconnects under load, sync engine", true, IO_ENGINE_SYNC, test_count(20, 200));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(survives_front_ends_that_vanish_from_a_plain_disk),
        cmocka_unit_test(survives_front_ends_that_vanish_from_an_encrypted_disk),
        cmocka_unit_test(survives_front_ends_that_vanish_from_the_sync_engine),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
