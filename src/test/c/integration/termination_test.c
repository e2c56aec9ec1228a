/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * SIGTERM with requests in flight: the process ends in order with status 0, every request that it
 * took is completed, and the next process serves what it did not take, from the same rings.
 */
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "support/backend_host.h"
#include "support/blk_client.h"
#include "support/blk_stress.h"
#include "support/cmocka_test.h"

enum { DISK_BYTES = 16 << 20, SECTOR = 512, QUEUES = 2, QUEUE_SIZE = 256, DEPTH = 128 };

static void check(const struct blk_stress *stress, int error)
{
    if (error < 0) {
        fail_msg("%s", stress->failure);
    }
}

static void check_stopped(struct backend_host *host)
{
    char socket_path[BACKEND_HOST_PATH_BYTES];
    struct stat status;

    memcpy(socket_path, host->socket_path, sizeof(socket_path));
    assert_int_equal(backend_host_stop(host), 0);
    assert_int_not_equal(stat(socket_path, &status), 0);
}

static void terminate_under_load(bool encrypted, enum io_engine_kind engine, uint64_t rounds)
{
    struct blk_stress *stress = test_calloc(1, sizeof(*stress));
    struct blk_stress_params params = {.seed = test_seed(),
                                       .features = BLK_CLIENT_FEATURES,
                                       .protocol_features = BLK_CLIENT_PROTOCOL_FEATURES,
                                       .queue_count = QUEUES,
                                       .region_count = 2,
                                       .queue_size = QUEUE_SIZE,
                                       .depth = DEPTH};
    struct test_random random = {test_seed()};
    char path[BACKEND_HOST_PATH_BYTES];
    struct backend_host_params host_params;
    struct backend_host host;
    struct stamped_disk disk;

    assert_int_equal(test_disk_create(path, DISK_BYTES), 0);
    host_params = backend_host_defaults(path);
    host_params.device.queue_count = QUEUES;
    host_params.device.queue_size = QUEUE_SIZE;
    host_params.device.io_engine = engine;
    host_params.encrypted = encrypted;
    assert_int_equal(stamped_disk_init(&disk, DISK_BYTES / SECTOR), 0);
    assert_int_equal(backend_host_start(&host, &host_params), 0);
    assert_int_equal(blk_stress_init(stress, &params, &disk), 0);
    check(stress, blk_stress_connect(stress, host.socket_path));
    check(stress, blk_stress_script_format(stress));
    check(stress, blk_stress_run_script(stress));
    for (uint64_t round = 0; round < rounds; round++) {
        check(stress, blk_stress_run(stress, 2 * DEPTH + test_random_below(&random, DEPTH)));
        check_stopped(&host);
        blk_stress_vanish(stress, false);
        assert_int_equal(backend_host_start(&host, &host_params), 0);
        check(stress, blk_stress_connect(stress, host.socket_path));
    }
    check(stress, blk_stress_drain(stress));
    check(stress, blk_stress_script_verify(stress));
    check(stress, blk_stress_run_script(stress));
    assert_int_equal(stress->started, stress->ended);
    blk_stress_deinit(stress);
    check_stopped(&host);
    stamped_disk_deinit(&disk);
    test_disk_remove(path);
    test_free(stress);
}

static void completes_what_it_took_and_ends_with_status_0(void **state)
{
    uint64_t rounds = test_count(6, 60);

    (void)state;
    test_print_scale(3 * rounds, "terminations under load");
    terminate_under_load(false, IO_ENGINE_URING, rounds);
    terminate_under_load(true, IO_ENGINE_URING, rounds);
    terminate_under_load(false, IO_ENGINE_SYNC, rounds);
}

/* A front end that sends without a pause cannot put the end off. */
static void ends_while_a_front_end_floods_it(void **state)
{
    struct frontend_header header = {FRONTEND_SET_OWNER, FRONTEND_VERSION, 0};
    struct frontend_header flood[64];
    struct backend_host_params params;
    struct vhost_frontend frontend;
    struct backend_host host;
    char path[BACKEND_HOST_PATH_BYTES];

    (void)state;
    assert_int_equal(test_disk_create(path, DISK_BYTES), 0);
    params = backend_host_defaults(path);
    assert_int_equal(backend_host_start(&host, &params), 0);
    assert_int_equal(vhost_frontend_connect(&frontend, host.socket_path, 10000), 0);
    for (uint32_t i = 0; i < 64; i++) {
        flood[i] = header;
    }
    for (uint32_t i = 0; backend_host_alive(&host); i++) {
        if (i == 100) {
            assert_int_equal(kill(host.pid, SIGTERM), 0);
        }
        assert_true(i < 2000000); /* some seconds */
        (void)vhost_frontend_send_raw(&frontend, flood, sizeof(flood), NULL, 0);
    }
    assert_int_equal(backend_host_stop(&host), 0);
    vhost_frontend_disconnect(&frontend);
    test_disk_remove(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(completes_what_it_took_and_ends_with_status_0),
        cmocka_unit_test(ends_while_a_front_end_floods_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
