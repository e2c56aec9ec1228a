/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * The tags of one ublk queue: commands of the driver to block requests and back.
 *
 * A tag is with the driver (its command waits there for a request), with us (its request is in
 * slot[tag] of the blk_queue), or gone (the driver ended the command without one, for good):
 *
 *     fetch ─► with the driver ─► request ─► with us ─► commit and fetch ─► with the driver
 *                              └► abort ──► gone
 *
 * Every request is committed exactly once, whatever becomes of it. Each tag has a buffer of its
 * own, from which and to which the driver copies. Queue thread.
 */
#ifndef UBIBLK_UBLK_UBLK_TAGS_H
#define UBIBLK_UBLK_UBLK_TAGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "blk/blk_queue.h"
#include "ublk/ublk_uapi.h"

/* Borrowed by ublk_tags_init, but for what it points to: that is kept. */
struct ublk_tags_params {
    struct blk_queue *blk;
    const struct ublksrv_io_desc *iods; /* the driver's, one per tag; may be set after init */
    struct log *log;                    /* borrowed; may be NULL */
    uint32_t q_id;
    uint32_t q_depth;      /* at most the device's queue_size */
    uint32_t buffer_bytes; /* the most data of one request, in whole pages */
    bool encoded;          /* commands go by their ioctl codes */
};

/* Owned by the caller. */
struct ublk_tags {
    struct ublk_tags_params params;
    uint8_t *buffers;
    struct io_op *ops; /* the command of each tag */
    uint32_t gone;
    int failure; /* 0, or the first -errno of a command that was not an abort */
};

/* Returns 0, or -errno with a sentence. Buffers that cannot be locked in memory cost a warning. */
int ublk_tags_init(struct ublk_tags *tags, const struct ublk_tags_params *params,
                   struct error *error);

/* Nothing of a tag may be used any more by the driver. Zeroed tags are fine. */
void ublk_tags_deinit(struct ublk_tags *tags);

/* Gives every tag to the driver, once; submitted with the next submit or wait. */
void ublk_tags_fetch(struct ublk_tags *tags);

/* Starts the requests that came with collected commands; returns how many commands there were. */
uint32_t ublk_tags_take(struct ublk_tags *tags, uint64_t now_ns);

/* Commits what has ended; returns how much. */
uint32_t ublk_tags_answer(struct ublk_tags *tags);

/* Lets go of what has ended without a commit: the driver is told nothing, and gives the requests to
 * the next server. Returns how many. */
uint32_t ublk_tags_drop(struct ublk_tags *tags);

/* Whether no request will come any more and none is here. */
bool ublk_tags_over(const struct ublk_tags *tags);

#endif
