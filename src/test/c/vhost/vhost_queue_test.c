/* SPDX-License-Identifier: AGPL-3.0-only */
/* A queue thread and its commands, with both engines on a real file. The test is the session. */
#include "vhost/vhost_queue.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "support/cmocka_test.h"
#include "support/device_ring.h"
#include "support/test_device.h"

enum { SIZE = 64, WAIT_MS = 20000, IN = 0, OUT = 1 };

struct fixture {
    struct test_device *test;
    struct device_ring ring;
    struct vhost_queue *queue;
    int done_fd;
    struct vhost_command command;
};

static int open_fixture(void **state, bool sync_engine, uint32_t poll_timeout_us)
{
    const struct test_device_params params = {
        .queue_size = SIZE, .sync_engine = sync_engine, .poll_timeout_us = poll_timeout_us};
    struct fixture *f = calloc(1, sizeof(*f));
    struct error error;
    assert_non_null(f);
    f->test = test_device_create(&params);
    device_ring_open(&f->ring, SIZE, true);
    f->done_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (vhost_queue_create(&f->test->device, 0, -1, f->done_fd, &f->queue, &error) < 0) {
        print_message("%s\n", error.message);
        return -1;
    }
    *state = f;
    return 0;
}

static int setup(void **state)
{
    return open_fixture(state, true, 0);
}

static int setup_uring(void **state)
{
    return open_fixture(state, false, 0);
}

static int setup_polling(void **state)
{
    return open_fixture(state, true, 1000000000);
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    vhost_queue_destroy(f->queue);
    close(f->done_fd);
    device_ring_close(&f->ring);
    test_device_destroy(f->test);
    free(f);
    return 0;
}

static void await(struct fixture *f)
{
    struct pollfd done = {.fd = f->done_fd, .events = POLLIN};
    while (!vhost_queue_done(f->queue)) {
        assert_int_equal(1, poll(&done, 1, WAIT_MS));
        device_ring_signals(f->done_fd);
    }
}

static int run(struct fixture *f, enum vhost_command_kind kind)
{
    f->command.kind = kind;
    vhost_queue_post(f->queue, &f->command);
    await(f);
    return f->command.result;
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
    assert_int_equal(0, run(f, VHOST_COMMAND_START));
}

static void submit(struct fixture *f, uint32_t slot, uint32_t type, uint64_t sector)
{
    device_ring_add(&f->ring, slot, type, sector, 512);
    virtq_driver_publish_and_kick(&f->ring.queue.driver);
}

static struct virtq_completion await_one(struct fixture *f)
{
    struct virtq_completion completion;
    assert_int_equal(1, virtq_driver_wait(&f->ring.queue.driver, WAIT_MS));
    assert_int_equal(1, virtq_driver_reap(&f->ring.queue.driver, &completion, 1));
    return completion;
}

static void serves_requests_from_kick_to_call(void **state)
{
    struct fixture *f = *state;
    start(f, 0);
    for (uint32_t i = 0; i < 200; i++) {
        memset(device_ring_data(&f->ring, 0), (int)i, 512);
        submit(f, 0, OUT, i);
        assert_int_equal(1, await_one(f).used_len);
        assert_int_equal(0, device_ring_status(&f->ring, 0));
        submit(f, 1, IN, i);
        assert_int_equal(513, await_one(f).used_len);
        assert_int_equal(i & 0xff, device_ring_data(&f->ring, 1)[511]);
    }
    assert_int_equal(0, run(f, VHOST_COMMAND_STOP));
    assert_int_equal(400, f->command.next_avail);
}

static void finds_heads_that_were_there_before_it_started(void **state)
{
    struct fixture *f = *state;
    device_ring_add(&f->ring, 0, IN, 0, 512);
    virtq_driver_publish(&f->ring.queue.driver); /* and nobody kicks */
    start(f, 0);
    await_one(f);
    assert_int_equal(0, run(f, VHOST_COMMAND_STOP));
}

static void answers_everything_before_a_stop_ends(void **state)
{
    struct fixture *f = *state;
    start(f, 0);
    for (uint32_t round = 0; round < 50; round++) {
        for (uint32_t i = 0; i < 8; i++) {
            submit(f, i, OUT, i);
        }
        assert_int_equal(0, run(f, VHOST_COMMAND_STOP));
        const uint16_t base = f->command.next_avail;
        assert_int_equal(base, f->ring.queue.driver.used->idx);
        start(f, base);
        for (uint32_t i = 0; i < 8; i++) {
            await_one(f);
        }
    }
    assert_int_equal(0, run(f, VHOST_COMMAND_STOP));
    assert_int_equal(400, f->command.next_avail);
}

static void leaves_a_disabled_ring_alone(void **state)
{
    struct fixture *f = *state;
    start(f, 0);
    f->command.enabled = false;
    assert_int_equal(0, run(f, VHOST_COMMAND_ENABLE));
    submit(f, 0, IN, 0);
    assert_int_equal(0, virtq_driver_wait(&f->ring.queue.driver, 20));
    f->command.enabled = true;
    assert_int_equal(0, run(f, VHOST_COMMAND_ENABLE));
    await_one(f); /* without another kick */
    assert_int_equal(0, run(f, VHOST_COMMAND_STOP));
}

static void changes_descriptors_of_a_started_ring(void **state)
{
    struct fixture *f = *state;
    start(f, 0);
    int kick = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    int call = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    f->command.kick_fd = f->ring.queue.driver.kick_fd = kick;
    f->command.call_fd = f->ring.queue.driver.call_fd = call;
    assert_int_equal(0, run(f, VHOST_COMMAND_FDS));
    assert_int_equal(1, device_ring_signals(call)); /* for what the last one was told */
    assert_int_equal(0, run(f, VHOST_COMMAND_FDS));
    assert_int_equal(0, device_ring_signals(call));
    submit(f, 0, IN, 0);
    await_one(f);
    assert_int_equal(0, device_ring_signals(f->ring.queue.call_fd));
    assert_int_equal(0, run(f, VHOST_COMMAND_STOP));
    close(kick);
    close(call);
}

static void goes_on_under_another_memory_table(void **state)
{
    struct fixture *f = *state;
    start(f, 0);
    submit(f, 0, IN, 0);
    await_one(f);
    struct guest_memory *other = device_memory_create(&f->ring.ram);
    f->command.setup.memory = other;
    f->command.setup.parts = device_ring_parts(&f->ring, other);
    assert_int_equal(0, run(f, VHOST_COMMAND_MEMORY));
    guest_memory_unref(f->ring.memory);
    f->ring.memory = other;
    submit(f, 0, IN, 0);
    await_one(f);
    assert_int_equal(0, run(f, VHOST_COMMAND_STOP));
}

static void drains_volatile_writes(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(0, run(f, VHOST_COMMAND_DRAIN_WRITES)); /* of a stopped ring: none */
    start(f, 0);
    for (uint32_t i = 0; i < 20; i++) {
        submit(f, i, OUT, i);
    }
    assert_int_equal(0, run(f, VHOST_COMMAND_DRAIN_WRITES));
    for (uint32_t i = 0; i < 20; i++) {
        await_one(f);
    }
    assert_int_equal(0, run(f, VHOST_COMMAND_STOP));
}

static void says_when_a_kick_descriptor_cannot_be_watched(void **state)
{
    struct fixture *f = *state;
    f->command = (struct vhost_command){
        .setup = {.parts = device_ring_parts(&f->ring, f->ring.memory),
                  .size = SIZE,
                  .memory = f->ring.memory},
        .kick_fd = -1,
        .call_fd = -1,
        .err_fd = -1,
    };
    assert_int_equal(-EBADF, run(f, VHOST_COMMAND_START));
    start(f, 0); /* and the next one can */
    submit(f, 0, IN, 0);
    await_one(f);
    assert_int_equal(0, run(f, VHOST_COMMAND_STOP));
}

static void keeps_polling_while_it_may(void **state)
{
    struct fixture *f = *state;
    start(f, 0);
    submit(f, 0, IN, 0);
    await_one(f);
    device_ring_add(&f->ring, 0, IN, 0, 512);
    virtq_driver_publish(&f->ring.queue.driver); /* no kick */
    await_one(f);
    assert_int_equal(0, run(f, VHOST_COMMAND_STOP));
}

static void logs_a_cpu_that_does_not_exist(void **state)
{
    struct fixture *f = *state;
    struct vhost_queue *queue;
    assert_int_equal(0, vhost_queue_create(&f->test->device, 0, 1023, f->done_fd, &queue, NULL));
    assert_true(test_device_logged(f->test, "cannot be pinned to CPU 1023"));
    vhost_queue_destroy(queue);
    assert_int_equal(0, vhost_queue_create(&f->test->device, 0, 0, f->done_fd, &queue, NULL));
    assert_false(test_device_logged(f->test, "pinned"));
    vhost_queue_destroy(queue);
    vhost_queue_destroy(NULL);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
#define TEST_URING(name)                                                                           \
    {                                                                                              \
#name "_with_io_uring", name, setup_uring, teardown, NULL                                  \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(serves_requests_from_kick_to_call),
        TEST_URING(serves_requests_from_kick_to_call),
        TEST(finds_heads_that_were_there_before_it_started),
        TEST_URING(finds_heads_that_were_there_before_it_started),
        TEST(answers_everything_before_a_stop_ends),
        TEST_URING(answers_everything_before_a_stop_ends),
        TEST(leaves_a_disabled_ring_alone),
        TEST_URING(leaves_a_disabled_ring_alone),
        TEST(changes_descriptors_of_a_started_ring),
        TEST_URING(changes_descriptors_of_a_started_ring),
        TEST(goes_on_under_another_memory_table),
        TEST_URING(goes_on_under_another_memory_table),
        TEST(drains_volatile_writes),
        TEST_URING(drains_volatile_writes),
        TEST(says_when_a_kick_descriptor_cannot_be_watched),
        TEST_URING(says_when_a_kick_descriptor_cannot_be_watched),
        cmocka_unit_test_setup_teardown(keeps_polling_while_it_may, setup_polling, teardown),
        TEST(logs_a_cpu_that_does_not_exist),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
