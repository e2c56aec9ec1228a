/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * virtio-blk as the driver sees it (virtio 1.2, section 5.2): feature bits, configuration space,
 * requests.
 *
 * Knows iovecs, not rings. Queue thread for requests, session thread for the configuration space.
 */
#ifndef UBIBLK_BLK_VIRTIO_BLK_H
#define UBIBLK_BLK_VIRTIO_BLK_H

#include <assert.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include "blk/blk_device.h"
#include "blk/blk_request.h"

/* virtio 1.2, 5.2.3: bit numbers. */
enum {
    VIRTIO_BLK_F_SIZE_MAX = 1,
    VIRTIO_BLK_F_SEG_MAX = 2,
    VIRTIO_BLK_F_BLK_SIZE = 6,
    VIRTIO_BLK_F_FLUSH = 9,
    VIRTIO_BLK_F_TOPOLOGY = 10,
    VIRTIO_BLK_F_CONFIG_WCE = 11,
    VIRTIO_BLK_F_MQ = 12,
};

#define VIRTIO_BLK_FEATURES                                                                        \
    (1ull << VIRTIO_BLK_F_SIZE_MAX | 1ull << VIRTIO_BLK_F_SEG_MAX |                                \
     1ull << VIRTIO_BLK_F_BLK_SIZE | 1ull << VIRTIO_BLK_F_FLUSH | 1ull << VIRTIO_BLK_F_TOPOLOGY |  \
     1ull << VIRTIO_BLK_F_CONFIG_WCE | 1ull << VIRTIO_BLK_F_MQ)

/* virtio 1.2, 5.2.6. */
enum { VIRTIO_BLK_T_IN = 0, VIRTIO_BLK_T_OUT = 1, VIRTIO_BLK_T_FLUSH = 4, VIRTIO_BLK_T_GET_ID = 8 };
enum { VIRTIO_BLK_S_OK = 0, VIRTIO_BLK_S_IOERR = 1, VIRTIO_BLK_S_UNSUPP = 2 };
enum { VIRTIO_BLK_OUTHDR_BYTES = 16 };

/* virtio 1.2, 5.2.4, as far as the features above go; the discard and write-zeroes members stay
 * zero. */
struct virtio_blk_config {
    uint64_t capacity;
    uint32_t size_max;
    uint32_t seg_max;
    uint16_t cylinders;
    uint8_t heads;
    uint8_t sectors;
    uint32_t blk_size;
    uint8_t physical_block_exp;
    uint8_t alignment_offset;
    uint16_t min_io_size;
    uint32_t opt_io_size;
    uint8_t writeback;
    uint8_t unused;
    uint16_t num_queues;
    uint32_t discard_and_write_zeroes[6];
} __attribute__((packed));

static_assert(sizeof(struct virtio_blk_config) == 60, "virtio 1.2, 5.2.4");

/* The only byte that a driver may write (CONFIG_WCE). */
enum { VIRTIO_BLK_CONFIG_WRITEBACK_OFFSET = 32 };

/* The configuration space of the device with the given writeback byte. */
void virtio_blk_config_fill(const struct blk_device *device, bool writeback,
                            struct virtio_blk_config *config);

/*
 * Turns the segments of one chain, out_count device-readable ones followed by in_count
 * device-writable ones, into request->{op, sector, sector_count, iov, iov_count, byte_len}. The
 * header is copied first and never read again; the last device-writable byte, which is the status,
 * is cut off. The segments are request's from here on and are changed. Returns 0 when the request
 * is to be started; 1 when it is complete (GET_ID), byte_len then being what was written; or
 * -EINVAL, -E2BIG (malformed), -EOPNOTSUPP (a type that is not offered). request->op is set in
 * every case.
 */
int virtio_blk_parse(const struct blk_device *device, struct iovec *iov, uint32_t out_count,
                     uint32_t in_count, struct blk_request *request);

/* Fills in the same members for a chain that cannot be parsed. */
void virtio_blk_malformed(struct blk_request *request);

/* The status byte for 0 or a negative errno. */
uint8_t virtio_blk_status(int result);

#endif
