/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * The one request type of both front ends, and the life of its slot.
 *
 * A request lives in the slot of its descriptor head (vhost) or tag (ublk); there is one slot for
 * each, made once.
 *
 *   from                        to         by
 *   FREE                        PARSED     the transport popped it
 *   PARSED                      WAITING    it must wait (a stripe, a piece, a buffer, a sync)
 *   WAITING                     FREE       taken back: it waited for a stripe when its ring stopped
 *   PARSED, WAITING             IN_FLIGHT  all of it is with the engine
 *   IN_FLIGHT                   WAITING    its data is written, and is to be synced
 *   PARSED, WAITING, IN_FLIGHT  DONE       completion or refusal
 *   DONE                        FREE       used element pushed, tag committed
 *
 * Queue thread only.
 */
#ifndef UBIBLK_BLK_BLK_REQUEST_H
#define UBIBLK_BLK_BLK_REQUEST_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include "base/iov.h"
#include "blk/queue_stats.h"
#include "stripe/stripe_gate.h"

enum blk_request_state {
    BLK_REQUEST_FREE,
    BLK_REQUEST_PARSED,
    BLK_REQUEST_WAITING,
    BLK_REQUEST_IN_FLIGHT,
    BLK_REQUEST_DONE,
};

enum {
    /* Data segments of one request; more is an error (also the kernel's IOV_MAX). */
    BLK_REQUEST_SEGMENTS_MAX = 1024,
    /* Segments that a slot holds itself; more go to the queue's arena. */
    BLK_REQUEST_SEGMENTS_INLINE = 8,
};

struct blk_request {
    enum blk_request_state state;
    enum queue_op op;
    uint32_t slot;
    int result; /* 0 or the first negative errno */
    uint64_t sector;
    uint32_t sector_count;
    uint64_t byte_len; /* of iov */
    struct iovec *iov;
    uint32_t iov_count;
    bool fua;                 /* a write whose driver wants it on stable storage */
    bool durable;             /* a write that must be on stable storage when it completes */
    bool syncs;               /* what is left of it is a sync: a flush, a write that is written */
    bool bounced;             /* goes through bounce buffers */
    bool read_through;        /* parts of it may be read from the image */
    struct iov_cursor issued; /* what the engine has been given so far */
    uint64_t issued_bytes;
    uint32_t pieces; /* with the engine */
    uint64_t started_ns;
    struct stripe_waiter waiter; /* while it waits for a stripe */
    struct blk_request *next;    /* in the one list that it is in */
    struct iovec inline_iov[BLK_REQUEST_SEGMENTS_INLINE];
};

/* Makes the move, which must be one of the table's (asserted). */
void blk_request_move(struct blk_request *request, enum blk_request_state to);

/* First in, first out. */
struct blk_request_list {
    struct blk_request *first;
    struct blk_request *last;
};

void blk_request_list_append(struct blk_request_list *list, struct blk_request *request);
/* Takes the first one out; NULL when empty. */
struct blk_request *blk_request_list_take(struct blk_request_list *list);

#endif
