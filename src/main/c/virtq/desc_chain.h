/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * One descriptor chain, walked once and turned into segments of our own memory.
 *
 * Every descriptor is copied before it is looked at, so what the driver changes afterwards has no
 * effect. A chain may be direct, indirect, or direct descriptors followed by one indirect one
 * (virtio 1.2, 2.7.5.3).
 */
#ifndef UBIBLK_VIRTQ_DESC_CHAIN_H
#define UBIBLK_VIRTQ_DESC_CHAIN_H

#include <stdint.h>
#include <sys/uio.h>

#include "virtq/guest_memory.h"
#include "virtq/virtq.h"

/* Descriptors of one chain that are looked at; a longer chain is malformed. */
enum { DESC_CHAIN_MAX = VIRTQ_SIZE_MAX };

/* Where the walk puts segments: in a small array while they fit, else in a large one. Both are the
 * caller's. */
struct desc_chain_storage {
    struct iovec *small;
    uint32_t small_count;
    struct iovec *large;
    uint32_t large_count;
};

/* Device-readable segments come first, device-writable ones follow; none is empty. */
struct desc_chain {
    struct iovec *iov; /* in the storage */
    uint32_t out_count;
    uint32_t in_count;
    uint64_t out_bytes;
    uint64_t in_bytes;
    uint8_t *last_in_byte; /* where a status byte goes: known also for most malformed chains; NULL
                              if there is none */
};

/*
 * Walks the chain that starts at head. Returns 0, or a negative errno for a malformed one: -EINVAL
 * (a head, next or indirect table out of range, a loop, a readable descriptor after a writable
 * one), -EFAULT (an address that is not mapped), -E2BIG (more segments than the storage holds).
 * chain->last_in_byte is set in both cases; the other members only on 0. Touches no guest memory
 * but descriptors. Queue thread.
 */
int desc_chain_walk(const struct virtq *vq, const struct guest_memory *memory, uint16_t head,
                    const struct desc_chain_storage *storage, struct desc_chain *chain);

#endif
