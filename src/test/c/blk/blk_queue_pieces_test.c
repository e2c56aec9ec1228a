/* SPDX-License-Identifier: AGPL-3.0-only */
/* Requests that a queue carries out in pieces: through bounce buffers, enciphered, cut at the limit
 * of the engine; which of them wait, and what a piece that fails means for its request. */
#include "blk/blk_queue.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "blk/blk_transfer.h"
#include "support/cmocka_test.h"
#include "support/queue_rig.h"

enum { PIECE_BYTES = BUFFER_POOL_PIECE_BYTES_MAX };

static void bounces_what_the_kernel_would_not_take(void **state)
{
    struct rig *rig = *state;
    rig_open(rig, (struct test_device_params){.memory_align = 512}, true);
    rig_fill(rig->guest, RIG_GUEST_BYTES, 9);
    assert_int_equal(0, rig_end(rig, rig_start(rig, 0, QUEUE_OP_WRITE, 0, rig->guest + 512, 1024)));
    assert_int_equal(-1, rig_record(rig, 0)->buffer_index);
    assert_int_equal(0, rig_end(rig, rig_start(rig, 0, QUEUE_OP_WRITE, 2, rig->guest + 511, 1024)));
    assert_int_not_equal(-1, rig_record(rig, 1)->buffer_index);
    assert_memory_equal(rig->guest + 511, rig->test->disk + 1024, 1024);
    struct iovec iov[] = {{rig->guest, 300}, {rig->guest + 1024, 212}}; /* lengths, too */
    struct blk_request *request = rig_prepare(rig, 1, QUEUE_OP_WRITE, 4, iov, 2);
    blk_queue_start(rig->queue, request, 0);
    assert_int_equal(0, rig_end(rig, request));
    assert_int_not_equal(-1, rig_record(rig, 2)->buffer_index);
    assert_memory_equal(rig->guest, rig->test->disk + 2048, 300);
    assert_memory_equal(rig->guest + 1024, rig->test->disk + 2348, 212);
    struct iovec back[] = {{rig->guest + 99991, 1}, {rig->guest + 77777, 511}};
    request = rig_prepare(rig, 1, QUEUE_OP_READ, 4, back, 2);
    blk_queue_start(rig->queue, request, 0);
    assert_int_equal(0, rig_end(rig, request));
    assert_memory_equal(rig->test->disk + 2048, rig->guest + 99991, 1);
    assert_memory_equal(rig->test->disk + 2049, rig->guest + 77777, 511);
}

static void enciphers_on_the_way_to_the_disk_and_back(void **state)
{
    struct rig *rig = *state;
    rig_open(rig, (struct test_device_params){.encrypted = true}, true);
    const uint64_t byte_len = 3 * PIECE_BYTES + 512;
    rig_fill(rig->guest, byte_len, 17);
    assert_int_equal(0, rig_end(rig, rig_start(rig, 0, QUEUE_OP_WRITE, 33, rig->guest, byte_len)));
    assert_int_equal(4, rig->fake->record_count);
    uint8_t *plain = malloc(byte_len);
    assert_non_null(plain);
    xts_decrypt(rig->device->xts, 33, rig->test->disk + 33 * 512, plain, byte_len / 512);
    assert_memory_equal(rig->guest, plain, byte_len);
    assert_memory_not_equal(rig->guest, rig->test->disk + 33 * 512, 512);
    struct iovec iov[] = {{rig->guest + byte_len + 3, 100}, {rig->guest + byte_len + 999, 412}};
    struct blk_request *request = rig_prepare(rig, 1, QUEUE_OP_READ, 33 + 127, iov, 2);
    blk_queue_start(rig->queue, request, 0);
    assert_int_equal(0, rig_end(rig, request));
    assert_memory_equal(plain + 127 * 512, rig->guest + byte_len + 3, 100);
    assert_memory_equal(plain + 127 * 512 + 100, rig->guest + byte_len + 999, 412);
    free(plain);
}

static void enciphers_private_memory_in_place(void **state)
{
    struct rig *rig = *state;
    rig->test = test_device_create(&(struct test_device_params){.encrypted = true});
    rig->device = &rig->test->device;
    rig->device->private_memory = true;
    rig->fake = fake_engine_create(blk_transfer_depth(rig->device), &rig->device->file.fd, 1);
    assert_int_equal(0, blk_queue_create_on(rig->device, 0, &rig->fake->base, &rig->queue, NULL));
    memset(rig->guest, 0x5a, 1 << 20);
    struct blk_request *request = rig_start(rig, 0, QUEUE_OP_WRITE, 16, rig->guest, 1 << 20);
    assert_int_equal(-EINVAL, rig_end(rig, request)); /* beyond the disk */
    assert_int_equal(0x5a, rig->guest[0]);
    request = rig_start(rig, 0, QUEUE_OP_WRITE, 16, rig->guest, 1 << 19);
    assert_int_equal(0, rig_end(rig, request));
    assert_int_equal(1, rig->fake->record_count); /* no piece of a bounce buffer's size */
    assert_ptr_equal(rig->guest, rig_record(rig, 0)->iov_first.iov_base);
    uint8_t clear[512];
    xts_decrypt(rig->device->xts, 16 + 3, rig->test->disk + 19 * 512, clear, 1);
    for (size_t i = 0; i < sizeof(clear); i++)
        assert_int_equal(0x5a, clear[i]);
    assert_int_equal(
        0, rig_end(rig, rig_start(rig, 1, QUEUE_OP_READ, 16, rig->guest + (1 << 20), 1 << 19)));
    for (size_t i = 0; i < 1 << 19; i++)
        assert_int_equal(0x5a, rig->guest[(1 << 20) + i]);
}

static void carries_out_a_request_larger_than_its_bounce_buffers(void **state)
{
    struct rig *rig = *state;
    rig_open(rig,
             (struct test_device_params){.encrypted = true, .bounce_bytes = BUFFER_POOL_BYTES_MIN},
             true);
    rig_fill(rig->guest, 1 << 20, 5);
    assert_int_equal(0, rig_end(rig, rig_start(rig, 0, QUEUE_OP_WRITE, 0, rig->guest, 1 << 20)));
    assert_int_equal((1 << 20) / PIECE_BYTES, rig->fake->record_count);
    assert_int_equal(
        0, rig_end(rig, rig_start(rig, 0, QUEUE_OP_READ, 0, rig->guest + (2 << 20), 1 << 20)));
    assert_memory_equal(rig->guest, rig->guest + (2 << 20), 1 << 20);
}

static void shares_the_bounce_buffers_among_queues(void **state)
{
    struct rig *rig = *state;
    /* 256 KiB for this one: a quarter is small buffers, so three large ones are left */
    rig_open(
        rig,
        (struct test_device_params){.encrypted = true, .bounce_bytes = 1 << 20, .queue_count = 4},
        true);
    fake_engine_hold(rig->fake, true);
    rig_start(rig, 0, QUEUE_OP_READ, 0, rig->guest, 1 << 20);
    assert_int_equal(3, rig->fake->record_count);
    fake_engine_hold(rig->fake, false);
    while (!rig_run(rig)) {
    }
}

static void lets_nobody_overtake_a_request_that_waits_for_a_buffer(void **state)
{
    struct rig *rig = *state;
    rig_open(rig,
             (struct test_device_params){.encrypted = true, .bounce_bytes = BUFFER_POOL_BYTES_MIN},
             true);
    fake_engine_hold(rig->fake, true);
    struct blk_request *large = rig_start(rig, 0, QUEUE_OP_READ, 0, rig->guest, 3 * PIECE_BYTES);
    struct blk_request *small = rig_start(rig, 1, QUEUE_OP_READ, 2000, rig->guest + (1 << 20), 512);
    struct blk_request *flush = rig_flush(rig, 2);
    assert_int_equal(BLK_REQUEST_WAITING, large->state);
    assert_int_equal(BLK_REQUEST_WAITING, small->state);
    assert_int_equal(BLK_REQUEST_WAITING, flush->state);
    for (uint32_t piece = 0; piece < 3; piece++) {
        assert_null(rig_run(rig));
        assert_int_equal(PIECE_BYTES * piece, rig_record(rig, piece)->byte_offset);
        assert_int_equal(piece == 2 ? 5 : piece + 1, rig->fake->record_count);
        if (piece < 2) {
            fake_engine_complete_all(rig->fake);
            assert_int_equal(1, blk_queue_reap(rig->queue, 0));
        }
    }
    assert_int_equal(2000 * 512, rig_record(rig, 3)->byte_offset);
    assert_int_equal(IO_FDATASYNC, rig_record(rig, 4)->opcode);
    assert_int_equal(BLK_REQUEST_IN_FLIGHT, large->state);
    fake_engine_hold(rig->fake, false);
    assert_ptr_equal(large, rig_run(rig));
    assert_ptr_equal(small, rig_run(rig));
    assert_ptr_equal(flush, rig_run(rig));
    assert_null(rig_run(rig));
}

static void waits_when_all_pieces_are_with_the_engine(void **state)
{
    struct rig *rig = *state;
    rig_open(rig, (struct test_device_params){.queue_size = 2 * BLK_PIECES_MAX}, true);
    fake_engine_hold(rig->fake, true);
    for (uint32_t slot = 0; slot < BLK_PIECES_MAX; slot++) {
        rig_start(rig, slot, QUEUE_OP_READ, slot % 100, rig->guest, 512);
    }
    struct blk_request *waiting = rig_start(rig, BLK_PIECES_MAX, QUEUE_OP_READ, 7, rig->guest, 512);
    struct blk_request *last = rig_flush(rig, BLK_PIECES_MAX + 1);
    assert_int_equal(BLK_REQUEST_WAITING, waiting->state);
    assert_int_equal(BLK_REQUEST_WAITING, last->state);
    assert_null(rig_run(rig));
    fake_engine_complete(rig->fake, 100, 0);
    assert_non_null(rig_run(rig));
    assert_int_equal(BLK_REQUEST_WAITING, waiting->state);
    assert_int_equal(0, blk_queue_submit(rig->queue, 1));
    assert_int_equal(BLK_REQUEST_IN_FLIGHT, waiting->state);
    assert_int_equal(BLK_REQUEST_WAITING, last->state);
    fake_engine_hold(rig->fake, false);
    while (blk_queue_busy(rig->queue) > 0) {
        rig_run(rig);
    }
}

static void cuts_transfers_at_the_limit_of_the_engine(void **state)
{
    struct rig *rig = *state;
    const uint64_t gib = UINT64_C(1) << 30;
    const uint64_t lengths[][3] = {
        {5 * gib / 2, 0, 0},
        {600 << 20, 600 << 20, 600 << 20},
        {3 * gib / 2, gib, 512},
        {512, 2 * gib, 512},
        {gib, gib, gib},
        {gib / 2, gib / 2, 512},
        {gib + 512, gib - 512, 512},
    };
    rig_open(rig, (struct test_device_params){.byte_len = 8 * gib}, false);
    for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
        struct iovec iov[3];
        uint32_t count = 0;
        for (int n = 0; n < 3 && lengths[i][n] > 0; n++) {
            iov[count++] = (struct iovec){rig->guest, lengths[i][n]}; /* never touched */
        }
        struct blk_request *request = rig_prepare(rig, 0, QUEUE_OP_READ, 2, iov, count);
        const uint64_t byte_len = request->byte_len;
        fake_engine_forget(rig->fake);
        blk_queue_start(rig->queue, request, 0);
        assert_int_equal(0, rig_end(rig, request));
        uint64_t offset = 1024;
        for (uint32_t n = 0; n < rig->fake->record_count; n++) {
            assert_true(rig_record(rig, n)->byte_offset == offset);
            assert_in_range(rig_record(rig, n)->byte_len, 1, IO_TRANSFER_BYTES_MAX);
            offset += rig_record(rig, n)->byte_len;
        }
        assert_true(offset == 1024 + byte_len);
        assert_in_range(rig->fake->record_count, byte_len / gib, 2 * byte_len / gib + 2);
    }
}

static void ends_with_the_first_failure_and_issues_nothing_more(void **state)
{
    struct rig *rig = *state;
    rig_open(rig,
             (struct test_device_params){.encrypted = true, .bounce_bytes = BUFFER_POOL_BYTES_MIN},
             true);
    fake_engine_fail(rig->fake, IO_READV, 2, -EIO);
    memset(rig->guest, 0xcc, 1 << 20);
    assert_int_equal(-EIO, rig_end(rig, rig_start(rig, 0, QUEUE_OP_READ, 0, rig->guest, 1 << 20)));
    assert_int_equal(2, rig->fake->record_count);
    assert_int_equal(0xcc, rig->guest[PIECE_BYTES]); /* nothing of what failed reached the guest */
    assert_int_equal(0, blk_device_sticky_errno(rig->device));
    /* the buffers are there again */
    assert_int_equal(0, rig_end(rig, rig_start(rig, 0, QUEUE_OP_READ, 0, rig->guest, 1 << 20)));
}

static void ends_once_when_several_pieces_fail(void **state)
{
    struct rig *rig = *state;
    rig_open(rig, (struct test_device_params){.encrypted = true}, true);
    fake_engine_hold(rig->fake, true);
    struct blk_request *request = rig_start(rig, 0, QUEUE_OP_READ, 0, rig->guest, 4 * PIECE_BYTES);
    assert_null(rig_run(rig));
    fake_engine_complete(rig->fake, 2, -ENOSPC);
    assert_null(rig_run(rig));
    fake_engine_complete(rig->fake, 0, -EIO);
    fake_engine_complete(rig->fake, 1, 0);
    assert_null(rig_run(rig)); /* one is still with the engine */
    fake_engine_complete(rig->fake, 3, -EPERM);
    assert_ptr_equal(request, rig_run(rig));
    assert_int_equal(-ENOSPC, request->result);
    assert_null(rig_run(rig));
    assert_int_equal(0, blk_queue_busy(rig->queue));
}

static void ends_a_waiting_request_whose_piece_failed(void **state)
{
    struct rig *rig = *state;
    rig_open(rig,
             (struct test_device_params){.encrypted = true, .bounce_bytes = BUFFER_POOL_BYTES_MIN},
             true);
    fake_engine_hold(rig->fake, true);
    struct blk_request *first = rig_start(rig, 0, QUEUE_OP_READ, 0, rig->guest, 2 * PIECE_BYTES);
    struct blk_request *second = rig_start(rig, 1, QUEUE_OP_READ, 0, rig->guest, 512);
    assert_null(rig_run(rig));
    fake_engine_complete(rig->fake, 0, -EIO);
    assert_null(rig_run(rig));
    assert_int_equal(BLK_REQUEST_WAITING, first->state);
    assert_ptr_equal(first, rig_run(rig));
    assert_int_equal(-EIO, first->result);
    assert_int_equal(BLK_REQUEST_IN_FLIGHT, second->state);
    fake_engine_hold(rig->fake, false);
    assert_ptr_equal(second, rig_run(rig));
    assert_int_equal(0, second->result);
}

static void ends_what_is_oversized_without_issuing_the_rest_of_it(void **state)
{
    struct rig *rig = *state;
    rig_open(
        rig,
        (struct test_device_params){.memory_align = 512, .bounce_bytes = BUFFER_POOL_BYTES_MIN},
        true);
    const uint64_t announced = (uint64_t)rig->device->seg_size_max * rig->device->seg_count_max;
    fake_engine_hold(rig->fake, true);
    struct blk_request *oversized =
        rig_start(rig, 0, QUEUE_OP_READ, 0, rig->guest + 1, announced + 8 * PIECE_BYTES);
    struct blk_request *large = rig_start(rig, 1, QUEUE_OP_WRITE, 0, rig->guest + 1, announced);
    struct blk_request *flush = rig_flush(rig, 2);
    assert_null(rig_run(rig));
    uint32_t issued = rig->fake->record_count;
    assert_true(issued < 8);
    assert_true(blk_queue_expire_oversized(rig->queue));
    assert_false(blk_queue_expire_oversized(rig->queue));
    fake_engine_complete_all(rig->fake);
    assert_ptr_equal(oversized, rig_run(rig));
    assert_int_equal(-ETIMEDOUT, oversized->result);
    fake_engine_hold(rig->fake, false);
    while (blk_queue_busy(rig->queue) > 0)
        rig_run(rig);
    assert_int_equal(0, large->result);
    assert_int_equal(0, flush->result);
    assert_int_equal(issued + announced / PIECE_BYTES + 1, rig->fake->record_count);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        RIG_TEST(bounces_what_the_kernel_would_not_take),
        RIG_TEST(enciphers_on_the_way_to_the_disk_and_back),
        RIG_TEST(enciphers_private_memory_in_place),
        RIG_TEST(carries_out_a_request_larger_than_its_bounce_buffers),
        RIG_TEST(shares_the_bounce_buffers_among_queues),
        RIG_TEST(lets_nobody_overtake_a_request_that_waits_for_a_buffer),
        RIG_TEST(waits_when_all_pieces_are_with_the_engine),
        RIG_TEST(cuts_transfers_at_the_limit_of_the_engine),
        RIG_TEST(ends_with_the_first_failure_and_issues_nothing_more),
        RIG_TEST(ends_once_when_several_pieces_fail),
        RIG_TEST(ends_a_waiting_request_whose_piece_failed),
        RIG_TEST(ends_what_is_oversized_without_issuing_the_rest_of_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
