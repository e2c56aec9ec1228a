/* SPDX-License-Identifier: AGPL-3.0-only */
/* A queue thread whose requests wait for stripes, with both engines. The test is the session, the
 * driver and the control plane. */
#include "vhost/vhost_queue.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "support/cmocka_test.h"
#include "support/device_ring.h"
#include "support/lazy_device.h"

enum { SIZE = 64, WAIT_MS = 20000, IN = 0, OUT = 1, FLUSH = 4, STRIPES = 8, LONG_MS = 3600000 };

struct fixture {
    struct lazy_device *lazy;
    struct device_ring ring;
    struct vhost_queue *queue;
    int done_fd;
    struct vhost_command command;
};

static int open_fixture(void **state, bool sync_engine, uint64_t fetch_timeout_ms)
{
    const struct lazy_device_params params = {
        .device = {.queue_size = SIZE,
                   .byte_len = STRIPES * LAZY_STRIPE_BYTES,
                   .sync_engine = sync_engine},
        .fetch_timeout_ms = fetch_timeout_ms,
    };
    struct fixture *f = calloc(1, sizeof(*f));
    struct error error;
    assert_non_null(f);
    f->lazy = lazy_device_create(&params);
    device_ring_open(&f->ring, SIZE, true);
    f->done_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (vhost_queue_create(f->lazy->device, 0, -1, f->done_fd, &f->queue, &error) < 0) {
        print_message("%s\n", error.message);
        return -1;
    }
    *state = f;
    return 0;
}

static int setup_sync(void **state)
{
    return open_fixture(state, true, 0);
}

static int setup_uring(void **state)
{
    return open_fixture(state, false, 0);
}

static int setup_sync_timeout(void **state)
{
    return open_fixture(state, true, 30);
}

static int setup_uring_timeout(void **state)
{
    return open_fixture(state, false, 30);
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    vhost_queue_destroy(f->queue);
    close(f->done_fd);
    device_ring_close(&f->ring);
    lazy_device_destroy(f->lazy);
    free(f);
    return 0;
}

static void post(struct fixture *f, enum vhost_command_kind kind)
{
    f->command.kind = kind;
    vhost_queue_post(f->queue, &f->command);
}

static void await(struct fixture *f)
{
    struct pollfd done = {.fd = f->done_fd, .events = POLLIN};
    while (!vhost_queue_done(f->queue)) {
        assert_int_equal(1, poll(&done, 1, WAIT_MS));
        device_ring_signals(f->done_fd);
    }
    assert_int_equal(0, f->command.result);
}

static void run(struct fixture *f, enum vhost_command_kind kind)
{
    post(f, kind);
    await(f);
}

static void start(struct fixture *f, uint16_t base)
{
    f->command = (struct vhost_command){
        .setup = {.parts = device_ring_parts(&f->ring, f->ring.memory),
                  .size = SIZE,
                  .base = base,
                  .event_idx = true,
                  .memory = f->ring.memory},
        .enabled = true,
        .kick_fd = f->ring.queue.kick_fd,
        .call_fd = f->ring.queue.call_fd,
        .err_fd = -1,
    };
    run(f, VHOST_COMMAND_START);
}

/* Ends the ring, with requests that wait for ever unless they are put back. */
static uint16_t stop(struct fixture *f, uint32_t stop_timeout_ms)
{
    f->command.stop_timeout_ms = stop_timeout_ms;
    run(f, VHOST_COMMAND_STOP);
    return f->command.next_avail;
}

static uint16_t submit(struct fixture *f, uint32_t slot, uint32_t type, uint32_t stripe)
{
    uint64_t sector = type == FLUSH ? 0 : (uint64_t)stripe * LAZY_STRIPE_SECTORS;
    uint16_t head = device_ring_add(&f->ring, slot, type, sector, type == FLUSH ? 0 : 512);
    virtq_driver_publish_and_kick(&f->ring.queue.driver);
    return head;
}

static void await_head(struct fixture *f, uint16_t head)
{
    struct virtq_completion completion;
    assert_int_equal(1, virtq_driver_wait(&f->ring.queue.driver, WAIT_MS));
    assert_int_equal(1, virtq_driver_reap(&f->ring.queue.driver, &completion, 1));
    assert_int_equal(head, completion.head);
}

static void assert_nothing_answered(struct fixture *f)
{
    struct virtq_completion completion;
    assert_int_equal(0, virtq_driver_reap(&f->ring.queue.driver, &completion, 1));
}

/* The miss says that the request has been popped, and waits. */
static void await_miss(struct fixture *f, uint32_t stripe)
{
    assert_int_equal(stripe, lazy_device_miss(f->lazy).stripe);
}

static void serves_a_waiting_request_when_its_stripe_comes(void **state)
{
    struct fixture *f = *state;
    start(f, 0);
    uint16_t head = submit(f, 0, IN, 3);
    await_miss(f, 3);
    lazy_device_fetch(f->lazy, 3);
    await_head(f, head);
    assert_int_equal(0, device_ring_status(&f->ring, 0));
    assert_int_equal(lazy_device_byte(f->lazy, 3 * LAZY_STRIPE_BYTES + 5),
                     device_ring_data(&f->ring, 0)[5]);
    assert_int_equal(1, stop(f, LONG_MS));
}

static void serves_other_stripes_meanwhile(void **state)
{
    struct fixture *f = *state;
    lazy_device_fetch(f->lazy, 5);
    start(f, 0);
    uint16_t held = submit(f, 0, IN, 3);
    await_miss(f, 3);
    for (int i = 0; i < 200; i++) {
        await_head(f, submit(f, 1, IN, 5));
    }
    lazy_device_fetch(f->lazy, 3);
    await_head(f, held);
    assert_int_equal(201, stop(f, LONG_MS));
}

static void puts_waiting_requests_back_when_the_ring_stops(void **state)
{
    struct fixture *f = *state;
    start(f, 0);
    uint16_t answered = submit(f, 0, FLUSH, 0);
    await_head(f, answered);
    uint16_t first = submit(f, 1, IN, 1);
    uint16_t second = submit(f, 2, OUT, 2);
    await_miss(f, 1);
    await_miss(f, 2);
    assert_int_equal(1, stop(f, LONG_MS)); /* at once: nobody waits for the timeout */
    assert_nothing_answered(f);
    lazy_device_fetch(f->lazy, 1);
    start(f, 1);
    await_head(f, first); /* exactly once */
    lazy_device_commit(f->lazy, 2);
    await_head(f, second);
    assert_int_equal(0, device_ring_status(&f->ring, 2));
    assert_int_equal(3, stop(f, LONG_MS));
    assert_nothing_answered(f);
}

static void gives_up_waiting_requests_that_were_overtaken(void **state)
{
    struct fixture *f = *state;
    start(f, 0);
    uint16_t overtaken = submit(f, 0, IN, 1);
    await_head(f, submit(f, 1, FLUSH, 0));
    uint16_t put_back = submit(f, 2, IN, 2);
    await_miss(f, 1);
    await_miss(f, 2);
    assert_int_equal(2, stop(f, 20));
    await_head(f, overtaken);
    assert_int_equal(1, device_ring_status(&f->ring, 0));
    assert_nothing_answered(f);
    lazy_device_fetch(f->lazy, 2);
    start(f, 2);
    await_head(f, put_back);
    assert_int_equal(0, device_ring_status(&f->ring, 2));
    stop(f, LONG_MS);
}

static void lets_overtaken_requests_finish_while_the_ring_stops(void **state)
{
    struct fixture *f = *state;
    start(f, 0);
    uint16_t overtaken = submit(f, 0, IN, 1);
    await_miss(f, 1);
    await_head(f, submit(f, 1, FLUSH, 0));
    f->command.stop_timeout_ms = LONG_MS;
    post(f, VHOST_COMMAND_STOP);
    poll(NULL, 0, 20);
    assert_false(vhost_queue_done(f->queue)); /* it waits */
    lazy_device_fetch(f->lazy, 1);
    await(f);
    assert_int_equal(2, f->command.next_avail);
    await_head(f, overtaken);
    assert_int_equal(0, device_ring_status(&f->ring, 0));
}

static void drains_writes_without_those_that_wait(void **state)
{
    struct fixture *f = *state;
    start(f, 0);
    submit(f, 0, OUT, 1);
    await_miss(f, 1);
    run(f, VHOST_COMMAND_DRAIN_WRITES);
    assert_int_equal(0, stop(f, LONG_MS));
}

static void keeps_waiting_requests_when_the_memory_moves(void **state)
{
    struct fixture *f = *state;
    start(f, 0);
    uint16_t head = submit(f, 0, IN, 1);
    await_miss(f, 1);
    struct guest_memory *moved = device_memory_create(&f->ring.ram);
    f->command.setup.memory = moved;
    f->command.setup.parts = device_ring_parts(&f->ring, moved);
    run(f, VHOST_COMMAND_MEMORY);
    lazy_device_fetch(f->lazy, 1);
    await_head(f, head);
    assert_int_equal(0, device_ring_status(&f->ring, 0));
    assert_int_equal(1, stop(f, LONG_MS));
    guest_memory_unref(moved);
}

static void ends_a_request_whose_time_is_over(void **state)
{
    struct fixture *f = *state;
    start(f, 0);
    uint16_t head = submit(f, 0, IN, 1);
    await_head(f, head); /* nothing but its own deadline wakes the thread */
    assert_int_equal(1, device_ring_status(&f->ring, 0));
    lazy_device_fetch(f->lazy, 1);
    await_head(f, submit(f, 0, IN, 1));
    assert_int_equal(0, device_ring_status(&f->ring, 0));
    stop(f, LONG_MS);
}

#define BOTH(name)                                                                                 \
    cmocka_unit_test_setup_teardown(name, setup_sync, teardown),                                   \
        cmocka_unit_test_setup_teardown(name, setup_uring, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        BOTH(serves_a_waiting_request_when_its_stripe_comes),
        BOTH(serves_other_stripes_meanwhile),
        BOTH(puts_waiting_requests_back_when_the_ring_stops),
        BOTH(gives_up_waiting_requests_that_were_overtaken),
        BOTH(lets_overtaken_requests_finish_while_the_ring_stops),
        BOTH(drains_writes_without_those_that_wait),
        BOTH(keeps_waiting_requests_when_the_memory_moves),
        cmocka_unit_test_setup_teardown(ends_a_request_whose_time_is_over, setup_sync_timeout,
                                        teardown),
        cmocka_unit_test_setup_teardown(ends_a_request_whose_time_is_over, setup_uring_timeout,
                                        teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
