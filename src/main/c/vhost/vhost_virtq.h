/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * A virtqueue over guest memory on one side and a block queue on the other: heads become requests,
 * results become used elements.
 *
 * Which memory a request points into: each popped request counts as a user of the view, the
 * queue's own handle on a memory table, under which it was translated. A changed table brings a new
 * view; the old one goes with its last request. Part of a queue; queue thread only.
 */
#ifndef UBIBLK_VHOST_VHOST_VIRTQ_H
#define UBIBLK_VHOST_VHOST_VIRTQ_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "blk/blk_device.h"
#include "blk/blk_queue.h"
#include "virtq/guest_memory.h"
#include "virtq/virtq.h"

/* What a ring needs to start. */
struct vhost_virtq_setup {
    struct virtq_parts parts;
    uint16_t size;
    uint16_t base;
    bool event_idx;
    struct guest_memory *memory; /* borrowed; references of its own are taken */
};

struct memory_view;
struct vhost_slot;

struct vhost_virtq {
    struct blk_device *device;
    struct blk_queue *blk; /* borrowed */
    uint32_t index;
    struct vhost_slot *slots; /* by head */
    uint16_t *popped;         /* heads, by their place in the available ring */
    uint16_t popped_count;    /* since the start, or since one was put back; at most its size */
    struct memory_view *view; /* NULL while stopped */
    struct virtq ring;
    int call_fd; /* borrowed; -1: no signal */
    int err_fd;
    bool started;
    bool enabled;
    bool broken;                   /* the driver broke the rules; until the next start */
    bool unsignalled;              /* used elements were published, the driver not yet signalled */
    uint64_t unsignalled_since_ns; /* when work on the oldest of them began */
};

/* device is kept; the caller sets blk before the first start. 0 or -ENOMEM. */
int vhost_virtq_init(struct vhost_virtq *vq, struct blk_device *device, uint32_t index);
/* Stopped. */
void vhost_virtq_deinit(struct vhost_virtq *vq);

/* 0 or -ENOMEM. */
int vhost_virtq_start(struct vhost_virtq *vq, const struct vhost_virtq_setup *setup);

/* Everything that was popped has been answered. Returns the next available index. */
uint16_t vhost_virtq_stop(struct vhost_virtq *vq);

/* The same ring under a new memory table (parts and memory of setup); signals, in case a signal was
 * lost meanwhile. 0 or -ENOMEM. */
int vhost_virtq_move(struct vhost_virtq *vq, const struct vhost_virtq_setup *setup);

/* Whether requests may be popped. */
static inline bool vhost_virtq_open(const struct vhost_virtq *vq)
{
    return vq->started && vq->enabled && !vq->broken;
}

/* Pops and starts a batch; returns how many requests. The ring may be broken afterwards. */
uint32_t vhost_virtq_pop(struct vhost_virtq *vq, uint64_t now_ns);

/*
 * Puts the heads that were popped last back into the available ring, as long as their requests wait
 * for a stripe: whoever goes on with the ring gets them again. Returns how many.
 */
uint32_t vhost_virtq_put_back(struct vhost_virtq *vq);

/* Answers everything that has ended; returns how many. now_ns is when the round began. The driver
 * sees the answers at once, the signal follows with vhost_virtq_signal. */
uint32_t vhost_virtq_answer(struct vhost_virtq *vq, uint64_t now_ns);

/*
 * Signals what was answered, if the driver wants that. While more heads wait, the signal is put off
 * for a short time, so that a driver that is fed steadily is woken once for several rounds.
 */
void vhost_virtq_signal(struct vhost_virtq *vq, uint64_t now_ns);

/* The same without putting it off; before the thread sleeps. */
void vhost_virtq_signal_now(struct vhost_virtq *vq);

#endif
