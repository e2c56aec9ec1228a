/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Queues that stop, start and come back on new connections, and memory that changes, all with
 * requests in flight: every head completes exactly once, wherever SET_VRING_BASE says the ring is.
 */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "support/backend_host.h"
#include "support/blk_client.h"
#include "support/blk_stress.h"
#include "support/cmocka_test.h"

enum { DISK_BYTES = 16 << 20, SECTOR = 512, QUEUES = 2, QUEUE_SIZE = 128, DEPTH = 64 };

struct fixture {
    struct backend_host host;
    struct blk_stress stress;
    struct stamped_disk disk;
    struct test_random random;
    char path[BACKEND_HOST_PATH_BYTES];
};

struct kind {
    bool encrypted;
    enum io_engine_kind engine;
    uint64_t without; /* protocol features */
};

static void check(struct fixture *fixture, int error)
{
    if (error < 0) {
        fail_msg("%s", fixture->stress.failure);
    }
}

static void start(struct fixture *fixture, const struct kind *kind)
{
    struct backend_host_params host;
    struct blk_stress_params params = {.seed = test_seed(),
                                       .features = BLK_CLIENT_FEATURES,
                                       .protocol_features =
                                           BLK_CLIENT_PROTOCOL_FEATURES & ~kind->without,
                                       .queue_count = QUEUES,
                                       .region_count = 3,
                                       .queue_size = QUEUE_SIZE,
                                       .depth = DEPTH};

    *fixture = (struct fixture){.random = {test_seed()}};
    assert_int_equal(test_disk_create(fixture->path, DISK_BYTES), 0);
    host = backend_host_defaults(fixture->path);
    host.device.queue_count = QUEUES;
    host.device.io_engine = kind->engine;
    host.encrypted = kind->encrypted;
    assert_int_equal(backend_host_start(&fixture->host, &host), 0);
    assert_int_equal(stamped_disk_init(&fixture->disk, DISK_BYTES / SECTOR), 0);
    assert_int_equal(blk_stress_init(&fixture->stress, &params, &fixture->disk), 0);
    check(fixture, blk_stress_connect(&fixture->stress, fixture->host.socket_path));
    check(fixture, blk_stress_script_format(&fixture->stress));
    check(fixture, blk_stress_run_script(&fixture->stress));
}

/* Everything comes back, and the disk holds what the stamps say. */
static void finish(struct fixture *fixture)
{
    check(fixture, blk_stress_drain(&fixture->stress));
    check(fixture, blk_stress_script_verify(&fixture->stress));
    check(fixture, blk_stress_run_script(&fixture->stress));
    assert_int_equal(fixture->stress.started, fixture->stress.ended + fixture->stress.lost);
    blk_stress_deinit(&fixture->stress);
    assert_int_equal(backend_host_stop(&fixture->host), 0);
    stamped_disk_deinit(&fixture->disk);
    test_disk_remove(fixture->path);
}

static const struct kind kinds[] = {
    {.encrypted = false, .engine = IO_ENGINE_URING},
    {.encrypted = true, .engine = IO_ENGINE_URING},
    {.encrypted = false, .engine = IO_ENGINE_SYNC},
};

enum { KINDS = sizeof(kinds) / sizeof(kinds[0]) };

/* A base at or behind where the ring is: what a front end says that restarts from an old state. */
static uint32_t stale_base(struct fixture *fixture, uint32_t queue)
{
    uint32_t base = fixture->stress.base[queue];

    switch (test_random_below(&fixture->random, 3)) {
    case 0:
        return base;
    case 1:
        return fixture->stress.queues[queue].driver.used_index;
    default:
        return (uint16_t)(base - test_random_below(&fixture->random, 1000));
    }
}

static void stop_and_start(struct fixture *fixture, uint32_t queue)
{
    struct vring_used *used = fixture->stress.queues[queue].driver.used;
    uint16_t stopped_at;

    check(fixture, blk_stress_stop_queue(&fixture->stress, queue));
    stopped_at = __atomic_load_n(&used->idx, __ATOMIC_ACQUIRE);
    virtq_driver_kick(&fixture->stress.queues[queue].driver);
    assert_int_equal(vhost_frontend_sync(&fixture->stress.frontend), 0);
    /* Nothing is pushed to a ring that is stopped. */
    assert_int_equal(__atomic_load_n(&used->idx, __ATOMIC_ACQUIRE), stopped_at);
    fixture->stress.base[queue] = stale_base(fixture, queue);
    check(fixture, blk_stress_start_queue(&fixture->stress, queue));
}

static void completes_each_head_once_over_stops_and_starts(void **state)
{
    uint64_t rounds = test_count_long(150, 3000);
    struct fixture *fixture = test_malloc(sizeof(*fixture));

    (void)state;
    test_print_scale(rounds, "stops under load");
    for (uint32_t i = 0; i < KINDS; i++) {
        start(fixture, &kinds[i]);
        for (uint64_t round = 0; round < rounds / KINDS; round++) {
            uint64_t burst = test_random_below(&fixture->random, 200);

            check(fixture, blk_stress_run(&fixture->stress, burst));
            stop_and_start(fixture, (uint32_t)(round % QUEUES));
            if (round % 8 == 0) { /* what was left on the ring is served without a kick */
                check(fixture, blk_stress_drain(&fixture->stress));
            }
        }
        finish(fixture);
    }
    test_free(fixture);
}

static void completes_each_head_once_over_connections_that_break(void **state)
{
    uint64_t rounds = test_count_long(90, 3000);
    struct fixture *fixture = test_malloc(sizeof(*fixture));

    (void)state;
    test_print_scale(rounds, "reconnections with the rings as they were");
    for (uint32_t i = 0; i < KINDS; i++) {
        start(fixture, &kinds[i]);
        for (uint64_t round = 0; round < rounds / KINDS; round++) {
            check(fixture,
                  blk_stress_run(&fixture->stress, test_random_below(&fixture->random, 200)));
            blk_stress_vanish(&fixture->stress, false);
            for (uint32_t queue = 0; queue < QUEUES; queue++) {
                fixture->stress.base[queue] = stale_base(fixture, queue);
            }
            check(fixture, blk_stress_connect(&fixture->stress, fixture->host.socket_path));
        }
        finish(fixture);
    }
    test_free(fixture);
}

static void serves_on_while_regions_are_removed_moved_and_added(void **state)
{
    uint64_t rounds = test_count_long(60, 1500);
    struct fixture *fixture = test_malloc(sizeof(*fixture));
    uint32_t mappings;

    (void)state;
    test_print_scale(rounds, "moved regions");
    for (uint32_t i = 0; i < KINDS; i++) {
        start(fixture, &kinds[i]);
        mappings = backend_host_mapping_count(&fixture->host);
        for (uint64_t round = 0; round < rounds / KINDS; round++) {
            uint32_t region = 1 + (uint32_t)(round % 3);
            uint64_t gpa = fixture->stress.ram.regions[region].gpa;

            check(fixture, blk_stress_run(&fixture->stress, 100));
            check(fixture, blk_stress_drain_region(&fixture->stress, region));
            check(fixture,
                  blk_stress_move_region(&fixture->stress, region, gpa ^ (UINT64_C(1) << 40)));
        }
        check(fixture, blk_stress_drain(&fixture->stress));
        assert_int_equal(vhost_frontend_sync(&fixture->stress.frontend), 0);
        assert_int_equal(backend_host_mapping_count(&fixture->host), mappings);
        finish(fixture);
    }
    test_free(fixture);
}

static void ends_requests_whose_region_is_removed_under_them(void **state)
{
    uint64_t rounds = test_count_long(30, 900);
    struct fixture *fixture = test_malloc(sizeof(*fixture));

    (void)state;
    test_print_scale(rounds, "regions removed under requests");
    for (uint32_t i = 0; i < KINDS; i++) {
        start(fixture, &kinds[i]);
        for (uint64_t round = 0; round < rounds / KINDS; round++) {
            uint32_t region = 1 + (uint32_t)(round % 3);
            struct guest_ram_region *removed = &fixture->stress.ram.regions[region];

            check(fixture, blk_stress_run(&fixture->stress, 100));
            blk_stress_expect_anything(&fixture->stress, region);
            assert_int_equal(vhost_frontend_rem_mem_reg(&fixture->stress.frontend, removed), 0);
            check(fixture, blk_stress_drain_region(&fixture->stress, region));
            assert_int_equal(vhost_frontend_add_mem_reg(&fixture->stress.frontend, removed), 0);
            fixture->stress.usable_regions |= 1u << region;
        }
        finish(fixture);
    }
    test_free(fixture);
}

static void serves_on_while_the_memory_table_is_replaced(void **state)
{
    struct kind kind = {.without = FRONTEND_BIT(FRONTEND_PROTOCOL_MEM_SLOTS)};
    uint64_t rounds = test_count_long(40, 1000);
    struct fixture *fixture = test_malloc(sizeof(*fixture));

    (void)state;
    test_print_scale(rounds, "memory tables");
    start(fixture, &kind);
    for (uint64_t round = 0; round < rounds; round++) {
        check(fixture, blk_stress_run(&fixture->stress, 100));
        assert_int_equal(
            vhost_frontend_set_mem_table(&fixture->stress.frontend, &fixture->stress.ram), 0);
    }
    finish(fixture);
    test_free(fixture);
}

static void turns_another_front_end_away_and_goes_on(void **state)
{
    uint64_t rounds = test_count(20, 300);
    struct fixture *fixture = test_malloc(sizeof(*fixture));

    (void)state;
    test_print_scale(rounds, "front ends turned away");
    start(fixture, &kinds[0]);
    for (uint64_t round = 0; round < rounds; round++) {
        struct vhost_frontend other;

        check(fixture, blk_stress_run(&fixture->stress, 100));
        assert_int_equal(vhost_frontend_connect(&other, fixture->host.socket_path, 1000), 0);
        assert_int_equal(vhost_frontend_await_close(&other, 10000), 0);
        vhost_frontend_disconnect(&other);
    }
    finish(fixture);
    test_free(fixture);
}

/* As QEMU masks an interrupt: signals go to another descriptor for a while, and what came there is
 * injected afterwards. */
static void mask_and_unmask(struct fixture *fixture, uint32_t queue, int masked_fd)
{
    struct vhost_frontend *frontend = &fixture->stress.frontend;
    int call_fd = fixture->stress.queues[queue].call_fd;
    uint64_t pending = 0;

    assert_int_equal(
        vhost_frontend_set_vring_fd(frontend, FRONTEND_SET_VRING_CALL, queue, masked_fd), 0);
    poll(NULL, 0, (int)test_random_below(&fixture->random, 3));
    assert_int_equal(vhost_frontend_set_vring_fd(frontend, FRONTEND_SET_VRING_CALL, queue, call_fd),
                     0);
    if (read(masked_fd, &pending, sizeof(pending)) == sizeof(pending)) {
        assert_int_equal(write(call_fd, &pending, sizeof(pending)), sizeof(pending));
    }
}

/* A new kick descriptor, which the driver uses from then on. */
static void change_kick(struct fixture *fixture, uint32_t queue)
{
    struct frontend_queue *changed = &fixture->stress.queues[queue];
    int fresh = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

    assert_true(fresh >= 0);
    assert_int_equal(vhost_frontend_set_vring_fd(&fixture->stress.frontend, FRONTEND_SET_VRING_KICK,
                                                 queue, fresh),
                     0);
    close(changed->kick_fd);
    changed->kick_fd = changed->driver.kick_fd = fresh;
}

static void loses_no_kick_and_no_signal_when_descriptors_change(void **state)
{
    uint64_t rounds = test_count(200, 3000);
    struct fixture *fixture = test_malloc(sizeof(*fixture));
    int masked_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

    (void)state;
    test_print_scale(rounds, "changes of descriptors under load");
    for (uint32_t i = 0; i < KINDS; i++) {
        start(fixture, &kinds[i]);
        for (uint64_t round = 0; round < rounds / KINDS; round++) {
            uint32_t queue = (uint32_t)(round / 2 % QUEUES);

            check(fixture,
                  blk_stress_run(&fixture->stress, 1 + test_random_below(&fixture->random, 80)));
            if (round % 2 == 0) {
                mask_and_unmask(fixture, queue, masked_fd);
            } else {
                change_kick(fixture, queue);
            }
            if (round % 4 == 0) {
                check(fixture, blk_stress_drain(&fixture->stress));
            }
        }
        finish(fixture);
    }
    close(masked_fd);
    test_free(fixture);
}

/* A disabled ring takes nothing; a kick that came meanwhile is not forgotten. */
static void serves_what_was_kicked_while_the_ring_was_disabled(void **state)
{
    struct fixture *fixture = test_malloc(sizeof(*fixture));
    struct virtq_driver *driver;

    (void)state;
    start(fixture, &kinds[0]);
    driver = &fixture->stress.queues[0].driver;
    for (uint32_t round = 0; round < 20; round++) {
        check(fixture, blk_stress_drain(&fixture->stress));
        assert_int_equal(
            vhost_frontend_set_vring(&fixture->stress.frontend, FRONTEND_SET_VRING_ENABLE, 0, 0),
            0);
        check(fixture, blk_stress_run(&fixture->stress, 10)); /* queue 0 comes first */
        virtq_driver_kick(driver);
        assert_int_equal(vhost_frontend_sync(&fixture->stress.frontend), 0);
        assert_true(driver->in_flight_count > 0);
        assert_int_equal(virtq_driver_wait(driver, 10), 0);
        assert_false(virtq_driver_has_used(driver));
        assert_int_equal(
            vhost_frontend_set_vring(&fixture->stress.frontend, FRONTEND_SET_VRING_ENABLE, 0, 1),
            0);
    }
    finish(fixture);
    test_free(fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(completes_each_head_once_over_stops_and_starts),
        cmocka_unit_test(completes_each_head_once_over_connections_that_break),
        cmocka_unit_test(serves_on_while_regions_are_removed_moved_and_added),
        cmocka_unit_test(ends_requests_whose_region_is_removed_under_them),
        cmocka_unit_test(serves_on_while_the_memory_table_is_replaced),
        cmocka_unit_test(turns_another_front_end_away_and_goes_on),
        cmocka_unit_test(loses_no_kick_and_no_signal_when_descriptors_change),
        cmocka_unit_test(serves_what_was_kicked_while_the_ring_was_disabled),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
