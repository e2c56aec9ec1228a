/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * The device's side of a split virtqueue (virtio 1.2, section 2.7): heads in, used elements out,
 * notifications both ways.
 *
 * The parts lie in memory that the driver writes at will. Indices are read once per call and
 * checked; nothing the driver can write makes these functions touch memory outside the ring. One
 * thread at a time: the queue's own.
 */
#ifndef UBIBLK_VIRTQ_VIRTQ_H
#define UBIBLK_VIRTQ_VIRTQ_H

#include <assert.h>
#include <stdbool.h>
#include <stdint.h>

/* virtio 1.2, 2.7.5. All fields little-endian, as is every machine this runs on. */
enum { VIRTQ_DESC_F_NEXT = 1, VIRTQ_DESC_F_WRITE = 2, VIRTQ_DESC_F_INDIRECT = 4 };
enum { VIRTQ_AVAIL_F_NO_INTERRUPT = 1, VIRTQ_USED_F_NO_NOTIFY = 1 };
enum { VIRTQ_SIZE_MAX = 32768 };

struct virtq_desc {
    uint64_t addr;
    uint32_t len;
    uint16_t flags;
    uint16_t next;
};

struct virtq_used_elem {
    uint32_t id;
    uint32_t len;
};

static_assert(sizeof(struct virtq_desc) == 16, "virtio 1.2, 2.7.5");
static_assert(sizeof(struct virtq_used_elem) == 8, "virtio 1.2, 2.7.8");

/* Bytes of the driver area (flags, idx, ring, used_event) and of the device area (flags, idx, ring,
 * avail_event). */
static inline uint64_t virtq_avail_bytes(uint32_t size)
{
    return 6 + 2 * (uint64_t)size;
}

static inline uint64_t virtq_used_bytes(uint32_t size)
{
    return 6 + sizeof(struct virtq_used_elem) * (uint64_t)size;
}

struct virtq {
    struct virtq_desc *desc;
    uint8_t *avail;
    uint8_t *used;
    uint16_t size;       /* a power of two */
    uint16_t next_avail; /* next entry of the available ring that we take */
    uint16_t next_used;  /* used.idx once virtq_publish has run */
    uint16_t signalled_used;
    bool signalled_valid;
    bool event_idx;
    bool notify_disabled;
};

/* The three parts, aligned as virtio demands (16, 2, 4 bytes) and mapped for their whole length. */
struct virtq_parts {
    struct virtq_desc *desc;
    void *avail;
    void *used;
};

/*
 * Starts a ring at base, or at used.idx of guest memory when base is behind it (a front end that
 * restarts us from an old state must not make us run requests again).
 */
void virtq_init(struct virtq *vq, const struct virtq_parts *parts, uint16_t size, uint16_t base,
                bool event_idx);

/* The same ring at other host addresses (the memory table changed). */
void virtq_move(struct virtq *vq, const struct virtq_parts *parts);

/* Whether the ring in these parts never had a used element: a driver that starts afresh. */
bool virtq_parts_fresh(const struct virtq_parts *parts, uint16_t size);

/* Heads waiting in the available ring, or -EPROTO when its idx is further ahead than the ring is
 * long. */
int virtq_avail_count(const struct virtq *vq);

/* Takes the next head; virtq_avail_count was positive. The head may be out of range: the chain walk
 * checks it. */
uint16_t virtq_pop(struct virtq *vq);

/* Adds a used element; the driver sees it after virtq_publish. */
void virtq_push(struct virtq *vq, uint16_t head, uint32_t used_len);

/* Shows the pushed elements to the driver. */
void virtq_publish(struct virtq *vq);

/* Whether the driver wants a signal for what was published since it was last asked (EVENT_IDX,
 * NO_INTERRUPT). */
bool virtq_need_signal(struct virtq *vq);

/* Tells the driver that it need not kick. Under EVENT_IDX a stale avail_event does that by itself.
 */
void virtq_notify_disable(struct virtq *vq);

/* Asks for a kick on the next head; returns true when heads are waiting already, so that none is
 * missed. */
bool virtq_notify_enable(struct virtq *vq);

#endif
