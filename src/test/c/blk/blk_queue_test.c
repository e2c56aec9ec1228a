/* SPDX-License-Identifier: AGPL-3.0-only */
/* The request path on an engine that does what the test says. Requests are as virtio_blk_parse
 * leaves them: segments, sector and length agree. */
#include "blk/blk_queue.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "blk/blk_transfer.h"
#include "support/aborts.h"
#include "support/cmocka_test.h"
#include "support/fake_engine.h"
#include "support/test_device.h"

enum { GUEST_BYTES = 4 << 20, PIECE_BYTES = BUFFER_POOL_PIECE_BYTES_MAX };

struct fixture {
    struct test_device *test;
    struct blk_device *device;
    struct fake_engine *fake;
    struct blk_queue *queue;
    uint8_t *guest; /* page-aligned memory of the guest */
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    assert_non_null(f);
    f->guest = mmap(NULL, GUEST_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(f->guest != MAP_FAILED);
    *state = f;
    return 0;
}

/* Ends what a failed test left behind, so that its report is not lost in an assert. */
static void drain(struct fixture *f)
{
    fake_engine_hold(f->fake, false);
    for (int i = 0; i < 100000 && blk_queue_busy(f->queue) > 0; i++) {
        blk_queue_submit(f->queue, 1);
        blk_queue_reap(f->queue, 0);
        struct blk_request *request;
        while ((request = blk_queue_next_done(f->queue))) {
            blk_queue_release(f->queue, request);
        }
    }
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    if (f->queue) {
        drain(f);
    }
    blk_queue_destroy(f->queue);
    if (f->test) {
        test_device_destroy(f->test);
    }
    munmap(f->guest, GUEST_BYTES);
    free(f);
    return 0;
}

/* Makes disk and queue; with is_real the engine moves bytes, else it only says so. */
static void open_queue(struct fixture *f, struct test_device_params params, bool is_real)
{
    f->test = test_device_create(&params);
    f->device = &f->test->device;
    f->fake = fake_engine_create(blk_transfer_depth(f->device), &f->device->file.fd, is_real);
    assert_int_equal(0, blk_queue_create_on(f->device, 0, &f->fake->base, &f->queue, NULL));
}

static struct blk_request *prepare(struct fixture *f, uint32_t slot, enum queue_op op,
                                   uint64_t sector, struct iovec *iov, uint32_t count)
{
    struct blk_request *request = blk_queue_slot(f->queue, slot);
    request->op = op;
    request->sector = sector;
    request->iov = iov;
    request->iov_count = count;
    request->byte_len = 0;
    for (uint32_t i = 0; i < count; i++) {
        request->byte_len += iov[i].iov_len;
    }
    request->sector_count = (uint32_t)(request->byte_len / 512);
    return request;
}

/* Starts a request of one segment, which lives in the slot. */
static struct blk_request *start(struct fixture *f, uint32_t slot, enum queue_op op,
                                 uint64_t sector, void *base, uint64_t byte_len)
{
    struct blk_request *request = blk_queue_slot(f->queue, slot);
    request->inline_iov[0] = (struct iovec){base, byte_len};
    prepare(f, slot, op, sector, request->inline_iov, byte_len > 0 ? 1 : 0);
    blk_queue_start(f->queue, request, 1000);
    return request;
}

static struct blk_request *start_flush(struct fixture *f, uint32_t slot)
{
    return start(f, slot, QUEUE_OP_FLUSH, 0, NULL, 0);
}

/* Submits, reaps and takes the next ended request, which it releases; NULL when there is none. */
static struct blk_request *run(struct fixture *f)
{
    assert_int_equal(0, blk_queue_submit(f->queue, 1));
    blk_queue_reap(f->queue, 2000);
    struct blk_request *request = blk_queue_next_done(f->queue);
    if (request) {
        assert_int_equal(BLK_REQUEST_DONE, request->state);
        blk_queue_release(f->queue, request);
    }
    return request;
}

/* The same until this one request ended. */
static int run_to_end(struct fixture *f, struct blk_request *request)
{
    for (int i = 0; i < 100000; i++) {
        struct blk_request *ended = run(f);
        if (ended) {
            assert_ptr_equal(request, ended);
            assert_null(blk_queue_next_done(f->queue));
            return request->result;
        }
    }
    fail_msg("the request does not end");
    return -1;
}

static const struct fake_record *record(const struct fixture *f, uint32_t index)
{
    assert_true(index < f->fake->record_count);
    return &f->fake->records[index];
}

static void fill(uint8_t *bytes, size_t byte_len, uint32_t seed)
{
    for (size_t i = 0; i < byte_len; i++) {
        bytes[i] = (uint8_t)(seed + i * 7 + i / 251);
    }
}

static void transfers_straight_on_guest_memory(void **state)
{
    struct fixture *f = *state;
    open_queue(f, (struct test_device_params){0}, true);
    fill(f->guest, 8192, 1);
    struct blk_request *request = start(f, 3, QUEUE_OP_WRITE, 10, f->guest + 1, 4096);
    assert_int_equal(BLK_REQUEST_IN_FLIGHT, request->state);
    assert_int_equal(0, run_to_end(f, request));
    assert_memory_equal(f->guest + 1, f->test->disk + 5120, 4096);
    assert_int_equal(1, f->fake->record_count);
    assert_int_equal(IO_WRITEV, record(f, 0)->opcode);
    assert_int_equal(0, record(f, 0)->flags);
    assert_int_equal(5120, record(f, 0)->byte_offset);
    assert_ptr_equal(f->guest + 1, record(f, 0)->iov_first.iov_base);
    assert_int_equal(-1, record(f, 0)->buffer_index);
    assert_int_equal(0, run_to_end(f, start(f, 4, QUEUE_OP_READ, 11, f->guest + 10001, 1024)));
    assert_memory_equal(f->test->disk + 5632, f->guest + 10001, 1024);
    assert_int_equal(IO_READV, record(f, 1)->opcode);
}

static void takes_the_many_segments_of_a_request_from_the_arena(void **state)
{
    struct fixture *f = *state;
    open_queue(f, (struct test_device_params){0}, true);
    struct iovec *iov = blk_queue_arena(f->queue, 15);
    fill(f->guest, GUEST_BYTES, 3);
    for (uint32_t i = 0; i < BLK_REQUEST_SEGMENTS_MAX; i++) {
        iov[i] = (struct iovec){f->guest + (BLK_REQUEST_SEGMENTS_MAX - i) * 700, 512};
    }
    struct blk_request *request = prepare(f, 15, QUEUE_OP_WRITE, 0, iov, BLK_REQUEST_SEGMENTS_MAX);
    blk_queue_start(f->queue, request, 0);
    assert_int_equal(0, run_to_end(f, request));
    assert_int_equal(1, f->fake->record_count);
    assert_int_equal(BLK_REQUEST_SEGMENTS_MAX, record(f, 0)->iov_count);
    for (uint32_t i = 0; i < BLK_REQUEST_SEGMENTS_MAX; i++) {
        assert_memory_equal(f->guest + (BLK_REQUEST_SEGMENTS_MAX - i) * 700,
                            f->test->disk + i * 512, 512);
    }
    assert_int_equal(BLK_QUEUE_ARENA_SEGMENTS,
                     blk_queue_arena(f->queue, 1) - blk_queue_arena(f->queue, 0));
}

static void refuses_what_lies_beyond_the_disk(void **state)
{
    struct fixture *f = *state;
    open_queue(f, (struct test_device_params){0}, true);
    const uint64_t capacity = f->device->capacity;
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
            uint32_t before = f->fake->record_count;
            struct blk_request *request =
                start(f, 0, (enum queue_op)op, cases[i].sector, f->guest, cases[i].byte_len);
            assert_int_equal(cases[i].result, run_to_end(f, request));
            bool moved = cases[i].result == 0 && cases[i].byte_len > 0;
            assert_int_equal(before + moved, f->fake->record_count);
        }
    }
}

static void refuses_parts_of_logical_blocks(void **state)
{
    struct fixture *f = *state;
    open_queue(f, (struct test_device_params){.logical_block_size = 4096}, true);
    assert_int_equal(0, run_to_end(f, start(f, 0, QUEUE_OP_READ, 8, f->guest, 4096)));
    assert_int_equal(-EINVAL, run_to_end(f, start(f, 0, QUEUE_OP_READ, 1, f->guest, 4096)));
    assert_int_equal(-EINVAL, run_to_end(f, start(f, 0, QUEUE_OP_READ, 8, f->guest, 512)));
    assert_int_equal(-EINVAL, run_to_end(f, start(f, 0, QUEUE_OP_WRITE, 8, f->guest, 4608)));
    assert_int_equal(-EINVAL, run_to_end(f, start(f, 0, QUEUE_OP_WRITE, 7, f->guest, 512)));
    assert_int_equal(1, f->fake->record_count);
}

static void ends_a_transfer_of_nothing_at_once(void **state)
{
    struct fixture *f = *state;
    open_queue(f, (struct test_device_params){.encrypted = true}, true);
    struct blk_request *request = start(f, 0, QUEUE_OP_READ, 5, NULL, 0);
    assert_int_equal(BLK_REQUEST_DONE, request->state);
    assert_int_equal(0, run_to_end(f, request));
    assert_int_equal(0, run_to_end(f, start(f, 0, QUEUE_OP_WRITE, 5, NULL, 0)));
    assert_int_equal(0, f->fake->record_count);
    assert_int_equal(0, blk_queue_volatile_writes(f->queue));
}

static void syncs_once_for_a_flush(void **state)
{
    struct fixture *f = *state;
    open_queue(f, (struct test_device_params){0}, true);
    assert_int_equal(0, run_to_end(f, start_flush(f, 0)));
    assert_int_equal(1, f->fake->record_count);
    assert_int_equal(IO_FDATASYNC, record(f, 0)->opcode);
}

static void writes_durably_when_the_cache_is_off(void **state)
{
    struct fixture *f = *state;
    open_queue(f, (struct test_device_params){.write_through = true}, true);
    fake_engine_hold(f->fake, true);
    struct blk_request *write = start(f, 0, QUEUE_OP_WRITE, 0, f->guest, 512);
    assert_true(write->durable);
    assert_int_equal(0, blk_queue_volatile_writes(f->queue));
    start(f, 1, QUEUE_OP_READ, 0, f->guest, 512);
    atomic_store(&f->device->write_back, true);
    start(f, 2, QUEUE_OP_WRITE, 0, f->guest, 512);
    assert_int_equal(1, blk_queue_volatile_writes(f->queue));
    assert_int_equal(IO_DSYNC, record(f, 0)->flags);
    assert_int_equal(0, record(f, 1)->flags);
    assert_int_equal(0, record(f, 2)->flags);
    fake_engine_hold(f->fake, false);
    while (run(f)) {
    }
    assert_int_equal(0, blk_queue_volatile_writes(f->queue));
}

/* A request that is popped before the cache goes off and waits keeps what it was. */
static void decides_about_durability_when_a_request_is_started(void **state)
{
    struct fixture *f = *state;
    open_queue(
        f, (struct test_device_params){.memory_align = 512, .bounce_bytes = BUFFER_POOL_BYTES_MIN},
        true);
    fake_engine_hold(f->fake, true);
    start(f, 0, QUEUE_OP_WRITE, 0, f->guest + 1, 4 * PIECE_BYTES);
    struct blk_request *waiting = start(f, 1, QUEUE_OP_WRITE, 1024, f->guest, 512);
    assert_int_equal(BLK_REQUEST_WAITING, waiting->state);
    assert_int_equal(2, blk_queue_volatile_writes(f->queue));
    atomic_store(&f->device->write_back, false);
    fake_engine_hold(f->fake, false);
    while (blk_queue_busy(f->queue) > 0) {
        run(f);
    }
    for (uint32_t i = 0; i < f->fake->record_count; i++) {
        assert_int_equal(0, record(f, i)->flags);
    }
    assert_int_equal(0, blk_queue_volatile_writes(f->queue));
}

static void bounces_what_the_kernel_would_not_take(void **state)
{
    struct fixture *f = *state;
    open_queue(f, (struct test_device_params){.memory_align = 512}, true);
    fill(f->guest, GUEST_BYTES, 9);
    assert_int_equal(0, run_to_end(f, start(f, 0, QUEUE_OP_WRITE, 0, f->guest + 512, 1024)));
    assert_int_equal(-1, record(f, 0)->buffer_index);
    assert_int_equal(0, run_to_end(f, start(f, 0, QUEUE_OP_WRITE, 2, f->guest + 511, 1024)));
    assert_int_not_equal(-1, record(f, 1)->buffer_index);
    assert_memory_equal(f->guest + 511, f->test->disk + 1024, 1024);
    struct iovec iov[] = {{f->guest, 300}, {f->guest + 1024, 212}}; /* lengths, too */
    struct blk_request *request = prepare(f, 1, QUEUE_OP_WRITE, 4, iov, 2);
    blk_queue_start(f->queue, request, 0);
    assert_int_equal(0, run_to_end(f, request));
    assert_int_not_equal(-1, record(f, 2)->buffer_index);
    assert_memory_equal(f->guest, f->test->disk + 2048, 300);
    assert_memory_equal(f->guest + 1024, f->test->disk + 2348, 212);
    struct iovec back[] = {{f->guest + 99991, 1}, {f->guest + 77777, 511}};
    request = prepare(f, 1, QUEUE_OP_READ, 4, back, 2);
    blk_queue_start(f->queue, request, 0);
    assert_int_equal(0, run_to_end(f, request));
    assert_memory_equal(f->test->disk + 2048, f->guest + 99991, 1);
    assert_memory_equal(f->test->disk + 2049, f->guest + 77777, 511);
}

static void enciphers_on_the_way_to_the_disk_and_back(void **state)
{
    struct fixture *f = *state;
    open_queue(f, (struct test_device_params){.encrypted = true}, true);
    const uint64_t byte_len = 3 * PIECE_BYTES + 512;
    fill(f->guest, byte_len, 17);
    assert_int_equal(0, run_to_end(f, start(f, 0, QUEUE_OP_WRITE, 33, f->guest, byte_len)));
    assert_int_equal(4, f->fake->record_count);
    uint8_t *plain = malloc(byte_len);
    assert_non_null(plain);
    xts_decrypt(f->device->xts, 33, f->test->disk + 33 * 512, plain, byte_len / 512);
    assert_memory_equal(f->guest, plain, byte_len);
    assert_memory_not_equal(f->guest, f->test->disk + 33 * 512, 512);
    struct iovec iov[] = {{f->guest + byte_len + 3, 100}, {f->guest + byte_len + 999, 412}};
    struct blk_request *request = prepare(f, 1, QUEUE_OP_READ, 33 + 127, iov, 2);
    blk_queue_start(f->queue, request, 0);
    assert_int_equal(0, run_to_end(f, request));
    assert_memory_equal(plain + 127 * 512, f->guest + byte_len + 3, 100);
    assert_memory_equal(plain + 127 * 512 + 100, f->guest + byte_len + 999, 412);
    free(plain);
}

static void carries_out_a_request_larger_than_its_bounce_buffers(void **state)
{
    struct fixture *f = *state;
    open_queue(
        f, (struct test_device_params){.encrypted = true, .bounce_bytes = BUFFER_POOL_BYTES_MIN},
        true);
    fill(f->guest, 1 << 20, 5);
    assert_int_equal(0, run_to_end(f, start(f, 0, QUEUE_OP_WRITE, 0, f->guest, 1 << 20)));
    assert_int_equal((1 << 20) / PIECE_BYTES, f->fake->record_count);
    assert_int_equal(0,
                     run_to_end(f, start(f, 0, QUEUE_OP_READ, 0, f->guest + (2 << 20), 1 << 20)));
    assert_memory_equal(f->guest, f->guest + (2 << 20), 1 << 20);
}

static void shares_the_bounce_buffers_among_queues(void **state)
{
    struct fixture *f = *state;
    /* 256 KiB for this one: a quarter is small buffers, so three large ones are left */
    open_queue(
        f,
        (struct test_device_params){.encrypted = true, .bounce_bytes = 1 << 20, .queue_count = 4},
        true);
    fake_engine_hold(f->fake, true);
    start(f, 0, QUEUE_OP_READ, 0, f->guest, 1 << 20);
    assert_int_equal(3, f->fake->record_count);
    fake_engine_hold(f->fake, false);
    while (!run(f)) {
    }
}

static void lets_nobody_overtake_a_request_that_waits_for_a_buffer(void **state)
{
    struct fixture *f = *state;
    open_queue(
        f, (struct test_device_params){.encrypted = true, .bounce_bytes = BUFFER_POOL_BYTES_MIN},
        true);
    fake_engine_hold(f->fake, true);
    struct blk_request *large = start(f, 0, QUEUE_OP_READ, 0, f->guest, 3 * PIECE_BYTES);
    struct blk_request *small = start(f, 1, QUEUE_OP_READ, 2000, f->guest + (1 << 20), 512);
    struct blk_request *flush = start_flush(f, 2);
    assert_int_equal(BLK_REQUEST_WAITING, large->state);
    assert_int_equal(BLK_REQUEST_WAITING, small->state);
    assert_int_equal(BLK_REQUEST_WAITING, flush->state);
    for (uint32_t piece = 0; piece < 3; piece++) {
        assert_null(run(f));
        assert_int_equal(PIECE_BYTES * piece, record(f, piece)->byte_offset);
        assert_int_equal(piece == 2 ? 5 : piece + 1, f->fake->record_count);
        if (piece < 2) {
            fake_engine_complete_all(f->fake);
            assert_int_equal(1, blk_queue_reap(f->queue, 0));
        }
    }
    assert_int_equal(2000 * 512, record(f, 3)->byte_offset);
    assert_int_equal(IO_FDATASYNC, record(f, 4)->opcode);
    assert_int_equal(BLK_REQUEST_IN_FLIGHT, large->state);
    fake_engine_hold(f->fake, false);
    assert_ptr_equal(large, run(f));
    assert_ptr_equal(small, run(f));
    assert_ptr_equal(flush, run(f));
    assert_null(run(f));
}

static void waits_when_all_pieces_are_with_the_engine(void **state)
{
    struct fixture *f = *state;
    open_queue(f, (struct test_device_params){.queue_size = 2 * BLK_PIECES_MAX}, true);
    fake_engine_hold(f->fake, true);
    for (uint32_t slot = 0; slot < BLK_PIECES_MAX; slot++) {
        start(f, slot, QUEUE_OP_READ, slot % 100, f->guest, 512);
    }
    struct blk_request *waiting = start(f, BLK_PIECES_MAX, QUEUE_OP_READ, 7, f->guest, 512);
    struct blk_request *last = start_flush(f, BLK_PIECES_MAX + 1);
    assert_int_equal(BLK_REQUEST_WAITING, waiting->state);
    assert_int_equal(BLK_REQUEST_WAITING, last->state);
    assert_null(run(f));
    fake_engine_complete(f->fake, 100, 0);
    assert_non_null(run(f));
    assert_int_equal(BLK_REQUEST_WAITING, waiting->state);
    assert_int_equal(0, blk_queue_submit(f->queue, 1));
    assert_int_equal(BLK_REQUEST_IN_FLIGHT, waiting->state);
    assert_int_equal(BLK_REQUEST_WAITING, last->state);
    fake_engine_hold(f->fake, false);
    while (blk_queue_busy(f->queue) > 0) {
        run(f);
    }
}

static void cuts_transfers_at_the_limit_of_the_engine(void **state)
{
    struct fixture *f = *state;
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
    open_queue(f, (struct test_device_params){.byte_len = 8 * gib}, false);
    for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
        struct iovec iov[3];
        uint32_t count = 0;
        for (int n = 0; n < 3 && lengths[i][n] > 0; n++) {
            iov[count++] = (struct iovec){f->guest, lengths[i][n]}; /* never touched */
        }
        struct blk_request *request = prepare(f, 0, QUEUE_OP_READ, 2, iov, count);
        const uint64_t byte_len = request->byte_len;
        fake_engine_forget(f->fake);
        blk_queue_start(f->queue, request, 0);
        assert_int_equal(0, run_to_end(f, request));
        uint64_t offset = 1024;
        for (uint32_t n = 0; n < f->fake->record_count; n++) {
            assert_true(record(f, n)->byte_offset == offset);
            assert_in_range(record(f, n)->byte_len, 1, IO_TRANSFER_BYTES_MAX);
            offset += record(f, n)->byte_len;
        }
        assert_true(offset == 1024 + byte_len);
        assert_in_range(f->fake->record_count, byte_len / gib, 2 * byte_len / gib + 2);
    }
}

static void ends_with_the_first_failure_and_issues_nothing_more(void **state)
{
    struct fixture *f = *state;
    open_queue(
        f, (struct test_device_params){.encrypted = true, .bounce_bytes = BUFFER_POOL_BYTES_MIN},
        true);
    fake_engine_fail(f->fake, IO_READV, 2, -EIO);
    memset(f->guest, 0xcc, 1 << 20);
    assert_int_equal(-EIO, run_to_end(f, start(f, 0, QUEUE_OP_READ, 0, f->guest, 1 << 20)));
    assert_int_equal(2, f->fake->record_count);
    assert_int_equal(0xcc, f->guest[PIECE_BYTES]); /* nothing of what failed reached the guest */
    assert_int_equal(0, blk_device_sticky_errno(f->device));
    /* the buffers are there again */
    assert_int_equal(0, run_to_end(f, start(f, 0, QUEUE_OP_READ, 0, f->guest, 1 << 20)));
}

static void ends_once_when_several_pieces_fail(void **state)
{
    struct fixture *f = *state;
    open_queue(f, (struct test_device_params){.encrypted = true}, true);
    fake_engine_hold(f->fake, true);
    struct blk_request *request = start(f, 0, QUEUE_OP_READ, 0, f->guest, 4 * PIECE_BYTES);
    assert_null(run(f));
    fake_engine_complete(f->fake, 2, -ENOSPC);
    assert_null(run(f));
    fake_engine_complete(f->fake, 0, -EIO);
    fake_engine_complete(f->fake, 1, 0);
    assert_null(run(f)); /* one is still with the engine */
    fake_engine_complete(f->fake, 3, -EPERM);
    assert_ptr_equal(request, run(f));
    assert_int_equal(-ENOSPC, request->result);
    assert_null(run(f));
    assert_int_equal(0, blk_queue_busy(f->queue));
}

static void ends_a_waiting_request_whose_piece_failed(void **state)
{
    struct fixture *f = *state;
    open_queue(
        f, (struct test_device_params){.encrypted = true, .bounce_bytes = BUFFER_POOL_BYTES_MIN},
        true);
    fake_engine_hold(f->fake, true);
    struct blk_request *first = start(f, 0, QUEUE_OP_READ, 0, f->guest, 2 * PIECE_BYTES);
    struct blk_request *second = start(f, 1, QUEUE_OP_READ, 0, f->guest, 512);
    assert_null(run(f));
    fake_engine_complete(f->fake, 0, -EIO);
    assert_null(run(f));
    assert_int_equal(BLK_REQUEST_WAITING, first->state);
    assert_ptr_equal(first, run(f));
    assert_int_equal(-EIO, first->result);
    assert_int_equal(BLK_REQUEST_IN_FLIGHT, second->state);
    fake_engine_hold(f->fake, false);
    assert_ptr_equal(second, run(f));
    assert_int_equal(0, second->result);
}

static void believes_no_flush_after_one_failed(void **state)
{
    struct fixture *f = *state;
    open_queue(f, (struct test_device_params){0}, true);
    fake_engine_fail(f->fake, IO_FDATASYNC, 1, -EIO);
    assert_int_equal(-EIO, run_to_end(f, start_flush(f, 0)));
    assert_int_equal(EIO, blk_device_sticky_errno(f->device));
    assert_true(test_device_logged(f->test, "fsync of the disk failed"));
    assert_int_equal(-EIO, run_to_end(f, start_flush(f, 0)));
    assert_int_equal(1, f->fake->record_count); /* and none is tried */
    assert_int_equal(0, run_to_end(f, start(f, 0, QUEUE_OP_WRITE, 0, f->guest, 512)));
    assert_int_equal(0, run_to_end(f, start(f, 0, QUEUE_OP_READ, 0, f->guest, 512)));
    atomic_store(&f->device->write_back, false);
    assert_int_equal(-EIO, run_to_end(f, start(f, 0, QUEUE_OP_WRITE, 0, f->guest, 512)));
    assert_int_equal(0, run_to_end(f, start(f, 0, QUEUE_OP_READ, 0, f->guest, 512)));
    assert_int_equal(4, f->fake->record_count);
    assert_false(test_device_logged(f->test, ""));
}

static void fails_a_flush_and_a_durable_write_that_end_after_another_sync_failed(void **state)
{
    struct fixture *f = *state;
    open_queue(f, (struct test_device_params){.write_through = true}, true);
    fake_engine_hold(f->fake, true);
    struct blk_request *failing = start_flush(f, 0);
    struct blk_request *flush = start_flush(f, 1);
    struct blk_request *write = start(f, 2, QUEUE_OP_WRITE, 0, f->guest, 512);
    struct blk_request *read = start(f, 3, QUEUE_OP_READ, 0, f->guest, 512);
    assert_null(run(f));
    fake_engine_complete(f->fake, 0, -EIO);
    fake_engine_complete_all(f->fake); /* the kernel tells of a failure once */
    assert_ptr_equal(failing, run(f));
    assert_int_equal(-EIO, failing->result);
    assert_ptr_equal(flush, run(f));
    assert_int_equal(-EIO, flush->result);
    assert_ptr_equal(write, run(f));
    assert_int_equal(-EIO, write->result);
    assert_ptr_equal(read, run(f));
    assert_int_equal(0, read->result);
}

static void takes_a_failed_durable_write_for_a_failed_sync(void **state)
{
    struct fixture *f = *state;
    open_queue(f, (struct test_device_params){.write_through = true}, true);
    fake_engine_fail(f->fake, IO_WRITEV, 1, -EFAULT); /* unmapped guest memory: nothing written */
    assert_int_equal(-EFAULT, run_to_end(f, start(f, 0, QUEUE_OP_WRITE, 0, f->guest, 512)));
    assert_int_equal(0, blk_device_sticky_errno(f->device));
    fake_engine_fail(f->fake, IO_READV, 1, -EIO);
    assert_int_equal(-EIO, run_to_end(f, start(f, 0, QUEUE_OP_READ, 0, f->guest, 512)));
    assert_int_equal(0, blk_device_sticky_errno(f->device));
    fake_engine_fail(f->fake, IO_WRITEV, 1, -ENOSPC);
    assert_int_equal(-ENOSPC, run_to_end(f, start(f, 0, QUEUE_OP_WRITE, 0, f->guest, 512)));
    assert_int_equal(ENOSPC, blk_device_sticky_errno(f->device));
}

static void does_not_take_a_failed_volatile_write_for_a_failed_sync(void **state)
{
    struct fixture *f = *state;
    open_queue(f, (struct test_device_params){0}, true);
    fake_engine_fail(f->fake, IO_WRITEV, 1, -EIO);
    assert_int_equal(-EIO, run_to_end(f, start(f, 0, QUEUE_OP_WRITE, 0, f->guest, 512)));
    assert_int_equal(0, blk_device_sticky_errno(f->device));
    assert_int_equal(0, run_to_end(f, start_flush(f, 0)));
}

static void hands_out_ended_requests_in_the_order_of_completion(void **state)
{
    struct fixture *f = *state;
    open_queue(f, (struct test_device_params){0}, true);
    fake_engine_hold(f->fake, true);
    struct blk_request *requests[4];
    for (uint32_t i = 0; i < 4; i++) {
        requests[i] = start(f, i, QUEUE_OP_READ, i, f->guest, 512);
    }
    assert_null(run(f));
    assert_int_equal(4, blk_queue_busy(f->queue));
    fake_engine_complete_all_backwards(f->fake);
    assert_int_equal(4, blk_queue_reap(f->queue, 0));
    for (uint32_t i = 4; i > 0; i--) {
        struct blk_request *request = blk_queue_next_done(f->queue);
        assert_ptr_equal(requests[i - 1], request);
        blk_queue_release(f->queue, request);
        assert_int_equal(i - 1, blk_queue_busy(f->queue));
    }
    assert_null(blk_queue_next_done(f->queue));
}

static void reaps_everything_that_ended(void **state)
{
    struct fixture *f = *state;
    open_queue(f, (struct test_device_params){.queue_size = 256}, true);
    for (uint32_t i = 0; i < 200; i++) {
        start(f, i, QUEUE_OP_READ, i, f->guest, 512);
    }
    assert_int_equal(0, blk_queue_submit(f->queue, 1));
    assert_int_equal(1, f->fake->submit_useful_count); /* one batch */
    assert_int_equal(200, blk_queue_reap(f->queue, 0));
    assert_int_equal(0, blk_queue_reap(f->queue, 0));
    struct blk_request *request;
    uint32_t count = 0;
    while ((request = blk_queue_next_done(f->queue))) {
        assert_int_equal(count++, request->slot);
        blk_queue_release(f->queue, request);
    }
    assert_int_equal(200, count);
}

static void finishes_what_is_not_to_be_started(void **state)
{
    struct fixture *f = *state;
    open_queue(f, (struct test_device_params){0}, true);
    struct blk_request *request = blk_queue_slot(f->queue, 2);
    request->op = QUEUE_OP_OTHER;
    request->byte_len = 20;
    blk_queue_finish(f->queue, request, 0, 100);
    assert_int_equal(1, blk_queue_busy(f->queue));
    assert_ptr_equal(request, run(f));
    assert_int_equal(0, request->result);
    request->byte_len = 0;
    blk_queue_finish(f->queue, request, -EINVAL, 100);
    assert_int_equal(-EINVAL, run_to_end(f, request));
    request->op = QUEUE_OP_WRITE;
    blk_queue_finish(f->queue, request, -E2BIG, 100);
    assert_int_equal(-E2BIG, run_to_end(f, request));
    assert_int_equal(0, blk_queue_volatile_writes(f->queue));
    const struct queue_op_stats *other = &f->device->stats[0]->op[QUEUE_OP_OTHER];
    assert_int_equal(2, atomic_load(&other->ops));
    assert_int_equal(20, atomic_load(&other->bytes));
    assert_int_equal(1, atomic_load(&other->errors));
}

static void keeps_statistics(void **state)
{
    struct fixture *f = *state;
    open_queue(f, (struct test_device_params){0}, true);
    const struct queue_stats *stats = f->device->stats[0];
    fake_engine_hold(f->fake, true);
    struct blk_request *request = start(f, 5, QUEUE_OP_WRITE, 40, f->guest, 4096);
    assert_true(atomic_load(&stats->activity[5].kind_sectors) ==
                ((uint64_t)(QUEUE_OP_WRITE + 1) << 32 | 8));
    assert_int_equal(40, atomic_load(&stats->activity[5].sector));
    fake_engine_hold(f->fake, false);
    assert_int_equal(0, run_to_end(f, request)); /* from 1000 to 2000 ns */
    assert_int_equal(0, atomic_load(&stats->activity[5].kind_sectors));
    const struct queue_op_stats *writes = &stats->op[QUEUE_OP_WRITE];
    assert_int_equal(1, atomic_load(&writes->ops));
    assert_int_equal(4096, atomic_load(&writes->bytes));
    assert_int_equal(1000, atomic_load(&writes->latency_sum_ns));
    assert_int_equal(1, atomic_load(&writes->latency[latency_bucket(1000)]));
    fake_engine_fail(f->fake, IO_WRITEV, 1, -EIO);
    run_to_end(f, start(f, 5, QUEUE_OP_WRITE, 40, f->guest, 4096));
    assert_int_equal(2, atomic_load(&writes->ops));
    assert_int_equal(4096, atomic_load(&writes->bytes));
    assert_int_equal(1, atomic_load(&writes->errors));
    run_to_end(f, start_flush(f, 0));
    assert_int_equal(1, atomic_load(&stats->op[QUEUE_OP_FLUSH].ops));
    assert_int_equal(0, atomic_load(&stats->op[QUEUE_OP_READ].ops));
}

static void says_when_the_engine_is_unusable(void **state)
{
    struct fixture *f = *state;
    open_queue(f, (struct test_device_params){0}, true);
    f->fake->submit_result = -ENXIO;
    assert_int_equal(-ENXIO, blk_queue_submit(f->queue, 1));
    assert_int_equal(-ENXIO, blk_queue_wait(f->queue, 0));
    f->fake->submit_result = 0;
    assert_int_equal(-ETIME, blk_queue_wait(f->queue, 0));
}

static void watches_eventfds_with_its_engine(void **state)
{
    struct fixture *f = *state;
    open_queue(f, (struct test_device_params){0}, true);
    int fd = eventfd(1, EFD_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(0, blk_queue_watch(f->queue, BLK_QUEUE_WATCH_KICK, fd));
    assert_int_equal(0, blk_queue_wait(f->queue, UINT64_MAX));
    assert_int_equal(1u << BLK_QUEUE_WATCH_KICK, blk_queue_fired(f->queue));
    assert_int_equal(0, blk_queue_fired(f->queue));
    blk_queue_unwatch(f->queue, BLK_QUEUE_WATCH_KICK);
    uint64_t one = 1;
    assert_int_equal(sizeof(one), write(fd, &one, sizeof(one)));
    assert_int_equal(0, blk_queue_fired(f->queue));
    close(fd);
}

static void destroy_queue(void *argument)
{
    blk_queue_destroy(argument);
}

static void writes_durably_what_the_driver_wants_durable(void **state)
{
    struct fixture *f = *state;
    open_queue(f, (struct test_device_params){0}, true);
    struct blk_request *request = blk_queue_slot(f->queue, 0);
    request->fua = true;
    assert_int_equal(0, run_to_end(f, start(f, 0, QUEUE_OP_WRITE, 0, f->guest, 512)));
    assert_int_equal(IO_DSYNC, record(f, 0)->flags);
    assert_int_equal(0, run_to_end(f, start(f, 0, QUEUE_OP_READ, 0, f->guest, 512)));
    assert_int_equal(0, record(f, 1)->flags);
    request->fua = false;
    assert_int_equal(0, run_to_end(f, start(f, 0, QUEUE_OP_WRITE, 0, f->guest, 512)));
    assert_int_equal(0, record(f, 2)->flags);
}

static void carries_commands_beside_transfers(void **state)
{
    struct fixture *f = *state;
    open_queue(f, (struct test_device_params){0}, false);
    struct io_op commands[2] = {{.command = 7, .argument = {1, 2, 3}}, {.command = 8}};
    blk_queue_command(f->queue, &commands[0]);
    blk_queue_command(f->queue, &commands[1]);
    struct blk_request *request = start(f, 0, QUEUE_OP_READ, 0, f->guest, 512);
    assert_int_equal(0, run_to_end(f, request));
    assert_int_equal(1, f->fake->submit_useful_count); /* all of it at once */
    assert_int_equal(IO_COMMAND, record(f, 0)->opcode);
    assert_int_equal(FILE_COMMAND, record(f, 0)->file);
    assert_int_equal(7, record(f, 0)->command);
    assert_int_equal(3, record(f, 0)->argument[2]);
    assert_null(blk_queue_next_command(f->queue));
    fake_engine_complete(f->fake, 1, -ENODEV);
    fake_engine_complete(f->fake, 0, 0);
    assert_int_equal(2, blk_queue_reap(f->queue, 1));
    assert_ptr_equal(&commands[1], blk_queue_next_command(f->queue));
    assert_int_equal(-ENODEV, commands[1].result);
    assert_ptr_equal(&commands[0], blk_queue_next_command(f->queue));
    assert_int_equal(0, commands[0].result);
    assert_null(blk_queue_next_command(f->queue));
}

static void issues_without_submitting(void **state)
{
    struct fixture *f = *state;
    open_queue(f, (struct test_device_params){0}, true);
    start(f, 0, QUEUE_OP_READ, 0, f->guest, 512);
    blk_queue_issue(f->queue, 1);
    assert_int_equal(0, f->fake->submit_count);
    assert_int_equal(0, blk_queue_wait(f->queue, UINT64_MAX)); /* which submits */
    assert_int_equal(1, f->fake->submit_count);
    assert_int_equal(1, blk_queue_reap(f->queue, 1));
    blk_queue_release(f->queue, blk_queue_next_done(f->queue));
}

static void refuses_commands_without_io_uring(void **state)
{
    struct fixture *f = *state;
    f->test = test_device_create(&(struct test_device_params){.sync_engine = true});
    struct error error = {0};
    struct blk_queue *queue = NULL;
    assert_int_equal(-ENOTSUP,
                     blk_queue_create_with_commands(&f->test->device, 0, 0, &queue, &error));
    assert_non_null(strstr(error.message, "io_uring"));
    assert_null(queue);
}

static void ends_with_commands_at_the_driver(void **state)
{
    struct fixture *f = *state;
    open_queue(f, (struct test_device_params){0}, false);
    struct io_op command = {.command = 7};
    blk_queue_command(f->queue, &command);
    assert_int_equal(0, blk_queue_submit(f->queue, 1));
    blk_queue_destroy(f->queue);
    f->queue = NULL;
}

static void enciphers_private_memory_in_place(void **state)
{
    struct fixture *f = *state;
    f->test = test_device_create(&(struct test_device_params){.encrypted = true});
    f->device = &f->test->device;
    f->device->private_memory = true;
    f->fake = fake_engine_create(blk_transfer_depth(f->device), &f->device->file.fd, 1);
    assert_int_equal(0, blk_queue_create_on(f->device, 0, &f->fake->base, &f->queue, NULL));
    memset(f->guest, 0x5a, 1 << 20);
    struct blk_request *request = start(f, 0, QUEUE_OP_WRITE, 16, f->guest, 1 << 20);
    assert_int_equal(-EINVAL, run_to_end(f, request)); /* beyond the disk */
    assert_int_equal(0x5a, f->guest[0]);
    request = start(f, 0, QUEUE_OP_WRITE, 16, f->guest, 1 << 19);
    assert_int_equal(0, run_to_end(f, request));
    assert_int_equal(1, f->fake->record_count); /* no piece of a bounce buffer's size */
    assert_ptr_equal(f->guest, record(f, 0)->iov_first.iov_base);
    uint8_t clear[512];
    xts_decrypt(f->device->xts, 16 + 3, f->test->disk + 19 * 512, clear, 1);
    for (size_t i = 0; i < sizeof(clear); i++)
        assert_int_equal(0x5a, clear[i]);
    assert_int_equal(0,
                     run_to_end(f, start(f, 1, QUEUE_OP_READ, 16, f->guest + (1 << 20), 1 << 19)));
    for (size_t i = 0; i < 1 << 19; i++)
        assert_int_equal(0x5a, f->guest[(1 << 20) + i]);
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
    start(argument, 0, QUEUE_OP_READ, 0, NULL, 0);
}

static void asserts_that_it_is_used_as_meant(void **state)
{
    struct fixture *f = *state;
    open_queue(f, (struct test_device_params){0}, true);
    assert_true(call_aborts(take_slot_16, f->queue));
    assert_true(call_aborts(take_arena_16, f->queue));
    struct blk_request *request = start(f, 0, QUEUE_OP_READ, 0, NULL, 0);
    assert_true(call_aborts(destroy_queue, f->queue));
    assert_true(call_aborts(start_slot_0, f)); /* a head that is in use */
    assert_int_equal(0, run_to_end(f, request));
    assert_false(call_aborts(start_slot_0, f));
    blk_queue_destroy(NULL);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(transfers_straight_on_guest_memory),
        TEST(takes_the_many_segments_of_a_request_from_the_arena),
        TEST(refuses_what_lies_beyond_the_disk),
        TEST(refuses_parts_of_logical_blocks),
        TEST(ends_a_transfer_of_nothing_at_once),
        TEST(syncs_once_for_a_flush),
        TEST(writes_durably_when_the_cache_is_off),
        TEST(decides_about_durability_when_a_request_is_started),
        TEST(bounces_what_the_kernel_would_not_take),
        TEST(enciphers_on_the_way_to_the_disk_and_back),
        TEST(carries_out_a_request_larger_than_its_bounce_buffers),
        TEST(shares_the_bounce_buffers_among_queues),
        TEST(lets_nobody_overtake_a_request_that_waits_for_a_buffer),
        TEST(waits_when_all_pieces_are_with_the_engine),
        TEST(cuts_transfers_at_the_limit_of_the_engine),
        TEST(ends_with_the_first_failure_and_issues_nothing_more),
        TEST(ends_once_when_several_pieces_fail),
        TEST(ends_a_waiting_request_whose_piece_failed),
        TEST(believes_no_flush_after_one_failed),
        TEST(fails_a_flush_and_a_durable_write_that_end_after_another_sync_failed),
        TEST(takes_a_failed_durable_write_for_a_failed_sync),
        TEST(does_not_take_a_failed_volatile_write_for_a_failed_sync),
        TEST(hands_out_ended_requests_in_the_order_of_completion),
        TEST(reaps_everything_that_ended),
        TEST(finishes_what_is_not_to_be_started),
        TEST(keeps_statistics),
        TEST(says_when_the_engine_is_unusable),
        TEST(watches_eventfds_with_its_engine),
        TEST(writes_durably_what_the_driver_wants_durable),
        TEST(carries_commands_beside_transfers),
        TEST(issues_without_submitting),
        TEST(refuses_commands_without_io_uring),
        TEST(ends_with_commands_at_the_driver),
        TEST(enciphers_private_memory_in_place),
        TEST(asserts_that_it_is_used_as_meant),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
