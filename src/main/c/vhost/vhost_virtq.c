/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Ring faults: an available index that jumped too far, a head out of range, a head that is still in
 * use. Nothing that follows in such a ring means anything, so popping ends, the front end's error
 * fd is signalled, and what was popped before ends as usual. The front end may stop and start the
 * ring.
 *
 * A malformed chain is no ring fault: it is answered, with an error where it has a status byte.
 */
#include "vhost_virtq.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "base/event.h"
#include "base/minmax.h"
#include "blk/virtio_blk.h"
#include "virtq/desc_chain.h"

enum { POP_BATCH = 64, SIGNAL_DELAY_NS = 20000 };

struct memory_view {
    struct guest_memory *memory;
    uint32_t users; /* requests, and the ring itself while the view is its current one */
};

/* What the transport keeps of a request. */
struct vhost_slot {
    uint8_t *status; /* NULL: the chain has none */
    struct memory_view *view;
};

static struct memory_view *view_create(struct guest_memory *memory)
{
    struct memory_view *view = malloc(sizeof(*view));
    if (view)
        *view = (struct memory_view){.memory = guest_memory_ref(memory)};
    return view;
}

/* The queue itself is a user of its current view. */
static void view_release(struct memory_view *view)
{
    if (--view->users > 0)
        return;
    guest_memory_unref(view->memory);
    free(view);
}

static void view_drop(struct vhost_virtq *vq)
{
    if (vq->view)
        view_release(vq->view);
    vq->view = NULL;
}

static int view_replace(struct vhost_virtq *vq, struct guest_memory *memory)
{
    struct memory_view *view = view_create(memory);
    if (!view)
        return -ENOMEM;
    view->users = 1;
    view_drop(vq);
    vq->view = view;
    return 0;
}

int vhost_virtq_init(struct vhost_virtq *vq, struct blk_device *device, uint32_t index)
{
    *vq = (struct vhost_virtq){.device = device, .index = index, .call_fd = -1, .err_fd = -1};
    vq->slots = calloc(device->queue_size, sizeof(*vq->slots));
    vq->popped = calloc(device->queue_size, sizeof(*vq->popped));
    return vq->slots && vq->popped ? 0 : -ENOMEM;
}

void vhost_virtq_deinit(struct vhost_virtq *vq)
{
    assert(!vq->started);
    free(vq->slots);
    free(vq->popped);
}

int vhost_virtq_start(struct vhost_virtq *vq, const struct vhost_virtq_setup *setup)
{
    assert(!vq->started && setup->size <= vq->device->queue_size);
    int result = view_replace(vq, setup->memory);
    if (result < 0)
        return result;
    virtq_init(&vq->ring, &setup->parts, setup->size, setup->base, setup->event_idx);
    vq->broken = false;
    vq->unsignalled = false;
    vq->popped_count = 0;
    vq->started = true;
    return 0;
}

void vhost_virtq_signal_now(struct vhost_virtq *vq)
{
    if (vq->unsignalled && virtq_need_signal(&vq->ring))
        event_signal(vq->call_fd);
    vq->unsignalled = false;
}

uint16_t vhost_virtq_stop(struct vhost_virtq *vq)
{
    vhost_virtq_signal_now(vq);
    virtq_notify_enable(&vq->ring); /* whoever goes on with the ring wants its kicks */
    vq->started = false;
    vq->call_fd = vq->err_fd = -1;
    view_drop(vq);
    return vq->ring.next_avail;
}

int vhost_virtq_move(struct vhost_virtq *vq, const struct vhost_virtq_setup *setup)
{
    int result = view_replace(vq, setup->memory);
    if (result < 0)
        return result;
    virtq_move(&vq->ring, &setup->parts);
    event_signal(vq->call_fd);
    return 0;
}

static void ring_fault(struct vhost_virtq *vq, const char *what, unsigned value)
{
    vq->broken = true;
    log_write(vq->device->log, LOG_WARN,
              "queue %u: %s %u (ring of %u); no more requests until it restarts", vq->index, what,
              value, vq->ring.size);
    event_signal(vq->err_fd);
}

/* virtq_pop has moved next_avail on. */
static void note_popped(struct vhost_virtq *vq, uint16_t head)
{
    vq->popped[(uint16_t)(vq->ring.next_avail - 1) & (vq->ring.size - 1)] = head;
    if (vq->popped_count < vq->ring.size)
        vq->popped_count++;
}

static void pop_one(struct vhost_virtq *vq, uint64_t now_ns)
{
    uint16_t head = virtq_pop(&vq->ring);
    if (head >= vq->ring.size) {
        ring_fault(vq, "head out of range:", head);
        return;
    }
    struct blk_request *request = blk_queue_slot(vq->blk, head);
    if (request->state != BLK_REQUEST_FREE) {
        ring_fault(vq, "head that is in use:", head);
        return;
    }
    const struct desc_chain_storage storage = {
        .small = request->inline_iov,
        .small_count = BLK_REQUEST_SEGMENTS_INLINE,
        .large = blk_queue_arena(vq->blk, head),
        .large_count = BLK_QUEUE_ARENA_SEGMENTS,
    };
    struct desc_chain chain;
    int result = desc_chain_walk(&vq->ring, vq->view->memory, head, &storage, &chain);
    struct vhost_slot *slot = &vq->slots[head];
    slot->status = chain.last_in_byte;
    slot->view = vq->view;
    vq->view->users++;
    note_popped(vq, head);
    if (result == 0)
        result = virtio_blk_parse(vq->device, chain.iov, chain.out_count, chain.in_count, request);
    else
        virtio_blk_malformed(request);
    if (result == 0)
        blk_queue_start(vq->blk, request, now_ns);
    else
        blk_queue_finish(vq->blk, request, result < 0 ? result : 0, now_ns);
}

uint32_t vhost_virtq_pop(struct vhost_virtq *vq, uint64_t now_ns)
{
    int available = virtq_avail_count(&vq->ring);
    if (available < 0) {
        ring_fault(vq, "available index is too far ahead of", vq->ring.next_avail);
        return 0;
    }
    uint32_t count = min_u32((uint32_t)available, POP_BATCH);
    for (uint32_t i = 0; i < count && !vq->broken; i++)
        pop_one(vq, now_ns);
    return count;
}

/*
 * Going backwards in the order of the pops, the first request that does not wait for a stripe ends
 * it: it may have been answered, and an entry before it cannot be given back without it. The
 * entries given back are unchanged, since the driver may not use their place again before they are
 * answered.
 */
uint32_t vhost_virtq_put_back(struct vhost_virtq *vq)
{
    uint32_t count = 0;
    while (vq->popped_count > 0 && !vq->broken) {
        uint16_t head = vq->popped[(uint16_t)(vq->ring.next_avail - 1) & (vq->ring.size - 1)];
        if (!blk_queue_withdraw(vq->blk, blk_queue_slot(vq->blk, head)))
            break;
        view_release(vq->slots[head].view);
        vq->ring.next_avail--;
        vq->popped_count--;
        count++;
    }
    return count;
}

static uint32_t used_len(const struct blk_request *request, const struct vhost_slot *slot)
{
    if (!slot->status)
        return 0;
    bool wrote_data =
        request->result == 0 && (request->op == QUEUE_OP_READ || request->op == QUEUE_OP_OTHER);
    return 1 + (wrote_data ? (uint32_t)min_u64(request->byte_len, UINT32_MAX - 1) : 0);
}

/* Data of the request, or of the ring, may have been zeros that nobody wrote. */
static void memory_lost(struct vhost_virtq *vq, struct blk_request *request)
{
    request->result = -EFAULT;
    if (!vq->broken)
        ring_fault(vq, "the front end took memory away under head", request->slot);
}

uint32_t vhost_virtq_answer(struct vhost_virtq *vq, uint64_t now_ns)
{
    uint32_t count = 0;
    struct blk_request *request;
    while ((request = blk_queue_next_done(vq->blk))) {
        struct vhost_slot *slot = &vq->slots[request->slot];
        if (guest_memory_lost(slot->view->memory))
            memory_lost(vq, request);
        if (slot->status)
            *slot->status = virtio_blk_status(request->result);
        virtq_push(&vq->ring, (uint16_t)request->slot, used_len(request, slot));
        view_release(slot->view);
        blk_queue_release(vq->blk, request);
        count++;
    }
    if (count == 0)
        return 0;
    virtq_publish(&vq->ring);
    if (!vq->unsignalled) {
        vq->unsignalled = true;
        vq->unsignalled_since_ns = now_ns;
    }
    return count;
}

void vhost_virtq_signal(struct vhost_virtq *vq, uint64_t now_ns)
{
    bool more = vhost_virtq_open(vq) && virtq_avail_count(&vq->ring) > 0;
    if (!more || now_ns - vq->unsignalled_since_ns > SIGNAL_DELAY_NS)
        vhost_virtq_signal_now(vq);
}
