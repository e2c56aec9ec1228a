/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Framing is free (virtio 1.2, 2.7.4): the header is the first 16 device-readable bytes and the
 * status is the last device-writable byte, wherever the descriptors end. What lies between is data.
 */
#include "virtio_blk.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "base/minmax.h"
#include "base/sector.h"

struct outhdr {
    uint32_t type;
    uint32_t ioprio;
    uint64_t sector;
};

static_assert(sizeof(struct outhdr) == VIRTIO_BLK_OUTHDR_BYTES, "virtio 1.2, 5.2.6");

void virtio_blk_config_fill(const struct blk_device *device, bool writeback,
                            struct virtio_blk_config *config)
{
    *config = (struct virtio_blk_config){
        .capacity = device->capacity,
        .size_max = device->seg_size_max,
        .seg_max = device->seg_count_max,
        .blk_size = device->logical_block_size,
        .min_io_size = 1,
        .opt_io_size = 1,
        .writeback = writeback,
        .num_queues = (uint16_t)device->queue_count,
    };
}

/* A run of segments from which bytes are cut at the front and at the end. */
struct segments {
    struct iovec *iov;
    uint32_t count;
};

/* Moves byte_len bytes between the front of the segments and ours, and cuts them off. False when
 * they are too short. */
static bool take_front(struct segments *segments, void *to, size_t byte_len)
{
    uint8_t *at = to;
    while (byte_len > 0) {
        if (segments->count == 0)
            return false;
        struct iovec *first = segments->iov;
        size_t part = min_u64(first->iov_len, byte_len);
        memcpy(at, first->iov_base, part);
        at += part;
        byte_len -= part;
        first->iov_base = (uint8_t *)first->iov_base + part;
        first->iov_len -= part;
        if (first->iov_len == 0) {
            segments->iov++;
            segments->count--;
        }
    }
    return true;
}

static bool cut_last_byte(struct segments *segments)
{
    if (segments->count == 0)
        return false;
    struct iovec *last = &segments->iov[segments->count - 1];
    if (--last->iov_len == 0)
        segments->count--;
    return true;
}

static uint64_t segments_bytes(const struct segments *segments)
{
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < segments->count; i++)
        bytes += segments->iov[i].iov_len;
    return bytes;
}

static int parse_transfer(enum queue_op op, const struct outhdr *header,
                          const struct segments *data, const struct segments *other,
                          struct blk_request *request)
{
    request->op = op;
    if (other->count != 0)
        return -EINVAL;
    if (data->count > BLK_REQUEST_SEGMENTS_MAX)
        return -E2BIG;
    uint64_t bytes = segments_bytes(data);
    if (bytes % SECTOR_BYTES != 0 || bytes > sectors_to_bytes(UINT32_MAX))
        return -EINVAL;
    request->sector = header->sector;
    request->sector_count = (uint32_t)bytes_to_sectors(bytes);
    request->byte_len = bytes;
    request->iov = data->iov;
    request->iov_count = data->count;
    return 0;
}

static int answer_get_id(const struct blk_device *device, const struct segments *in,
                         struct blk_request *request)
{
    if (segments_bytes(in) < BLK_DEVICE_ID_BYTES)
        return -EINVAL;
    uint32_t done = 0;
    for (uint32_t i = 0; done < BLK_DEVICE_ID_BYTES; i++) {
        uint32_t part = (uint32_t)min_u64(in->iov[i].iov_len, BLK_DEVICE_ID_BYTES - done);
        memcpy(in->iov[i].iov_base, device->device_id + done, part);
        done += part;
    }
    request->byte_len = BLK_DEVICE_ID_BYTES;
    return 1;
}

void virtio_blk_malformed(struct blk_request *request)
{
    request->op = QUEUE_OP_OTHER;
    request->sector = 0;
    request->sector_count = 0;
    request->byte_len = 0;
    request->iov_count = 0;
}

int virtio_blk_parse(const struct blk_device *device, struct iovec *iov, uint32_t out_count,
                     uint32_t in_count, struct blk_request *request)
{
    struct segments out = {.iov = iov, .count = out_count};
    struct segments in = {.iov = iov + out_count, .count = in_count};
    struct outhdr header;
    virtio_blk_malformed(request);
    if (!take_front(&out, &header, sizeof(header)) || !cut_last_byte(&in))
        return -EINVAL;
    switch (header.type) {
    case VIRTIO_BLK_T_IN:
        return parse_transfer(QUEUE_OP_READ, &header, &in, &out, request);
    case VIRTIO_BLK_T_OUT:
        return parse_transfer(QUEUE_OP_WRITE, &header, &out, &in, request);
    case VIRTIO_BLK_T_FLUSH:
        request->op = QUEUE_OP_FLUSH;
        return header.sector == 0 ? 0 : -EINVAL;
    case VIRTIO_BLK_T_GET_ID:
        return answer_get_id(device, &in, request);
    default:
        return -EOPNOTSUPP;
    }
}

uint8_t virtio_blk_status(int result)
{
    if (result == 0)
        return VIRTIO_BLK_S_OK;
    return result == -EOPNOTSUPP ? VIRTIO_BLK_S_UNSUPP : VIRTIO_BLK_S_IOERR;
}
