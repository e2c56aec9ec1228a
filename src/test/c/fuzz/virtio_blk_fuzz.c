/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Parses a request from segments that the input cuts, and carries out what comes of it on a small
 * disk: plain, with the alignment rules of O_DIRECT, or encrypted.
 *
 * Input: kind of disk, number of readable and writable segments, their lengths (16 bits each, so
 * that many sectors fit), then the readable bytes, the header first of all.
 */
#include "blk/virtio_blk.h"

#include <errno.h>
#include <stdbool.h>

#include "blk/blk_queue.h"
#include "blk/blk_transfer.h"
#include "fuzz_target.h"
#include "support/fake_engine.h"
#include "support/test_device.h"

enum { DISKS = 3, SEGMENTS_MAX = 40, GUEST_BYTES = 1 << 18, GUARD_BYTE = 0xe7 };

struct disk {
    struct test_device *test;
    struct fake_engine *fake;
    struct blk_queue *queue;
};

static struct disk disks[DISKS];
static uint8_t guest[GUEST_BYTES];

static void make_disks(void)
{
    static const struct test_device_params params[DISKS] = {
        {.byte_len = 1 << 16},
        {.byte_len = 1 << 16, .memory_align = 512, .bounce_bytes = BUFFER_POOL_BYTES_MIN},
        {.byte_len = 1 << 16, .encrypted = true, .bounce_bytes = BUFFER_POOL_BYTES_MIN},
    };
    for (int i = 0; i < DISKS; i++) {
        struct disk *disk = &disks[i];
        disk->test = test_device_create(&params[i]);
        struct blk_device *device = &disk->test->device;
        disk->fake = fake_engine_create(blk_transfer_depth(device), &device->file.fd, 1);
        FUZZ_CHECK(blk_queue_create_on(device, 0, &disk->fake->base, &disk->queue, NULL) == 0);
    }
}

/* Segments of the lengths in the input, one after the other in guest; empty ones do not exist. */
static uint32_t cut(struct fuzz_input *input, uint32_t count, struct iovec *iov, size_t *used)
{
    uint32_t made = 0;
    for (uint32_t i = 0; i < count; i++) {
        size_t part = fuzz_take_u16(input);
        part = part < GUEST_BYTES - *used ? part : GUEST_BYTES - *used;
        if (part > 0) {
            iov[made++] = (struct iovec){guest + *used, part};
            *used += part;
        }
    }
    return made;
}

static void check_parsed(const struct blk_request *request, size_t used)
{
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < request->iov_count; i++) {
        const uint8_t *base = request->iov[i].iov_base;
        FUZZ_CHECK(request->iov[i].iov_len > 0);
        FUZZ_CHECK(base >= guest && base + request->iov[i].iov_len <= guest + used);
        bytes += request->iov[i].iov_len;
    }
    FUZZ_CHECK(bytes == request->byte_len);
    FUZZ_CHECK(bytes == (uint64_t)request->sector_count * 512);
    FUZZ_CHECK(request->op != QUEUE_OP_OTHER);
}

static void carry_out(const struct disk *disk, struct blk_request *request)
{
    blk_queue_start(disk->queue, request, 0);
    struct blk_request *done = NULL;
    for (int i = 0; i < 1000 && !done; i++) {
        FUZZ_CHECK(blk_queue_submit(disk->queue, 1) == 0);
        blk_queue_reap(disk->queue, 0);
        done = blk_queue_next_done(disk->queue);
    }
    FUZZ_CHECK(done == request);
    bool is_inside = request->sector <= disk->test->device.capacity &&
                     request->sector_count <= disk->test->device.capacity - request->sector;
    FUZZ_CHECK(request->result == (is_inside ? 0 : -EINVAL));
    FUZZ_CHECK(!blk_queue_next_done(disk->queue));
    blk_queue_release(disk->queue, request);
    fake_engine_forget(disk->fake);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t byte_len)
{
    struct fuzz_input input = {bytes, byte_len};
    if (!disks[0].queue) {
        make_disks();
    }
    const struct disk *disk = &disks[fuzz_take_u8(&input) % DISKS];
    uint32_t out_wanted = fuzz_take_u8(&input) % SEGMENTS_MAX;
    uint32_t in_wanted = fuzz_take_u8(&input) % SEGMENTS_MAX;
    struct iovec iov[2 * SEGMENTS_MAX];
    size_t used = 0;
    uint32_t out_count = cut(&input, out_wanted, iov, &used);
    size_t out_bytes = used;
    uint32_t in_count = cut(&input, in_wanted, iov + out_count, &used);
    fuzz_take(&input, guest, out_bytes);
    memset(guest + out_bytes, GUARD_BYTE, used - out_bytes);

    struct blk_request *request = blk_queue_slot(disk->queue, 0);
    int result = virtio_blk_parse(&disk->test->device, iov, out_count, in_count, request);
    FUZZ_CHECK(result == 0 || result == 1 || result == -EINVAL || result == -E2BIG ||
               result == -EOPNOTSUPP);
    FUZZ_CHECK((unsigned)request->op < QUEUE_OP_COUNT);
    if (result == 0) {
        check_parsed(request, used);
        carry_out(disk, request);
    }
    /* The last writable byte is the status, which is not the request's. */
    FUZZ_CHECK(in_count == 0 || guest[used - 1] == GUARD_BYTE);
    return 0;
}
