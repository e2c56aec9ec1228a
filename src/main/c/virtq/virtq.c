/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Orders that matter, each with its partner in the driver:
 *   avail.idx is loaded with acquire before ring entries are read    <-> the driver's release store
 * of avail.idx used.idx is stored with release after the elements               <-> the driver's
 * acquire load of used.idx used.idx is stored before used_event or flags are loaded         <-> the
 * driver enables signals, then looks at used.idx avail_event or flags are stored before avail.idx
 * is loaded again <-> the driver publishes avail.idx, then decides to kick The last two are
 * store-load orders, so they need a full fence on both sides.
 */
#include "virtq.h"

#include <errno.h>
#include <stdatomic.h>
#include <string.h>

enum { IDX_OFFSET = 2, RING_OFFSET = 4 };

static inline uint16_t load_u16(const uint8_t *at, memory_order order)
{
    return atomic_load_explicit((const _Atomic uint16_t *)(const void *)at, order);
}

static inline void store_u16(uint8_t *at, uint16_t value, memory_order order)
{
    atomic_store_explicit((_Atomic uint16_t *)(void *)at, value, order);
}

static inline uint8_t *avail_entry(const struct virtq *vq, uint16_t index)
{
    return vq->avail + RING_OFFSET + 2 * (size_t)(index & (vq->size - 1));
}

static inline uint8_t *used_event(const struct virtq *vq)
{
    return vq->avail + RING_OFFSET + 2 * (size_t)vq->size;
}

static inline uint8_t *avail_event(const struct virtq *vq)
{
    return vq->used + RING_OFFSET + sizeof(struct virtq_used_elem) * (size_t)vq->size;
}

void virtq_move(struct virtq *vq, const struct virtq_parts *parts)
{
    vq->desc = parts->desc;
    vq->avail = parts->avail;
    vq->used = parts->used;
}

void virtq_init(struct virtq *vq, const struct virtq_parts *parts, uint16_t size, uint16_t base,
                bool event_idx)
{
    virtq_move(vq, parts);
    vq->size = size;
    vq->event_idx = event_idx;
    vq->next_used = load_u16(vq->used + IDX_OFFSET, memory_order_acquire);
    int16_t ahead = (int16_t)(uint16_t)(base - vq->next_used);
    vq->next_avail = ahead < 0 ? vq->next_used : base;
    vq->signalled_used = 0;
    vq->signalled_valid = false;
    vq->notify_disabled = true;
    virtq_notify_enable(vq);
}

bool virtq_parts_fresh(const struct virtq_parts *parts, uint16_t size)
{
    /* idx alone is 0 again after 65,536 requests; the last element of a ring that was ever filled
     * has a length. */
    const uint8_t *used = parts->used;
    struct virtq_used_elem last;
    memcpy(&last, used + RING_OFFSET + sizeof(last) * (size_t)(size - 1), sizeof(last));
    return load_u16(used + IDX_OFFSET, memory_order_acquire) == 0 && last.len == 0;
}

int virtq_avail_count(const struct virtq *vq)
{
    uint16_t count =
        (uint16_t)(load_u16(vq->avail + IDX_OFFSET, memory_order_acquire) - vq->next_avail);
    return count <= vq->size ? count : -EPROTO;
}

uint16_t virtq_pop(struct virtq *vq)
{
    return load_u16(avail_entry(vq, vq->next_avail++), memory_order_relaxed);
}

void virtq_push(struct virtq *vq, uint16_t head, uint32_t used_len)
{
    struct virtq_used_elem elem = {.id = head, .len = used_len};
    size_t index = vq->next_used++ & (vq->size - 1);
    memcpy(vq->used + RING_OFFSET + sizeof(elem) * index, &elem, sizeof(elem));
}

void virtq_publish(struct virtq *vq)
{
    store_u16(vq->used + IDX_OFFSET, vq->next_used, memory_order_release);
}

bool virtq_need_signal(struct virtq *vq)
{
    atomic_thread_fence(memory_order_seq_cst);
    if (!vq->event_idx)
        return !(load_u16(vq->avail, memory_order_relaxed) & VIRTQ_AVAIL_F_NO_INTERRUPT);
    uint16_t event = load_u16(used_event(vq), memory_order_relaxed);
    uint16_t since = (uint16_t)(vq->next_used - vq->signalled_used);
    /* virtio 1.2, 2.7.10: signal when used.idx passed used_event since the last look. */
    bool wanted = !vq->signalled_valid || (uint16_t)(vq->next_used - event - 1) < since;
    vq->signalled_used = vq->next_used;
    vq->signalled_valid = true;
    return wanted;
}

void virtq_notify_disable(struct virtq *vq)
{
    if (vq->notify_disabled)
        return;
    vq->notify_disabled = true;
    if (!vq->event_idx)
        store_u16(vq->used, VIRTQ_USED_F_NO_NOTIFY, memory_order_relaxed);
}

bool virtq_notify_enable(struct virtq *vq)
{
    vq->notify_disabled = false;
    if (vq->event_idx)
        store_u16(avail_event(vq), vq->next_avail, memory_order_relaxed);
    else
        store_u16(vq->used, 0, memory_order_relaxed);
    atomic_thread_fence(memory_order_seq_cst);
    return load_u16(vq->avail + IDX_OFFSET, memory_order_acquire) != vq->next_avail;
}
