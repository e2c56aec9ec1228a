/* SPDX-License-Identifier: AGPL-3.0-only */
/* What a front end may tell about rings and in which order, with real queue threads. */
#include "vhost/vhost_rings.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "blk/virtio_blk.h"
#include "support/cmocka_test.h"
#include "support/device_ring.h"
#include "support/test_device.h"

enum { QUEUES = 2, SIZE = 64, WAIT_MS = 20000, IN = 0, OUT = 1 };

static const uint64_t all_features = 1ull << VIRTIO_BLK_F_FLUSH | 1ull << VIRTIO_F_EVENT_IDX |
                                     1ull << VHOST_USER_F_PROTOCOL_FEATURES |
                                     1ull << VIRTIO_F_VERSION_1;

struct fixture {
    struct test_device *test;
    struct vhost_queue *queues[QUEUES];
    struct vhost_cache cache;
    int done_fd;
    uint32_t stop_timeout_ms;
    struct vhost_rings *rings;
    struct device_ring ring;
    struct error error;
};

static void begin(struct fixture *f)
{
    const struct vhost_rings_params params = {
        .device = &f->test->device,
        .queues = f->queues,
        .cache = &f->cache,
        .log = f->test->log,
        .done_fd = f->done_fd,
        .stop_timeout_ms = f->stop_timeout_ms,
    };
    f->rings = vhost_rings_create(&params);
    assert_non_null(f->rings);
}

static int setup(void **state)
{
    const struct test_device_params params = {
        .queue_count = QUEUES, .queue_size = SIZE, .sync_engine = true};
    struct fixture *f = calloc(1, sizeof(*f));
    assert_non_null(f);
    f->stop_timeout_ms = 10000;
    f->test = test_device_create(&params);
    f->done_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    for (uint32_t i = 0; i < QUEUES; i++) {
        assert_int_equal(
            0, vhost_queue_create(&f->test->device, i, -1, f->done_fd, &f->queues[i], &f->error));
    }
    vhost_cache_init(&f->cache, false);
    device_ring_open(&f->ring, SIZE, true);
    begin(f);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    vhost_rings_destroy(f->rings);
    for (uint32_t i = 0; i < QUEUES; i++) {
        vhost_queue_destroy(f->queues[i]);
    }
    device_ring_close(&f->ring);
    close(f->done_fd);
    test_device_destroy(f->test);
    free(f);
    return 0;
}

static struct vhost_vring_addr addresses(const struct fixture *f, uint32_t index)
{
    return (struct vhost_vring_addr){
        .index = index,
        .desc_uaddr = guest_ram_uaddr(&f->ring.ram, f->ring.queue.desc_gpa),
        .avail_uaddr = guest_ram_uaddr(&f->ring.ram, f->ring.queue.avail_gpa),
        .used_uaddr = guest_ram_uaddr(&f->ring.ram, f->ring.queue.used_gpa),
    };
}

static int set_fd(struct fixture *f, enum vhost_ring_fd which, int fd)
{
    int copy = fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, 0);
    return vhost_rings_set_fd(f->rings, 0, which, copy, &f->error);
}

static int kick(struct fixture *f)
{
    return set_fd(f, VHOST_RING_KICK, f->ring.queue.kick_fd);
}

/* All but the kick, which starts it. */
static void describe(struct fixture *f, uint32_t base)
{
    const struct vhost_vring_addr addr = addresses(f, 0);
    assert_int_equal(0, vhost_rings_set_features(f->rings, all_features));
    assert_int_equal(0, vhost_rings_set_memory(f->rings, device_memory_create(&f->ring.ram)));
    assert_int_equal(0, vhost_rings_set_size(f->rings, 0, SIZE, &f->error));
    assert_int_equal(0, vhost_rings_set_base(f->rings, 0, base, &f->error));
    assert_int_equal(0, vhost_rings_set_addr(f->rings, &addr, &f->error));
    assert_int_equal(0, set_fd(f, VHOST_RING_CALL, f->ring.queue.call_fd));
}

static void start(struct fixture *f, uint32_t base)
{
    describe(f, base);
    assert_int_equal(0, kick(f));
    assert_int_equal(0, vhost_rings_enable(f->rings, 0, true, &f->error));
}

static void submit(struct fixture *f, uint32_t type)
{
    device_ring_add(&f->ring, 0, type, 0, 512);
    virtq_driver_publish_and_kick(&f->ring.queue.driver);
}

static int await(struct fixture *f, int timeout_ms)
{
    struct virtq_completion completion;
    return virtq_driver_wait(&f->ring.queue.driver, timeout_ms) == 1
               ? virtq_driver_reap(&f->ring.queue.driver, &completion, 1)
               : 0;
}

static void serve(struct fixture *f)
{
    submit(f, IN);
    assert_int_equal(1, await(f, WAIT_MS));
    assert_int_equal(0, device_ring_status(&f->ring, 0));
}

static void starts_with_the_kick_and_stops_with_the_base(void **state)
{
    struct fixture *f = *state;
    start(f, 0);
    serve(f);
    serve(f);
    assert_int_equal(2, vhost_rings_get_base(f->rings, 0));
    submit(f, IN);
    assert_int_equal(0, await(f, 20));
    assert_int_equal(2, vhost_rings_get_base(f->rings, 0)); /* of a stopped ring */
    assert_int_equal(0, kick(f));                           /* all else is still known */
    assert_int_equal(0, set_fd(f, VHOST_RING_CALL, f->ring.queue.call_fd));
    assert_int_equal(1, await(f, WAIT_MS));
    assert_int_equal(3, vhost_rings_get_base(f->rings, 0));
}

static void goes_on_from_the_used_index_when_the_base_is_stale(void **state)
{
    struct fixture *f = *state;
    start(f, 0);
    serve(f);
    serve(f);
    assert_int_equal(2, vhost_rings_get_base(f->rings, 0));
    start(f, 0);
    serve(f); /* and not the first two once more */
    assert_int_equal(3, f->ring.queue.driver.used->idx);
}

static void is_enabled_from_the_start_without_protocol_features(void **state)
{
    struct fixture *f = *state;
    describe(f, 0);
    assert_int_equal(0, vhost_rings_set_features(f->rings, 1ull << VIRTIO_F_VERSION_1 |
                                                               1ull << VIRTIO_F_EVENT_IDX));
    assert_int_equal(0, kick(f));
    serve(f);
    assert_int_equal(-EPROTO, vhost_rings_enable(f->rings, 0, false, &f->error));
}

static void waits_to_be_enabled_with_protocol_features(void **state)
{
    struct fixture *f = *state;
    describe(f, 0);
    assert_int_equal(0, kick(f));
    submit(f, IN);
    assert_int_equal(0, await(f, 20));
    assert_int_equal(0, vhost_rings_enable(f->rings, 0, true, &f->error));
    assert_int_equal(1, await(f, WAIT_MS));
    assert_int_equal(0, vhost_rings_enable(f->rings, 0, false, &f->error));
    submit(f, IN);
    assert_int_equal(0, await(f, 20));
    assert_int_equal(0, vhost_rings_enable(f->rings, 0, true, &f->error));
    assert_int_equal(1, await(f, WAIT_MS));
}

static void refuses_a_kick_before_size_and_address(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(-EPROTO, kick(f));
    assert_int_equal(0, vhost_rings_set_size(f->rings, 0, SIZE, &f->error));
    assert_int_equal(-EPROTO, kick(f));
    const struct vhost_vring_addr addr = addresses(f, 0);
    assert_int_equal(0, vhost_rings_set_addr(f->rings, &addr, &f->error));
    assert_int_equal(-EPROTO, kick(f)); /* no memory yet */
    assert_non_null(strstr(f->error.message, "not in mapped memory"));
}

static void refuses_rings_that_are_not_mapped_or_not_aligned(void **state)
{
    struct fixture *f = *state;
    describe(f, 0);
    for (int i = 0; i < 6; i++) {
        struct vhost_vring_addr addr = addresses(f, 0);
        uint64_t *part[] = {&addr.desc_uaddr, &addr.avail_uaddr, &addr.used_uaddr};
        const uint64_t odd[] = {8, 1, 2};
        *part[i % 3] = i < 3 ? 0x1000 : *part[i % 3] + odd[i % 3];
        assert_int_equal(0, vhost_rings_set_addr(f->rings, &addr, &f->error));
        assert_int_equal(-EPROTO, kick(f));
    }
    struct vhost_vring_addr end = addresses(f, 0); /* the last byte of it is one too far */
    end.desc_uaddr = f->ring.ram.regions[0].uaddr + f->ring.ram.regions[0].size - 16 * SIZE + 16;
    assert_int_equal(0, vhost_rings_set_addr(f->rings, &end, &f->error));
    assert_int_equal(-EPROTO, kick(f));
    end.desc_uaddr -= 16;
    assert_int_equal(0, vhost_rings_set_addr(f->rings, &end, &f->error));
    assert_int_equal(0, kick(f));
}

static void refuses_sizes_that_are_none(void **state)
{
    struct fixture *f = *state;
    const uint32_t bad[] = {0, 3, 2 * SIZE, 65536, UINT32_MAX};
    for (int i = 0; i < 5; i++) {
        assert_int_equal(-EPROTO, vhost_rings_set_size(f->rings, 0, bad[i], &f->error));
    }
    for (uint32_t size = 1; size <= SIZE; size *= 2) {
        assert_int_equal(0, vhost_rings_set_size(f->rings, 0, size, &f->error));
    }
    assert_int_equal(-EPROTO, vhost_rings_set_base(f->rings, 0, 65536, &f->error));
    assert_int_equal(0, vhost_rings_set_base(f->rings, 0, 65535, &f->error));
}

static void refuses_size_and_base_of_a_started_ring(void **state)
{
    struct fixture *f = *state;
    start(f, 0);
    assert_int_equal(-EPROTO, vhost_rings_set_size(f->rings, 0, SIZE, &f->error));
    assert_int_equal(-EPROTO, vhost_rings_set_base(f->rings, 0, 0, &f->error));
    assert_int_equal(0, vhost_rings_set_size(f->rings, 1, SIZE, &f->error)); /* another one */
    serve(f);
}

static void moves_a_started_ring_with_its_address_and_its_memory(void **state)
{
    struct fixture *f = *state;
    start(f, 0);
    serve(f);
    struct vhost_vring_addr addr = addresses(f, 0);
    assert_int_equal(0, vhost_rings_set_addr(f->rings, &addr, &f->error));
    serve(f);
    assert_int_equal(0, vhost_rings_set_memory(f->rings, device_memory_create(&f->ring.ram)));
    serve(f);
    addr.used_uaddr = 0;
    assert_int_equal(-EPROTO, vhost_rings_set_addr(f->rings, &addr, &f->error));
}

static void stops_a_ring_that_its_memory_no_longer_holds(void **state)
{
    struct fixture *f = *state;
    start(f, 0);
    serve(f);
    struct guest_memory *empty = guest_memory_create(NULL);
    assert_non_null(empty);
    assert_int_equal(0, vhost_rings_set_memory(f->rings, empty));
    assert_ptr_equal(empty, vhost_rings_memory(f->rings));
    assert_true(test_device_logged(f->test, "no longer mapped"));
    submit(f, IN);
    assert_int_equal(0, await(f, 20));
    assert_int_equal(1, vhost_rings_get_base(f->rings, 0));
}

static void replaces_descriptors_of_a_started_ring(void **state)
{
    struct fixture *f = *state;
    start(f, 0);
    serve(f);
    assert_int_equal(0, kick(f));
    assert_int_equal(0, set_fd(f, VHOST_RING_CALL, -1));
    device_ring_signals(f->ring.queue.call_fd); /* of before */
    submit(f, IN);
    assert_int_equal(1, virtq_driver_poll(&f->ring.queue.driver, WAIT_MS));
    assert_int_equal(0, device_ring_signals(f->ring.queue.call_fd));
    assert_int_equal(1, await(f, 0));
    assert_int_equal(0, set_fd(f, VHOST_RING_CALL, f->ring.queue.call_fd));
    assert_int_equal(0, set_fd(f, VHOST_RING_ERR, f->ring.queue.call_fd));
    serve(f);
}

static void writes_durably_until_flush_is_acked(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(0, vhost_rings_set_features(f->rings, 0));
    assert_false(atomic_load(&f->test->device.write_back));
    assert_int_equal(0, vhost_rings_set_features(f->rings, all_features));
    assert_true(atomic_load(&f->test->device.write_back));
}

static void begins_each_connection_without_acked_features(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(0, vhost_rings_set_features(f->rings, all_features));
    assert_true(vhost_cache_write_back(&f->cache));
    vhost_rings_destroy(f->rings);
    begin(f);
    assert_false(vhost_cache_write_back(&f->cache));
}

static void writes_durably_after_resuming_a_ring_from_before(void **state)
{
    struct fixture *f = *state;
    f->ring.queue.driver.used->idx = 5;
    f->ring.queue.driver.avail->idx = 5;
    start(f, 5);
    assert_false(atomic_load(&f->test->device.write_back));
    vhost_cache_driver_writes(&f->cache, true);
    assert_int_equal(0, vhost_rings_apply_cache_mode(f->rings));
    assert_true(atomic_load(&f->test->device.write_back));
}

static void reports_that_turning_the_cache_off_could_not_sync(void **state)
{
    struct fixture *f = *state;
    start(f, 0);
    submit(f, OUT);
    blk_device_fsync_failed(&f->test->device, EIO);
    vhost_cache_driver_writes(&f->cache, false);
    assert_int_equal(-EIO, vhost_rings_apply_cache_mode(f->rings));
    assert_false(atomic_load(&f->test->device.write_back));
    assert_int_equal(1, await(f, WAIT_MS));
}

static void answers_everything_before_it_is_destroyed(void **state)
{
    struct fixture *f = *state;
    start(f, 0);
    for (uint32_t i = 0; i < 16; i++) {
        device_ring_add(&f->ring, i, OUT, i, 512);
    }
    virtq_driver_publish_and_kick(&f->ring.queue.driver);
    vhost_rings_destroy(f->rings);
    const uint16_t used = f->ring.queue.driver.used->idx;
    begin(f);
    start(f, used);
    for (uint32_t i = 0; i < 16; i++) {
        assert_int_equal(1, await(f, WAIT_MS));
    }
    vhost_rings_destroy(NULL);
}

static void takes_no_command_for_slow_because_stops_may_not_take_long(void **state)
{
    struct fixture *f = *state;
    struct log_record record;
    vhost_rings_destroy(f->rings);
    f->stop_timeout_ms = 0;
    begin(f);
    start(f, 0);
    for (int i = 0; i < 10; i++) {
        assert_int_equal(0, vhost_rings_enable(f->rings, 0, i % 2 == 0, &f->error));
    }
    vhost_rings_get_base(f->rings, 0);
    assert_int_equal(0, log_wait(f->test->log, &record, 0));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(starts_with_the_kick_and_stops_with_the_base),
        TEST(goes_on_from_the_used_index_when_the_base_is_stale),
        TEST(is_enabled_from_the_start_without_protocol_features),
        TEST(waits_to_be_enabled_with_protocol_features),
        TEST(refuses_a_kick_before_size_and_address),
        TEST(refuses_rings_that_are_not_mapped_or_not_aligned),
        TEST(refuses_sizes_that_are_none),
        TEST(refuses_size_and_base_of_a_started_ring),
        TEST(moves_a_started_ring_with_its_address_and_its_memory),
        TEST(stops_a_ring_that_its_memory_no_longer_holds),
        TEST(replaces_descriptors_of_a_started_ring),
        TEST(writes_durably_until_flush_is_acked),
        TEST(begins_each_connection_without_acked_features),
        TEST(writes_durably_after_resuming_a_ring_from_before),
        TEST(reports_that_turning_the_cache_off_could_not_sync),
        TEST(answers_everything_before_it_is_destroyed),
        TEST(takes_no_command_for_slow_because_stops_may_not_take_long),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
