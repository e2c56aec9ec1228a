/* SPDX-License-Identifier: AGPL-3.0-only */
/* The request path on an engine that does what the test says: what is carried out and what refused,
 * in which order requests end, what is counted, commands and eventfds beside them. */
#include "blk/blk_queue.h"

#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "blk/blk_transfer.h"
#include "support/aborts.h"
#include "support/cmocka_test.h"
#include "support/queue_rig.h"

static void transfers_straight_on_guest_memory(void **state)
{
    struct rig *rig = *state;
    rig_open(rig, (struct test_device_params){0}, true);
    rig_fill(rig->guest, 8192, 1);
    struct blk_request *request = rig_start(rig, 3, QUEUE_OP_WRITE, 10, rig->guest + 1, 4096);
    assert_int_equal(BLK_REQUEST_IN_FLIGHT, request->state);
    assert_int_equal(0, rig_end(rig, request));
    assert_memory_equal(rig->guest + 1, rig->test->disk + 5120, 4096);
    assert_int_equal(1, rig->fake->record_count);
    assert_int_equal(IO_WRITEV, rig_record(rig, 0)->opcode);
    assert_int_equal(0, rig_record(rig, 0)->flags);
    assert_int_equal(5120, rig_record(rig, 0)->byte_offset);
    assert_ptr_equal(rig->guest + 1, rig_record(rig, 0)->iov_first.iov_base);
    assert_int_equal(-1, rig_record(rig, 0)->buffer_index);
    assert_int_equal(0,
                     rig_end(rig, rig_start(rig, 4, QUEUE_OP_READ, 11, rig->guest + 10001, 1024)));
    assert_memory_equal(rig->test->disk + 5632, rig->guest + 10001, 1024);
    assert_int_equal(IO_READV, rig_record(rig, 1)->opcode);
}

static void takes_the_many_segments_of_a_request_from_the_arena(void **state)
{
    struct rig *rig = *state;
    rig_open(rig, (struct test_device_params){0}, true);
    struct iovec *iov = blk_queue_arena(rig->queue, 15);
    rig_fill(rig->guest, RIG_GUEST_BYTES, 3);
    for (uint32_t i = 0; i < BLK_REQUEST_SEGMENTS_MAX; i++) {
        iov[i] = (struct iovec){rig->guest + (BLK_REQUEST_SEGMENTS_MAX - i) * 700, 512};
    }
    struct blk_request *request =
        rig_prepare(rig, 15, QUEUE_OP_WRITE, 0, iov, BLK_REQUEST_SEGMENTS_MAX);
    blk_queue_start(rig->queue, request, 0);
    assert_int_equal(0, rig_end(rig, request));
    assert_int_equal(1, rig->fake->record_count);
    assert_int_equal(BLK_REQUEST_SEGMENTS_MAX, rig_record(rig, 0)->iov_count);
    for (uint32_t i = 0; i < BLK_REQUEST_SEGMENTS_MAX; i++) {
        assert_memory_equal(rig->guest + (BLK_REQUEST_SEGMENTS_MAX - i) * 700,
                            rig->test->disk + i * 512, 512);
    }
    assert_int_equal(BLK_QUEUE_ARENA_SEGMENTS,
                     blk_queue_arena(rig->queue, 1) - blk_queue_arena(rig->queue, 0));
}

static void refuses_what_lies_beyond_the_disk(void **state)
{
    struct rig *rig = *state;
    rig_open(rig, (struct test_device_params){0}, true);
    const uint64_t capacity = rig->device->capacity;
    const struct {
        uint64_t sector;
        uint64_t byte_len;
        int result;
    } cases[] = {
        {capacity - 1, 512, 0},
        {0, 1 << 20, 0},
        {capacity, 0, 0},
        {capacity, 512, -EINVAL},
        {capacity - 1, 1024, -EINVAL},
        {capacity + 1, 0, -EINVAL},
        {UINT64_MAX, 512, -EINVAL},
        {UINT64_MAX - 1, 1024, -EINVAL},
        {UINT64_MAX - 7, 4096, -EINVAL},
        {UINT64_C(1) << 55, 512, -EINVAL},
        {0, (1 << 20) + 512, -EINVAL},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        for (int op = QUEUE_OP_READ; op <= QUEUE_OP_WRITE; op++) {
            uint32_t before = rig->fake->record_count;
            struct blk_request *request = rig_start(rig, 0, (enum queue_op)op, cases[i].sector,
                                                    rig->guest, cases[i].byte_len);
            assert_int_equal(cases[i].result, rig_end(rig, request));
            bool moved = cases[i].result == 0 && cases[i].byte_len > 0;
            assert_int_equal(before + moved, rig->fake->record_count);
        }
    }
}

static void refuses_parts_of_logical_blocks(void **state)
{
    struct rig *rig = *state;
    rig_open(rig, (struct test_device_params){.logical_block_size = 4096}, true);
    assert_int_equal(0, rig_end(rig, rig_start(rig, 0, QUEUE_OP_READ, 8, rig->guest, 4096)));
    assert_int_equal(-EINVAL, rig_end(rig, rig_start(rig, 0, QUEUE_OP_READ, 1, rig->guest, 4096)));
    assert_int_equal(-EINVAL, rig_end(rig, rig_start(rig, 0, QUEUE_OP_READ, 8, rig->guest, 512)));
    assert_int_equal(-EINVAL, rig_end(rig, rig_start(rig, 0, QUEUE_OP_WRITE, 8, rig->guest, 4608)));
    assert_int_equal(-EINVAL, rig_end(rig, rig_start(rig, 0, QUEUE_OP_WRITE, 7, rig->guest, 512)));
    assert_int_equal(1, rig->fake->record_count);
}

static void ends_a_transfer_of_nothing_at_once(void **state)
{
    struct rig *rig = *state;
    rig_open(rig, (struct test_device_params){.encrypted = true}, true);
    struct blk_request *request = rig_start(rig, 0, QUEUE_OP_READ, 5, NULL, 0);
    assert_int_equal(BLK_REQUEST_DONE, request->state);
    assert_int_equal(0, rig_end(rig, request));
    assert_int_equal(0, rig_end(rig, rig_start(rig, 0, QUEUE_OP_WRITE, 5, NULL, 0)));
    assert_int_equal(0, rig->fake->record_count);
    assert_int_equal(0, blk_queue_volatile_writes(rig->queue));
}

static void hands_out_ended_requests_in_the_order_of_completion(void **state)
{
    struct rig *rig = *state;
    rig_open(rig, (struct test_device_params){0}, true);
    fake_engine_hold(rig->fake, true);
    struct blk_request *requests[4];
    for (uint32_t i = 0; i < 4; i++) {
        requests[i] = rig_start(rig, i, QUEUE_OP_READ, i, rig->guest, 512);
    }
    assert_null(rig_run(rig));
    assert_int_equal(4, blk_queue_busy(rig->queue));
    fake_engine_complete_all_backwards(rig->fake);
    assert_int_equal(4, blk_queue_reap(rig->queue, 0));
    for (uint32_t i = 4; i > 0; i--) {
        struct blk_request *request = blk_queue_next_done(rig->queue);
        assert_ptr_equal(requests[i - 1], request);
        blk_queue_release(rig->queue, request);
        assert_int_equal(i - 1, blk_queue_busy(rig->queue));
    }
    assert_null(blk_queue_next_done(rig->queue));
}

static void reaps_everything_that_ended(void **state)
{
    struct rig *rig = *state;
    rig_open(rig, (struct test_device_params){.queue_size = 256}, true);
    for (uint32_t i = 0; i < 200; i++) {
        rig_start(rig, i, QUEUE_OP_READ, i, rig->guest, 512);
    }
    assert_int_equal(0, blk_queue_submit(rig->queue, 1));
    assert_int_equal(1, rig->fake->submit_useful_count); /* one batch */
    assert_int_equal(200, blk_queue_reap(rig->queue, 0));
    assert_int_equal(0, blk_queue_reap(rig->queue, 0));
    struct blk_request *request;
    uint32_t count = 0;
    while ((request = blk_queue_next_done(rig->queue))) {
        assert_int_equal(count++, request->slot);
        blk_queue_release(rig->queue, request);
    }
    assert_int_equal(200, count);
}

static void finishes_what_is_not_to_be_started(void **state)
{
    struct rig *rig = *state;
    rig_open(rig, (struct test_device_params){0}, true);
    struct blk_request *request = blk_queue_slot(rig->queue, 2);
    request->op = QUEUE_OP_OTHER;
    request->byte_len = 20;
    blk_queue_finish(rig->queue, request, 0, 100);
    assert_int_equal(1, blk_queue_busy(rig->queue));
    assert_ptr_equal(request, rig_run(rig));
    assert_int_equal(0, request->result);
    request->byte_len = 0;
    blk_queue_finish(rig->queue, request, -EINVAL, 100);
    assert_int_equal(-EINVAL, rig_end(rig, request));
    request->op = QUEUE_OP_WRITE;
    blk_queue_finish(rig->queue, request, -E2BIG, 100);
    assert_int_equal(-E2BIG, rig_end(rig, request));
    assert_int_equal(0, blk_queue_volatile_writes(rig->queue));
    const struct queue_op_stats *other = &rig->device->stats[0]->op[QUEUE_OP_OTHER];
    assert_int_equal(2, atomic_load(&other->ops));
    assert_int_equal(20, atomic_load(&other->bytes));
    assert_int_equal(1, atomic_load(&other->errors));
}

static void keeps_statistics(void **state)
{
    struct rig *rig = *state;
    rig_open(rig, (struct test_device_params){0}, true);
    const struct queue_stats *stats = rig->device->stats[0];
    fake_engine_hold(rig->fake, true);
    struct blk_request *request = rig_start(rig, 5, QUEUE_OP_WRITE, 40, rig->guest, 4096);
    assert_true(atomic_load(&stats->activity[5].kind_sectors) ==
                ((uint64_t)(QUEUE_OP_WRITE + 1) << 32 | 8));
    assert_int_equal(40, atomic_load(&stats->activity[5].sector));
    fake_engine_hold(rig->fake, false);
    assert_int_equal(0, rig_end(rig, request)); /* from 1000 to 2000 ns */
    assert_int_equal(0, atomic_load(&stats->activity[5].kind_sectors));
    const struct queue_op_stats *writes = &stats->op[QUEUE_OP_WRITE];
    assert_int_equal(1, atomic_load(&writes->ops));
    assert_int_equal(4096, atomic_load(&writes->bytes));
    assert_int_equal(1000, atomic_load(&writes->latency_sum_ns));
    assert_int_equal(1, atomic_load(&writes->latency[latency_bucket(1000)]));
    fake_engine_fail(rig->fake, IO_WRITEV, 1, -EIO);
    rig_end(rig, rig_start(rig, 5, QUEUE_OP_WRITE, 40, rig->guest, 4096));
    assert_int_equal(2, atomic_load(&writes->ops));
    assert_int_equal(4096, atomic_load(&writes->bytes));
    assert_int_equal(1, atomic_load(&writes->errors));
    rig_end(rig, rig_flush(rig, 0));
    assert_int_equal(1, atomic_load(&stats->op[QUEUE_OP_FLUSH].ops));
    assert_int_equal(0, atomic_load(&stats->op[QUEUE_OP_READ].ops));
}

static void says_when_the_engine_is_unusable(void **state)
{
    struct rig *rig = *state;
    rig_open(rig, (struct test_device_params){0}, true);
    rig->fake->submit_result = -ENXIO;
    assert_int_equal(-ENXIO, blk_queue_submit(rig->queue, 1));
    assert_int_equal(-ENXIO, blk_queue_wait(rig->queue, 0));
    rig->fake->submit_result = 0;
    assert_int_equal(-ETIME, blk_queue_wait(rig->queue, 0));
}

static void watches_eventfds_with_its_engine(void **state)
{
    struct rig *rig = *state;
    rig_open(rig, (struct test_device_params){0}, true);
    int fd = eventfd(1, EFD_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(0, blk_queue_watch(rig->queue, BLK_QUEUE_WATCH_KICK, fd));
    assert_int_equal(0, blk_queue_wait(rig->queue, UINT64_MAX));
    assert_int_equal(1u << BLK_QUEUE_WATCH_KICK, blk_queue_fired(rig->queue));
    assert_int_equal(0, blk_queue_fired(rig->queue));
    blk_queue_unwatch(rig->queue, BLK_QUEUE_WATCH_KICK);
    uint64_t one = 1;
    assert_int_equal(sizeof(one), write(fd, &one, sizeof(one)));
    assert_int_equal(0, blk_queue_fired(rig->queue));
    close(fd);
}

static void carries_commands_beside_transfers(void **state)
{
    struct rig *rig = *state;
    rig_open(rig, (struct test_device_params){0}, false);
    struct io_op commands[2] = {{.command = 7, .argument = {1, 2, 3}}, {.command = 8}};
    blk_queue_command(rig->queue, &commands[0]);
    blk_queue_command(rig->queue, &commands[1]);
    struct blk_request *request = rig_start(rig, 0, QUEUE_OP_READ, 0, rig->guest, 512);
    assert_int_equal(0, rig_end(rig, request));
    assert_int_equal(1, rig->fake->submit_useful_count); /* all of it at once */
    assert_int_equal(IO_COMMAND, rig_record(rig, 0)->opcode);
    assert_int_equal(FILE_COMMAND, rig_record(rig, 0)->file);
    assert_int_equal(7, rig_record(rig, 0)->command);
    assert_int_equal(3, rig_record(rig, 0)->argument[2]);
    assert_null(blk_queue_next_command(rig->queue));
    fake_engine_complete(rig->fake, 1, -ENODEV);
    fake_engine_complete(rig->fake, 0, 0);
    assert_int_equal(2, blk_queue_reap(rig->queue, 1));
    assert_ptr_equal(&commands[1], blk_queue_next_command(rig->queue));
    assert_int_equal(-ENODEV, commands[1].result);
    assert_ptr_equal(&commands[0], blk_queue_next_command(rig->queue));
    assert_int_equal(0, commands[0].result);
    assert_null(blk_queue_next_command(rig->queue));
}

static void issues_without_submitting(void **state)
{
    struct rig *rig = *state;
    rig_open(rig, (struct test_device_params){0}, true);
    rig_start(rig, 0, QUEUE_OP_READ, 0, rig->guest, 512);
    blk_queue_issue(rig->queue, 1);
    assert_int_equal(0, rig->fake->submit_count);
    assert_int_equal(0, blk_queue_wait(rig->queue, UINT64_MAX)); /* which submits */
    assert_int_equal(1, rig->fake->submit_count);
    assert_int_equal(1, blk_queue_reap(rig->queue, 1));
    blk_queue_release(rig->queue, blk_queue_next_done(rig->queue));
}

static void refuses_commands_without_io_uring(void **state)
{
    struct rig *rig = *state;
    rig->test = test_device_create(&(struct test_device_params){.sync_engine = true});
    struct error error = {0};
    struct blk_queue *queue = NULL;
    assert_int_equal(-ENOTSUP,
                     blk_queue_create_with_commands(&rig->test->device, 0, 0, &queue, &error));
    assert_non_null(strstr(error.message, "io_uring"));
    assert_null(queue);
}

static void ends_with_commands_at_the_driver(void **state)
{
    struct rig *rig = *state;
    rig_open(rig, (struct test_device_params){0}, false);
    struct io_op command = {.command = 7};
    blk_queue_command(rig->queue, &command);
    assert_int_equal(0, blk_queue_submit(rig->queue, 1));
    blk_queue_destroy(rig->queue);
    rig->queue = NULL;
}

static void destroy_queue(void *argument)
{
    blk_queue_destroy(argument);
}

static void take_slot_16(void *argument)
{
    blk_queue_slot(argument, 16);
}

static void take_arena_16(void *argument)
{
    blk_queue_arena(argument, 16);
}

static void start_slot_0(void *argument)
{
    rig_start(argument, 0, QUEUE_OP_READ, 0, NULL, 0);
}

static void asserts_that_it_is_used_as_meant(void **state)
{
    struct rig *rig = *state;
    rig_open(rig, (struct test_device_params){0}, true);
    assert_true(call_aborts(take_slot_16, rig->queue));
    assert_true(call_aborts(take_arena_16, rig->queue));
    struct blk_request *request = rig_start(rig, 0, QUEUE_OP_READ, 0, NULL, 0);
    assert_true(call_aborts(destroy_queue, rig->queue));
    assert_true(call_aborts(start_slot_0, rig)); /* a head that is in use */
    assert_int_equal(0, rig_end(rig, request));
    assert_false(call_aborts(start_slot_0, rig));
    blk_queue_destroy(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        RIG_TEST(transfers_straight_on_guest_memory),
        RIG_TEST(takes_the_many_segments_of_a_request_from_the_arena),
        RIG_TEST(refuses_what_lies_beyond_the_disk),
        RIG_TEST(refuses_parts_of_logical_blocks),
        RIG_TEST(ends_a_transfer_of_nothing_at_once),
        RIG_TEST(hands_out_ended_requests_in_the_order_of_completion),
        RIG_TEST(reaps_everything_that_ended),
        RIG_TEST(finishes_what_is_not_to_be_started),
        RIG_TEST(keeps_statistics),
        RIG_TEST(says_when_the_engine_is_unusable),
        RIG_TEST(watches_eventfds_with_its_engine),
        RIG_TEST(carries_commands_beside_transfers),
        RIG_TEST(issues_without_submitting),
        RIG_TEST(refuses_commands_without_io_uring),
        RIG_TEST(ends_with_commands_at_the_driver),
        RIG_TEST(asserts_that_it_is_used_as_meant),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
