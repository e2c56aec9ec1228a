/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * From queue threads to the control plane: which stripes are waited for. Bounded, many writers, one
 * reader, nothing allocated after create, no lock.
 *
 * The reader sleeps in the kernel while the ring is empty; a writer makes a system call only when
 * the reader sleeps.
 */
#ifndef UBIBLK_STRIPE_MISS_RING_H
#define UBIBLK_STRIPE_MISS_RING_H

#include <stdbool.h>
#include <stdint.h>

/* READ: the stripe has to be fetched. WRITE: the same, if it is not, and with track_written its
 * WRITTEN flag has to become durable. */
enum miss_kind { MISS_READ, MISS_WRITE };

/* Java reads arrays of this: two 32-bit words. */
struct miss {
    uint32_t kind; /* enum miss_kind */
    uint32_t stripe;
};

struct miss_ring;

enum { MISS_RING_CAPACITY_MAX = 1 << 20 };

/* capacity is a power of two, 2 to MISS_RING_CAPACITY_MAX. Returns owned, or NULL with errno set
 * (EINVAL, ENOMEM). */
struct miss_ring *miss_ring_create(uint32_t capacity);

/* Nobody offers or awaits any more. NULL is fine. */
void miss_ring_destroy(struct miss_ring *ring);

/* False when the ring is full. Any thread. */
bool miss_ring_offer(struct miss_ring *ring, struct miss miss);

/*
 * After an offer that was refused, and after taking back whatever announced it: whether the ring is
 * full still. If so, a miss_ring_await that takes something after this call sets *was_full. If not,
 * the offer can be repeated. Any thread.
 */
bool miss_ring_still_full(struct miss_ring *ring);

/*
 * Waits until there is something, takes up to max (1 to MISS_RING_CAPACITY_MAX) of it, oldest
 * first, and returns how many. *was_full says that miss_ring_still_full was called since the last
 * time it was set, and so somebody waits for the room that there is now. -ESHUTDOWN once
 * miss_ring_close was called, at once, whatever is in the ring. One thread.
 */
int miss_ring_await(struct miss_ring *ring, struct miss *misses, uint32_t max, bool *was_full);

/* Ends the waiting, now and for ever. Any thread. */
void miss_ring_close(struct miss_ring *ring);

#endif
