/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * One disk: its file, geometry, cipher and durability state, shared by all queues and both front
 * ends.
 *
 * Geometry and limits are fixed at open. What changes afterwards is atomic: the sticky error and
 * the cache mode. The device owns the queues' statistics, which outlive the queues themselves.
 */
#ifndef UBIBLK_BLK_BLK_DEVICE_H
#define UBIBLK_BLK_BLK_DEVICE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/log.h"
#include "blk/queue_stats.h"
#include "crypt/xts.h"
#include "io/disk_file.h"
#include "io/io_engine.h"

enum { BLK_DEVICE_ID_BYTES = 20, BLK_QUEUE_COUNT_MAX = 63, BLK_QUEUE_SIZE_MAX = 32768 };

/* Borrowed by blk_device_open. Ranges are the configuration's (docs/config.md); open asserts them.
 */
struct blk_device_params {
    const char *path;
    const char *device_id; /* at most BLK_DEVICE_ID_BYTES bytes */
    uint32_t queue_count;
    uint32_t queue_size; /* a power of two */
    uint32_t seg_size_max;
    uint32_t seg_count_max;
    uint32_t poll_timeout_us;
    uint32_t logical_block_size; /* 512 or 4096 */
    uint64_t bounce_bytes;       /* for all queues together */
    bool write_through;
    enum direct_io direct_io;
    enum io_engine_kind io_engine;
};

struct blk_lazy;

struct blk_device {
    struct disk_file file;
    int sync_fd;           /* a description of our own for blk_device_sync, see blk_queue.c */
    struct xts *xts;       /* kept; NULL: plain disk */
    struct blk_lazy *lazy; /* NULL: every stripe is there, and nobody tracks writes */
    struct log *log;
    uint64_t capacity; /* sectors */
    uint8_t device_id[BLK_DEVICE_ID_BYTES];
    uint32_t queue_count;
    uint32_t queue_size;
    uint32_t seg_size_max;
    uint32_t seg_count_max;
    uint32_t poll_timeout_us;
    uint32_t logical_block_size;
    uint64_t bounce_bytes;
    bool write_through;
    /* The data of every request lies in one page-aligned segment that nobody but us looks at
     * meanwhile, so ciphers work in place. Set before the first queue is made; false at first. */
    bool private_memory;
    enum io_engine_kind io_engine;

    /* 0, or the errno of the first failed fsync: the data it should have covered may be lost. Never
     * cleared. */
    _Atomic int sticky_errno;
    /* How many fsyncs, and writes that implied one, have failed. */
    _Atomic uint64_t fsync_failures;
    /* Whether completed writes may still be volatile; false: queues make each durable. Set by the
     * front end only. */
    _Atomic bool write_back;

    struct queue_stats *stats[BLK_QUEUE_COUNT_MAX];
};

/*
 * Opens and locks the disk (up to 10 s for the lock). xts (NULL: plain disk) and log are kept until
 * close. Returns 0 with *out owned, or -errno with a sentence in *error.
 */
int blk_device_open(const struct blk_device_params *params, struct xts *xts, struct log *log,
                    struct blk_device **out, struct error *error);

/* No queue of the device may exist any more. Ends device->lazy as well. NULL is fine. */
void blk_device_close(struct blk_device *device);

/*
 * Makes every completed write durable, on the calling thread. Returns 0 or -errno; a failure sets
 * the sticky error, and with the sticky error set no further fsync is tried (an fsync that failed
 * once must not be believed later).
 */
int blk_device_sync(struct blk_device *device);

/* Records that an fsync failed with errno_value > 0; the first one is logged and stays. Any thread.
 */
void blk_device_fsync_failed(struct blk_device *device, int errno_value);

/* 0, or the errno of the first failed fsync. Any thread. */
int blk_device_sticky_errno(const struct blk_device *device);

#endif
