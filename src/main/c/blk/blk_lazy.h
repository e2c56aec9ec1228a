/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * What a disk has besides when stripes of it are fetched on demand: their states, the raw image
 * that reads may go to, and the way in which fetched content reaches the base disk.
 *
 * Made before the queues of the disk and ended with it. Queue threads use the states (through their
 * gates) and the image; the control plane writes stripes, syncs and publishes.
 */
#ifndef UBIBLK_BLK_BLK_LAZY_H
#define UBIBLK_BLK_BLK_LAZY_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "blk/blk_device.h"
#include "stripe/stripe_map.h"

/* Borrowed by blk_lazy_attach. */
struct blk_lazy_params {
    uint32_t sector_count_shift;
    const uint8_t *flags; /* of every stripe: bits of STRIPE_DURABLE_MASK */
    bool track_written;
    uint64_t fetch_timeout_ms; /* how long a request waits for a stripe; 0: for ever */
    const char *image_path;    /* where reads of what was not fetched go; NULL: they wait */
    uint64_t image_byte_len;   /* what the image had when the control plane opened it */
};

struct blk_lazy {
    struct blk_device *device;
    struct stripe_map *map;
    uint64_t timeout_ns; /* UINT64_MAX: none */
    int sync_fd;         /* a description of the base disk of our own, see blk_queue.c */
    int image_fd;        /* -1: none, or closed */
    uint64_t image_byte_len;
    pthread_mutex_t image_lock;  /* of image_fd and image_users; never taken per request */
    uint32_t image_users;        /* queues whose engines refer to the image */
    _Atomic bool image_dropping; /* the queues shall let go of it */
};

/*
 * Makes a disk lazy; device->lazy says so from here on. Refuses an image that became shorter.
 * Returns 0, or -errno with a sentence.
 */
int blk_lazy_attach(struct blk_device *device, const struct blk_lazy_params *params,
                    struct error *error);

/* Part of blk_device_close. NULL is fine. */
void blk_lazy_detach(struct blk_lazy *lazy);

/* Bytes of a stripe; the last one of the disk may be shorter. */
uint64_t blk_lazy_stripe_bytes(const struct blk_lazy *lazy, uint32_t stripe);

/*
 * Writes the content of a whole stripe to the base disk, enciphered when the disk is, and waits.
 * bytes is page-aligned and blk_lazy_stripe_bytes long; it is enciphered in place and means nothing
 * afterwards. The write has completed then, no more. Any thread but a queue's. Returns 0 or -errno.
 */
int blk_lazy_write_stripe(struct blk_lazy *lazy, uint32_t stripe, void *bytes);

/*
 * Makes completed writes of stripes durable. A failure is one of the disk (blk_device_fsync_failed)
 * and counted there; it is tried all the same when an earlier one failed, because what that one
 * lost is written again before. Any thread but a queue's. Returns 0 or -errno.
 */
int blk_lazy_sync(struct blk_lazy *lazy);

/* The image is not needed any more: the queues let go of it, the last one closes it. Any thread. */
void blk_lazy_drop_image(struct blk_lazy *lazy);

/* The image for the engine of a queue that begins, or -1. Pairs with blk_lazy_release_image. Queue
 * thread. */
int blk_lazy_use_image(struct blk_lazy *lazy);

/* The queue's engine does not refer to the image any more. Queue thread. */
void blk_lazy_release_image(struct blk_lazy *lazy);

#endif
