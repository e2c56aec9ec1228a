/* SPDX-License-Identifier: AGPL-3.0-only */
/* Heads into requests and back, in one thread: the test drives the ring and the engine. */
#include "vhost/vhost_virtq.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "blk/blk_transfer.h"
#include "support/cmocka_test.h"
#include "support/device_ring.h"
#include "support/fake_engine.h"
#include "support/test_device.h"

enum { SIZE = 256, IN = 0, OUT = 1, FLUSH = 4, GET_ID = 8, DISCARD = 11 };

struct fixture {
    struct test_device *test;
    struct fake_engine *fake;
    struct blk_queue *blk;
    struct device_ring ring;
    struct vhost_virtq vq;
    int err_fd;
};

static struct vhost_virtq_setup ring_setup(const struct fixture *f, uint16_t base)
{
    return (struct vhost_virtq_setup){.parts = device_ring_parts(&f->ring, f->ring.memory),
                                      .size = SIZE,
                                      .base = base,
                                      .event_idx = f->ring.queue.driver.event_idx,
                                      .memory = f->ring.memory};
}

static void start(struct fixture *f, uint16_t base)
{
    const struct vhost_virtq_setup setup = ring_setup(f, base);
    assert_int_equal(0, vhost_virtq_start(&f->vq, &setup));
    f->vq.call_fd = f->ring.queue.call_fd;
    f->vq.err_fd = f->err_fd;
    f->vq.enabled = true;
}

static int setup(void **state)
{
    const struct test_device_params params = {.queue_size = SIZE};
    struct fixture *f = calloc(1, sizeof(*f));
    assert_non_null(f);
    f->test = test_device_create(&params);
    struct blk_device *device = &f->test->device;
    f->fake = fake_engine_create(blk_transfer_depth(device), &device->file.fd, 1);
    assert_int_equal(0, blk_queue_create_on(device, 0, &f->fake->base, &f->blk, NULL));
    device_ring_open(&f->ring, SIZE, false);
    f->err_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    assert_int_equal(0, vhost_virtq_init(&f->vq, device, 0));
    f->vq.blk = f->blk;
    start(f, 0);
    *state = f;
    return 0;
}

static uint32_t complete(struct fixture *f)
{
    assert_int_equal(0, blk_queue_submit(f->blk, 1));
    blk_queue_reap(f->blk, 0);
    uint32_t count = vhost_virtq_answer(&f->vq, 0);
    vhost_virtq_signal(&f->vq, 0);
    return count;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    fake_engine_hold(f->fake, false);
    while (blk_queue_busy(f->blk) > 0) {
        complete(f);
    }
    if (f->vq.started) {
        vhost_virtq_stop(&f->vq);
    }
    vhost_virtq_deinit(&f->vq);
    close(f->err_fd);
    device_ring_close(&f->ring);
    blk_queue_destroy(f->blk);
    test_device_destroy(f->test);
    free(f);
    return 0;
}

/* Shows the added requests and has them popped. */
static uint32_t pop(struct fixture *f)
{
    virtq_driver_publish(&f->ring.queue.driver);
    return vhost_virtq_pop(&f->vq, 0);
}

static struct virtq_completion reap_one(struct fixture *f)
{
    struct virtq_completion completion;
    assert_int_equal(1, virtq_driver_reap(&f->ring.queue.driver, &completion, 1));
    return completion;
}

/* One request from beginning to end; returns its used length. */
static uint32_t run(struct fixture *f, uint32_t type, uint64_t sector, uint32_t byte_len)
{
    uint16_t head = device_ring_add(&f->ring, 0, type, sector, byte_len);
    assert_int_equal(1, pop(f));
    assert_int_equal(1, complete(f));
    struct virtq_completion completion = reap_one(f);
    assert_int_equal(head, completion.head);
    assert_int_equal(1, device_ring_signals(f->ring.queue.call_fd));
    return completion.used_len;
}

static void answers_with_status_and_used_length(void **state)
{
    struct fixture *f = *state;
    memset(f->test->disk + 512, 0x5a, 1024);
    assert_int_equal(1025, run(f, IN, 1, 1024));
    assert_int_equal(0, device_ring_status(&f->ring, 0));
    assert_memory_equal(f->test->disk + 512, device_ring_data(&f->ring, 0), 1024);
    memset(device_ring_data(&f->ring, 0), 0xa5, 512);
    assert_int_equal(1, run(f, OUT, 9, 512));
    assert_int_equal(0, device_ring_status(&f->ring, 0));
    assert_memory_equal(device_ring_data(&f->ring, 0), f->test->disk + 9 * 512, 512);
    assert_int_equal(1, run(f, FLUSH, 0, 0));
    assert_int_equal(0, device_ring_status(&f->ring, 0));
    assert_int_equal(21, run(f, GET_ID, 0, 20));
    assert_int_equal(0, device_ring_status(&f->ring, 0));
    assert_memory_equal("test-disk", device_ring_data(&f->ring, 0), 10);
    assert_int_equal(1, run(f, DISCARD, 0, 0));
    assert_int_equal(2, device_ring_status(&f->ring, 0));
}

static void answers_failures_with_the_status_alone(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(1, run(f, IN, f->test->device.capacity, 512));
    assert_int_equal(1, device_ring_status(&f->ring, 0));
    assert_int_equal(1, run(f, GET_ID, 0, 19));
    assert_int_equal(1, device_ring_status(&f->ring, 0));
    assert_int_equal(1, run(f, IN, 0, 100));
    assert_int_equal(1, device_ring_status(&f->ring, 0));
    fake_engine_fail(f->fake, IO_READV, 1, -EIO);
    assert_int_equal(1, run(f, IN, 0, 512));
    assert_int_equal(1, device_ring_status(&f->ring, 0));
}

static void answers_a_malformed_chain_where_it_has_a_status_byte(void **state)
{
    struct fixture *f = *state;
    struct virtq_driver *driver = &f->ring.queue.driver;
    uint16_t head = device_ring_add(&f->ring, 0, IN, 0, 512);
    driver->desc[driver->desc[head].next].addr = 1; /* not mapped */
    assert_int_equal(1, pop(f));
    assert_int_equal(1, complete(f));
    assert_int_equal(1, reap_one(f).used_len);
    assert_int_equal(1, device_ring_status(&f->ring, 0));
    assert_int_equal(1, device_ring_signals(f->ring.queue.call_fd));
    assert_true(vhost_virtq_open(&f->vq));
}

static void gives_a_chain_without_a_status_byte_back_all_the_same(void **state)
{
    struct fixture *f = *state;
    struct virtq_driver *driver = &f->ring.queue.driver;
    uint16_t head = device_ring_add(&f->ring, 0, IN, 0, 512);
    driver->desc[head].next = head; /* a loop */
    assert_int_equal(1, pop(f));
    assert_int_equal(1, complete(f));
    assert_int_equal(0, reap_one(f).used_len);
    assert_int_equal(DEVICE_RING_NO_STATUS, device_ring_status(&f->ring, 0));
    assert_int_equal(1, device_ring_signals(f->ring.queue.call_fd));
    assert_true(vhost_virtq_open(&f->vq));
    assert_int_equal(513, run(f, IN, 0, 512));
}

static void takes_more_segments_than_a_slot_holds(void **state)
{
    struct fixture *f = *state;
    struct virtq_driver *driver = &f->ring.queue.driver;
    enum { COUNT = 34 };
    struct virtq_segment segments[COUNT];
    device_ring_add(&f->ring, 1, IN, 3, 0); /* for its header and status */
    const uint64_t gpa = driver->desc[0].addr;
    segments[0] = (struct virtq_segment){.gpa = gpa, .len = 16};
    for (uint32_t i = 1; i <= 32; i++) {
        segments[i] =
            (struct virtq_segment){.gpa = gpa + 512 + 48 * i, .len = 32, .writable = true};
    }
    segments[33] = (struct virtq_segment){.gpa = gpa + 100, .len = 1, .writable = true};
    memset(f->test->disk + 3 * 512, 0x77, 1024);
    assert_int_equal(0, virtq_driver_add(driver, segments, COUNT, 7, NULL));
    assert_int_equal(2, pop(f));
    assert_int_equal(2, complete(f));
    reap_one(f);
    assert_int_equal(1025, reap_one(f).used_len);
    assert_int_equal(32, f->fake->records[0].iov_count);
    const uint8_t *data = guest_ram_host(&f->ring.ram, gpa + 512 + 48, 4096 - 512 - 48);
    assert_int_equal(0x77, data[31]);
    assert_int_equal(0, data[32]);
}

static void pops_a_batch_at_a_time_and_signals_once(void **state)
{
    struct fixture *f = *state;
    for (uint32_t i = 0; i < 80; i++) {
        device_ring_add(&f->ring, i, IN, i, 512);
    }
    assert_int_equal(64, pop(f));
    assert_int_equal(16, vhost_virtq_pop(&f->vq, 0));
    assert_int_equal(0, vhost_virtq_pop(&f->vq, 0));
    assert_int_equal(80, complete(f));
    assert_int_equal(0, vhost_virtq_answer(&f->vq, 0));
    assert_int_equal(1, device_ring_signals(f->ring.queue.call_fd));
    for (uint32_t i = 0; i < 80; i++) {
        assert_int_equal(i, reap_one(f).token);
    }
}

static void does_not_signal_a_driver_that_does_not_want_it(void **state)
{
    struct fixture *f = *state;
    virtq_driver_disable_signals(&f->ring.queue.driver);
    device_ring_add(&f->ring, 0, IN, 0, 512);
    assert_int_equal(1, pop(f));
    assert_int_equal(1, complete(f));
    assert_int_equal(0, device_ring_signals(f->ring.queue.call_fd));
    reap_one(f);
    f->vq.call_fd = -1; /* and nobody when there is no descriptor */
    virtq_driver_enable_signals(&f->ring.queue.driver);
    device_ring_add(&f->ring, 0, IN, 0, 512);
    assert_int_equal(1, pop(f));
    assert_int_equal(1, complete(f));
    assert_int_equal(0, device_ring_signals(f->ring.queue.call_fd));
}

static void answer_without_signal(struct fixture *f, uint64_t now_ns)
{
    assert_int_equal(0, blk_queue_submit(f->blk, 1));
    assert_int_equal(1, blk_queue_reap(f->blk, now_ns));
    assert_int_equal(1, vhost_virtq_answer(&f->vq, now_ns));
    reap_one(f); /* the driver sees it at once */
}

static void puts_a_signal_off_while_heads_keep_coming_but_not_for_long(void **state)
{
    struct fixture *f = *state;
    const int call_fd = f->ring.queue.call_fd;
    device_ring_add(&f->ring, 0, IN, 0, 512);
    assert_int_equal(1, pop(f));
    answer_without_signal(f, 1000);
    device_ring_add(&f->ring, 1, IN, 0, 512);
    virtq_driver_publish(&f->ring.queue.driver);
    vhost_virtq_signal(&f->vq, 2000);
    assert_int_equal(0, device_ring_signals(call_fd));
    assert_int_equal(1, vhost_virtq_pop(&f->vq, 3000));
    answer_without_signal(f, 3000);
    device_ring_add(&f->ring, 0, IN, 0, 512);
    virtq_driver_publish(&f->ring.queue.driver);
    vhost_virtq_signal(&f->vq, 20000);
    assert_int_equal(0, device_ring_signals(call_fd));
    vhost_virtq_signal(&f->vq, 1000000); /* counted from the oldest */
    assert_int_equal(1, device_ring_signals(call_fd));
    assert_int_equal(1, vhost_virtq_pop(&f->vq, 1000000));
    answer_without_signal(f, 1000000);
    vhost_virtq_signal(&f->vq, 1000000); /* no heads are left */
    assert_int_equal(1, device_ring_signals(call_fd));
    vhost_virtq_signal(&f->vq, 9000000);
    assert_int_equal(0, device_ring_signals(call_fd));
}

static void put_a_signal_off(struct fixture *f)
{
    device_ring_add(&f->ring, 0, IN, 0, 512);
    assert_int_equal(1, pop(f));
    answer_without_signal(f, 1000);
    device_ring_add(&f->ring, 1, IN, 0, 512);
    virtq_driver_publish(&f->ring.queue.driver);
    vhost_virtq_signal(&f->vq, 1000);
    assert_int_equal(0, device_ring_signals(f->ring.queue.call_fd));
}

static void gives_a_signal_that_was_put_off_when_the_thread_goes_to_sleep(void **state)
{
    struct fixture *f = *state;
    put_a_signal_off(f);
    vhost_virtq_signal_now(&f->vq);
    assert_int_equal(1, device_ring_signals(f->ring.queue.call_fd));
    vhost_virtq_signal_now(&f->vq);
    assert_int_equal(0, device_ring_signals(f->ring.queue.call_fd));
}

static void gives_a_signal_that_was_put_off_before_it_stops(void **state)
{
    struct fixture *f = *state;
    put_a_signal_off(f);
    assert_int_equal(1, vhost_virtq_stop(&f->vq));
    assert_int_equal(1, device_ring_signals(f->ring.queue.call_fd));
}

static void assert_broken(struct fixture *f, const char *logged)
{
    assert_false(vhost_virtq_open(&f->vq));
    assert_true(f->vq.broken);
    assert_int_equal(1, device_ring_signals(f->err_fd));
    assert_true(test_device_logged(f->test, logged));
}

static void stops_popping_at_a_head_out_of_range(void **state)
{
    struct fixture *f = *state;
    device_ring_add(&f->ring, 0, IN, 0, 512);
    virtq_driver_add_raw(&f->ring.queue.driver, SIZE, 0, 99);
    device_ring_add(&f->ring, 1, IN, 0, 512);
    pop(f);
    assert_broken(f, "head out of range: 256");
    assert_int_equal(1, complete(f)); /* what was popped before ends as usual */
    assert_int_equal(0, reap_one(f).token);
}

static void stops_popping_at_a_head_that_is_in_use(void **state)
{
    struct fixture *f = *state;
    uint16_t head = device_ring_add(&f->ring, 0, IN, 0, 512);
    virtq_driver_add_raw(&f->ring.queue.driver, head, 0, 99);
    pop(f);
    assert_broken(f, "head that is in use");
    assert_int_equal(1, complete(f));
    assert_int_equal(0, device_ring_status(&f->ring, 0));
}

static void stops_popping_when_the_available_index_jumps(void **state)
{
    struct fixture *f = *state;
    f->ring.queue.driver.avail->idx = SIZE + 1;
    assert_int_equal(0, vhost_virtq_pop(&f->vq, 0));
    assert_broken(f, "available index");
}

static void works_again_after_a_restart(void **state)
{
    struct fixture *f = *state;
    f->ring.queue.driver.avail->idx = SIZE + 1;
    vhost_virtq_pop(&f->vq, 0);
    assert_int_equal(0, vhost_virtq_stop(&f->vq));
    assert_false(f->vq.started);
    virtq_driver_reset(&f->ring.queue.driver);
    start(f, 0);
    assert_int_equal(513, run(f, IN, 0, 512));
    assert_int_equal(1, vhost_virtq_stop(&f->vq));
}

static void resumes_where_it_stopped(void **state)
{
    struct fixture *f = *state;
    run(f, IN, 0, 512);
    run(f, IN, 0, 512);
    assert_int_equal(2, vhost_virtq_stop(&f->vq));
    device_ring_add(&f->ring, 0, IN, 0, 512);
    start(f, 2);
    assert_int_equal(1, pop(f));
    assert_int_equal(1, complete(f));
    reap_one(f);
}

/* The old table goes with the last request that was translated with it, not before. */
static void keeps_the_memory_of_requests_in_flight_across_a_move(void **state)
{
    struct fixture *f = *state;
    fake_engine_hold(f->fake, true);
    device_ring_add(&f->ring, 0, OUT, 0, 512);
    memset(device_ring_data(&f->ring, 0), 0x3c, 512);
    assert_int_equal(1, pop(f));
    struct guest_memory *other = device_memory_create(&f->ring.ram);
    struct vhost_virtq_setup setup = ring_setup(f, 0);
    setup.parts = device_ring_parts(&f->ring, other);
    setup.memory = other;
    assert_int_equal(0, vhost_virtq_move(&f->vq, &setup));
    guest_memory_unref(other);
    guest_memory_unref(f->ring.memory); /* the request holds the last reference */
    f->ring.memory = device_memory_create(&f->ring.ram);
    assert_int_equal(1, device_ring_signals(f->ring.queue.call_fd));
    device_ring_add(&f->ring, 1, IN, 0, 512);
    assert_int_equal(1, pop(f));
    fake_engine_hold(f->fake, false);
    assert_int_equal(2, complete(f));
    reap_one(f);
    reap_one(f);
    assert_int_equal(0, device_ring_status(&f->ring, 0));
    assert_int_equal(0x3c, device_ring_data(&f->ring, 1)[511]);
}

static void is_open_only_while_started_enabled_and_whole(void **state)
{
    struct fixture *f = *state;
    assert_true(vhost_virtq_open(&f->vq));
    f->vq.enabled = false;
    assert_false(vhost_virtq_open(&f->vq));
    f->vq.enabled = true;
    vhost_virtq_stop(&f->vq);
    assert_false(vhost_virtq_open(&f->vq));
    assert_int_equal(-1, f->vq.call_fd);
    assert_int_equal(-1, f->vq.err_fd);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(answers_with_status_and_used_length),
        TEST(answers_failures_with_the_status_alone),
        TEST(answers_a_malformed_chain_where_it_has_a_status_byte),
        TEST(gives_a_chain_without_a_status_byte_back_all_the_same),
        TEST(takes_more_segments_than_a_slot_holds),
        TEST(pops_a_batch_at_a_time_and_signals_once),
        TEST(does_not_signal_a_driver_that_does_not_want_it),
        TEST(puts_a_signal_off_while_heads_keep_coming_but_not_for_long),
        TEST(gives_a_signal_that_was_put_off_when_the_thread_goes_to_sleep),
        TEST(gives_a_signal_that_was_put_off_before_it_stops),
        TEST(stops_popping_at_a_head_out_of_range),
        TEST(stops_popping_at_a_head_that_is_in_use),
        TEST(stops_popping_when_the_available_index_jumps),
        TEST(works_again_after_a_restart),
        TEST(resumes_where_it_stopped),
        TEST(keeps_the_memory_of_requests_in_flight_across_a_move),
        TEST(is_open_only_while_started_enabled_and_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
