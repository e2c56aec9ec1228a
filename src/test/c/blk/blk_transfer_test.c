/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Pieces by themselves, and random requests of odd segments against a model of the disk: each slot
 * has sectors of its own, so what must lie there is known however requests overtake each other.
 */
#include "blk/blk_transfer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "blk/blk_queue.h"
#include "support/cmocka_test.h"
#include "support/fake_engine.h"
#include "support/test_device.h"
#include "support/test_scale.h"

enum { PIECE_BYTES = BUFFER_POOL_PIECE_BYTES_MAX };

static void has_a_piece_for_every_slot_within_the_engines_limits(void **state)
{
    (void)state;
    struct blk_device device = {.queue_size = 1};
    assert_int_equal(64, blk_transfer_depth(&device));
    device.queue_size = 64;
    assert_int_equal(64, blk_transfer_depth(&device));
    device.queue_size = 1024;
    assert_int_equal(1024, blk_transfer_depth(&device));
    device.queue_size = 32768;
    assert_int_equal(BLK_PIECES_MAX, blk_transfer_depth(&device));
}

static void has_bounce_buffers_only_where_they_are_needed(void **state)
{
    (void)state;
    const struct test_device_params params[] = {
        {0}, {.memory_align = 512}, {.encrypted = true}, {.memory_align = 512, .encrypted = true}};
    for (int i = 0; i < 4; i++) {
        struct test_device *test = test_device_create(&params[i]);
        struct blk_transfer transfer;
        assert_int_equal(0, blk_transfer_init(&transfer, &test->device, NULL));
        assert_int_equal(i > 0, transfer.buffers != NULL);
        blk_transfer_deinit(&transfer);
        test_device_destroy(test);
    }
}

static void has_none_for_private_memory_unless_a_piece_may_begin_anywhere(void **state)
{
    (void)state;
    const struct test_device_params params[] = {
        {.encrypted = true}, {.memory_align = 512, .encrypted = true}, {.memory_align = 4096}};
    for (int i = 0; i < 3; i++) {
        struct test_device *test = test_device_create(&params[i]);
        test->device.private_memory = true;
        struct blk_transfer transfer;
        assert_int_equal(0, blk_transfer_init(&transfer, &test->device, NULL));
        assert_int_equal(i == 2, transfer.buffers != NULL);
        blk_transfer_deinit(&transfer);
        test_device_destroy(test);
    }
}

static void gives_every_queue_the_least_that_works(void **state)
{
    (void)state;
    const struct test_device_params params = {
        .encrypted = true, .queue_count = BLK_QUEUE_COUNT_MAX, .bounce_bytes = 1 << 20};
    struct test_device *test = test_device_create(&params);
    struct blk_transfer transfer;
    assert_int_equal(0, blk_transfer_init(&transfer, &test->device, NULL));
    uint32_t area_count;
    assert_int_equal(BUFFER_POOL_BYTES_MIN,
                     buffer_pool_areas(transfer.buffers, &area_count)->iov_len);
    blk_transfer_deinit(&transfer);
    test_device_destroy(test);
}

struct fixture {
    struct test_device *test;
    struct fake_engine *fake;
    struct blk_transfer transfer;
};

static void open_transfer(struct fixture *f, struct test_device_params params)
{
    f->test = test_device_create(&params);
    f->fake = fake_engine_create(blk_transfer_depth(&f->test->device), NULL, 0);
    assert_int_equal(0, blk_transfer_init(&f->transfer, &f->test->device, NULL));
    f->transfer.engine = &f->fake->base;
}

static void close_transfer(struct fixture *f)
{
    io_engine_destroy(&f->fake->base);
    blk_transfer_deinit(&f->transfer);
    test_device_destroy(f->test);
}

static struct blk_request *end_one(struct fixture *f, int *result)
{
    struct io_op *op;
    assert_int_equal(0, io_engine_submit(&f->fake->base));
    assert_int_equal(1, io_engine_reap(&f->fake->base, &op, 1));
    return blk_transfer_end(&f->transfer, op, result);
}

static void issues_as_many_pieces_as_it_has_buffers(void **state)
{
    (void)state;
    struct fixture f;
    open_transfer(
        &f, (struct test_device_params){.memory_align = 512, .bounce_bytes = 4 * PIECE_BYTES});
    uint8_t *memory = calloc(1, 6 * PIECE_BYTES + 1);
    struct iovec iov = {memory + 1, 5 * PIECE_BYTES};
    struct blk_request request = {.op = QUEUE_OP_WRITE,
                                  .sector = 4,
                                  .sector_count = 5 * PIECE_BYTES / 512,
                                  .byte_len = 5 * PIECE_BYTES,
                                  .iov = &iov,
                                  .iov_count = 1};
    blk_transfer_begin(&f.transfer, &request);
    assert_true(request.bounced);
    assert_false(blk_transfer_issue(&f.transfer, &request));
    assert_int_equal(3, request.pieces);
    assert_int_equal(3 * PIECE_BYTES, request.issued_bytes);
    assert_false(blk_transfer_issue(&f.transfer, &request));
    assert_int_equal(3, request.pieces);
    int result = 1;
    for (uint32_t ended = 0; ended < 2; ended++) {
        assert_ptr_equal(&request, end_one(&f, &result));
        assert_int_equal(0, result);
    }
    assert_int_equal(1, request.pieces);
    assert_true(blk_transfer_issue(&f.transfer, &request));
    assert_int_equal(3, request.pieces);
    assert_int_equal(5 * PIECE_BYTES, request.issued_bytes);
    assert_int_equal(2048 + 4 * PIECE_BYTES, f.fake->records[4].byte_offset);
    while (request.pieces > 0) {
        end_one(&f, &result);
    }
    free(memory);
    close_transfer(&f);
}

/* Many kernels refuse a segment that ends within a block, whatever addresses the device takes. */
static void sends_segments_that_cut_a_block_through_buffers(void **state)
{
    (void)state;
    struct fixture f;
    open_transfer(&f, (struct test_device_params){.memory_align = 512});
    f.test->device.file.memory_align = 4;
    _Alignas(512) static uint8_t memory[1024];
    struct iovec cut[2] = {{memory, 256}, {memory + 512, 256}};
    struct iovec whole = {memory + 4, 512};
    struct blk_request request = {
        .op = QUEUE_OP_READ, .sector_count = 1, .byte_len = 512, .iov = cut, .iov_count = 2};
    blk_transfer_begin(&f.transfer, &request);
    assert_true(request.bounced);
    request.iov = &whole;
    request.iov_count = 1;
    blk_transfer_begin(&f.transfer, &request);
    assert_false(request.bounced);
    close_transfer(&f);
}

static void issues_no_more_after_a_failure(void **state)
{
    (void)state;
    struct fixture f;
    open_transfer(&f,
                  (struct test_device_params){.encrypted = true, .bounce_bytes = 2 * PIECE_BYTES});
    uint8_t *memory = calloc(1, 2 * PIECE_BYTES);
    struct iovec iov = {memory, 2 * PIECE_BYTES};
    struct blk_request request = {.op = QUEUE_OP_READ,
                                  .sector_count = 2 * PIECE_BYTES / 512,
                                  .byte_len = 2 * PIECE_BYTES,
                                  .iov = &iov,
                                  .iov_count = 1};
    fake_engine_fail(f.fake, IO_READV, 1, -EIO);
    blk_transfer_begin(&f.transfer, &request);
    assert_false(blk_transfer_issue(&f.transfer, &request));
    int result;
    end_one(&f, &result);
    assert_int_equal(-EIO, result);
    assert_int_equal(-EIO, request.result);
    assert_int_equal(0, request.pieces);
    assert_true(blk_transfer_issue(&f.transfer, &request));
    assert_int_equal(0, request.pieces);
    assert_int_equal(1, f.fake->record_count);
    free(memory);
    close_transfer(&f);
}

static void issues_one_sync_for_what_syncs(void **state)
{
    (void)state;
    struct fixture f;
    open_transfer(&f, (struct test_device_params){0});
    struct blk_request request = {.op = QUEUE_OP_FLUSH};
    blk_transfer_begin(&f.transfer, &request);
    request.syncs = true;
    assert_true(blk_transfer_issue(&f.transfer, &request));
    assert_true(blk_transfer_issue(&f.transfer, &request));
    assert_int_equal(1, request.pieces);
    assert_int_equal(1, f.fake->record_count);
    int result;
    assert_ptr_equal(&request, end_one(&f, &result));
    close_transfer(&f);
}

/* --- random requests against a model ---------------------------------------------------------- */

enum {
    SLOTS = 8,
    SLOT_BYTES = 4 * PIECE_BYTES, /* of disk, and of guest memory with room to spread */
    SPREAD_BYTES = 2 * SLOT_BYTES,
};

struct model {
    struct test_device *test;
    struct fake_engine *fake;
    struct blk_queue *queue;
    struct test_random random;
    uint8_t *disk;  /* what a guest must read, SLOTS * SLOT_BYTES */
    uint8_t *guest; /* SLOTS * SPREAD_BYTES */
    uint8_t *image; /* of the guest's memory before a read */
    bool busy[SLOTS];
    uint64_t done;
};

/* Cuts byte_len bytes into segments, odd or whole, that do not overlap. Returns how many. */
static uint32_t cut(struct model *m, uint32_t slot, struct iovec *iov, uint64_t byte_len)
{
    const bool odd = test_random_one_in(&m->random, 2);
    uint8_t *at = m->guest + (size_t)slot * SPREAD_BYTES;
    uint32_t count = 0;
    while (byte_len > 0) {
        uint64_t part = odd ? 1 + test_random_below(&m->random, 9000)
                            : 512 * (1 + test_random_below(&m->random, 200));
        part = count == 40 || part > byte_len ? byte_len : part;
        at += odd ? test_random_below(&m->random, 100) : 0;
        iov[count++] = (struct iovec){at, part};
        at += part;
        byte_len -= part;
    }
    return count;
}

static uint8_t *slot_disk(const struct model *m, const struct blk_request *request)
{
    return m->disk + request->sector * 512;
}

static void model_start(struct model *m, uint32_t slot)
{
    struct blk_request *request = blk_queue_slot(m->queue, slot);
    const uint64_t sectors = SLOT_BYTES / 512;
    uint64_t first = test_random_below(&m->random, sectors);
    uint64_t count = 1 + test_random_below(&m->random, test_random_one_in(&m->random, 4)
                                                           ? sectors - first
                                                           : 1 + (sectors - first) / 16);
    count = count < sectors - first ? count : sectors - first;
    request->op = test_random_one_in(&m->random, 2) ? QUEUE_OP_WRITE : QUEUE_OP_READ;
    request->sector = slot * sectors + first;
    request->sector_count = (uint32_t)count;
    request->byte_len = count * 512;
    request->iov = blk_queue_arena(m->queue, slot);
    request->iov_count = cut(m, slot, request->iov, request->byte_len);
    uint8_t *disk = slot_disk(m, request);
    for (uint32_t i = 0; i < request->iov_count; i++) {
        uint8_t *bytes = request->iov[i].iov_base;
        for (size_t n = 0; n < request->iov[i].iov_len; n++) {
            bytes[n] = (uint8_t)test_random_next(&m->random);
        }
        if (request->op == QUEUE_OP_WRITE) {
            memcpy(disk, bytes, request->iov[i].iov_len);
            disk += request->iov[i].iov_len;
        }
    }
    memcpy(m->image + (size_t)slot * SPREAD_BYTES, m->guest + (size_t)slot * SPREAD_BYTES,
           SPREAD_BYTES);
    m->busy[slot] = true;
    blk_queue_start(m->queue, request, 0);
}

/* The guest's memory must be what it was, with the disk's bytes where a read put them. */
static void model_check(struct model *m, const struct blk_request *request)
{
    const size_t base = (size_t)request->slot * SPREAD_BYTES;
    assert_int_equal(0, request->result);
    if (request->op == QUEUE_OP_READ) {
        const struct iovec *iov = blk_queue_arena(m->queue, request->slot);
        const uint8_t *disk = slot_disk(m, request);
        for (uint32_t i = 0; i < request->iov_count; i++) {
            size_t offset = (size_t)((uint8_t *)iov[i].iov_base - m->guest) - base;
            memcpy(m->image + base + offset, disk, iov[i].iov_len);
            disk += iov[i].iov_len;
        }
    }
    assert_memory_equal(m->image + base, m->guest + base, SPREAD_BYTES);
}

static void model_end(struct model *m)
{
    struct blk_request *request;
    while ((request = blk_queue_next_done(m->queue))) {
        model_check(m, request);
        m->busy[request->slot] = false;
        m->done++;
        blk_queue_release(m->queue, request);
    }
}

static void model_step(struct model *m)
{
    uint32_t slot = (uint32_t)test_random_below(&m->random, SLOTS);
    if (!m->busy[slot]) {
        model_start(m, slot);
    }
    blk_queue_submit(m->queue, 1);
    uint32_t pending = fake_engine_pending(m->fake);
    for (uint64_t n = pending > 0 ? test_random_below(&m->random, pending + 1) : 0; n > 0; n--) {
        uint32_t which = (uint32_t)test_random_below(&m->random, fake_engine_pending(m->fake));
        fake_engine_complete(m->fake, fake_engine_pending_at(m->fake, which), 0);
    }
    blk_queue_reap(m->queue, 0);
    model_end(m);
}

static void model_run(struct model *m, struct test_device_params params, uint64_t count)
{
    params.byte_len = SLOTS * SLOT_BYTES;
    params.bounce_bytes = 3 * PIECE_BYTES;
    m->test = test_device_create(&params);
    m->fake = fake_engine_create(blk_transfer_depth(&m->test->device), &m->test->device.file.fd, 1);
    assert_int_equal(0, blk_queue_create_on(&m->test->device, 0, &m->fake->base, &m->queue, NULL));
    if (params.encrypted) {
        xts_encrypt(m->test->device.xts, 0, m->disk, m->test->disk, SLOTS * SLOT_BYTES / 512);
    }
    fake_engine_hold(m->fake, true);
    while (m->done < count) {
        model_step(m);
    }
    fake_engine_hold(m->fake, false);
    while (blk_queue_busy(m->queue) > 0) {
        blk_queue_submit(m->queue, 1);
        blk_queue_reap(m->queue, 0);
        model_end(m);
    }
    if (params.encrypted) {
        xts_decrypt(m->test->device.xts, 0, m->test->disk, m->test->disk, SLOTS * SLOT_BYTES / 512);
    }
    assert_memory_equal(m->disk, m->test->disk, SLOTS * SLOT_BYTES);
    blk_queue_destroy(m->queue);
    test_device_destroy(m->test);
}

static void moves_the_right_bytes_whatever_the_segments(void **state)
{
    (void)state;
    const struct test_device_params params[] = {{0}, {.memory_align = 512}, {.encrypted = true}};
    const uint64_t count = test_count(150, 20000);
    test_print_scale(count, "requests for each of 3 disks");
    for (int i = 0; i < 3; i++) {
        struct model model = {.random = {test_seed() + (uint64_t)i}};
        model.disk = calloc(SLOTS, SLOT_BYTES);
        model.guest = calloc(SLOTS, SPREAD_BYTES);
        model.image = calloc(SLOTS, SPREAD_BYTES);
        assert_true(model.disk && model.guest && model.image);
        model_run(&model, params[i], count);
        free(model.disk);
        free(model.guest);
        free(model.image);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(has_a_piece_for_every_slot_within_the_engines_limits),
        cmocka_unit_test(has_bounce_buffers_only_where_they_are_needed),
        cmocka_unit_test(has_none_for_private_memory_unless_a_piece_may_begin_anywhere),
        cmocka_unit_test(gives_every_queue_the_least_that_works),
        cmocka_unit_test(issues_as_many_pieces_as_it_has_buffers),
        cmocka_unit_test(sends_segments_that_cut_a_block_through_buffers),
        cmocka_unit_test(issues_no_more_after_a_failure),
        cmocka_unit_test(issues_one_sync_for_what_syncs),
        cmocka_unit_test(moves_the_right_bytes_whatever_the_segments),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
