/* SPDX-License-Identifier: AGPL-3.0-only */
#include "support/queue_rig.h"

#include <stdlib.h>
#include <sys/mman.h>

#include "blk/blk_transfer.h"

int rig_setup(void **state)
{
    struct rig *rig = calloc(1, sizeof(*rig));
    assert_non_null(rig);
    rig->guest =
        mmap(NULL, RIG_GUEST_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(rig->guest != MAP_FAILED);
    *state = rig;
    return 0;
}

/* Ends what a failed test left behind, so that its report is not lost in an assert. */
static void drain(struct rig *rig)
{
    fake_engine_hold(rig->fake, false);
    for (int i = 0; i < 100000 && blk_queue_busy(rig->queue) > 0; i++) {
        blk_queue_submit(rig->queue, 1);
        blk_queue_reap(rig->queue, 0);
        struct blk_request *request;
        while ((request = blk_queue_next_done(rig->queue))) {
            blk_queue_release(rig->queue, request);
        }
    }
}

int rig_teardown(void **state)
{
    struct rig *rig = *state;
    if (rig->queue) {
        drain(rig);
    }
    blk_queue_destroy(rig->queue);
    if (rig->test) {
        test_device_destroy(rig->test);
    }
    munmap(rig->guest, RIG_GUEST_BYTES);
    free(rig);
    return 0;
}

void rig_open(struct rig *rig, struct test_device_params params, bool is_real)
{
    rig->test = test_device_create(&params);
    rig->device = &rig->test->device;
    rig->fake = fake_engine_create(blk_transfer_depth(rig->device), &rig->device->file.fd, is_real);
    assert_int_equal(0, blk_queue_create_on(rig->device, 0, &rig->fake->base, &rig->queue, NULL));
}

struct blk_request *rig_prepare(struct rig *rig, uint32_t slot, enum queue_op op, uint64_t sector,
                                struct iovec *iov, uint32_t count)
{
    struct blk_request *request = blk_queue_slot(rig->queue, slot);
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

struct blk_request *rig_start(struct rig *rig, uint32_t slot, enum queue_op op, uint64_t sector,
                              void *base, uint64_t byte_len)
{
    struct blk_request *request = blk_queue_slot(rig->queue, slot);
    request->inline_iov[0] = (struct iovec){base, byte_len};
    rig_prepare(rig, slot, op, sector, request->inline_iov, byte_len > 0 ? 1 : 0);
    blk_queue_start(rig->queue, request, 1000);
    return request;
}

struct blk_request *rig_flush(struct rig *rig, uint32_t slot)
{
    return rig_start(rig, slot, QUEUE_OP_FLUSH, 0, NULL, 0);
}

struct blk_request *rig_run(struct rig *rig)
{
    assert_int_equal(0, blk_queue_submit(rig->queue, 1));
    blk_queue_reap(rig->queue, 2000);
    struct blk_request *request = blk_queue_next_done(rig->queue);
    if (request) {
        assert_int_equal(BLK_REQUEST_DONE, request->state);
        blk_queue_release(rig->queue, request);
    }
    return request;
}

int rig_end(struct rig *rig, struct blk_request *request)
{
    for (int i = 0; i < 100000; i++) {
        struct blk_request *ended = rig_run(rig);
        if (ended) {
            assert_ptr_equal(request, ended);
            assert_null(blk_queue_next_done(rig->queue));
            return request->result;
        }
    }
    fail_msg("the request does not end");
    return -1;
}

const struct fake_record *rig_record(const struct rig *rig, uint32_t index)
{
    assert_true(index < rig->fake->record_count);
    return &rig->fake->records[index];
}

void rig_fill(uint8_t *bytes, size_t byte_len, uint32_t seed)
{
    for (size_t i = 0; i < byte_len; i++) {
        bytes[i] = (uint8_t)(seed + i * 7 + i / 251);
    }
}
