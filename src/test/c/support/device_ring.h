/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * One virtqueue seen from both sides in one process: the guest's memory and driver, and the memory
 * table and ring parts as the back end gets them. For tests of the layers below the socket.
 *
 * A slot is a place for one virtio-blk request of up to DEVICE_RING_DATA_BYTES.
 */
#ifndef UBIBLK_SUPPORT_DEVICE_RING_H
#define UBIBLK_SUPPORT_DEVICE_RING_H

#include <stdbool.h>
#include <stdint.h>

#include "support/frontend_queue.h"
#include "support/guest_ram.h"
#include "virtq/guest_memory.h"
#include "virtq/virtq.h"

enum { DEVICE_RING_SLOTS = 128, DEVICE_RING_DATA_BYTES = 2048, DEVICE_RING_NO_STATUS = 0xee };

struct device_ring {
    struct guest_ram ram;
    struct guest_memory *memory;
    struct frontend_queue queue; /* with kick_fd and call_fd */
    uint64_t slots_gpa;
};

/* A memory table with the regions of ram; returns owned. */
struct guest_memory *device_memory_create(const struct guest_ram *ram);

/* Ends the test when something is missing. */
void device_ring_open(struct device_ring *ring, uint16_t size, bool event_idx);
void device_ring_close(struct device_ring *ring);

/* Where memory (the ring's own, or another table over its ram) has the three parts. */
struct virtq_parts device_ring_parts(const struct device_ring *ring,
                                     const struct guest_memory *memory);

/* Adds a request of header, data (if any) and status; the token is the slot. Returns its head. */
uint16_t device_ring_add(struct device_ring *ring, uint32_t slot, uint32_t type, uint64_t sector,
                         uint32_t byte_len);

uint8_t *device_ring_data(const struct device_ring *ring, uint32_t slot);
/* DEVICE_RING_NO_STATUS until there is one. */
uint8_t device_ring_status(const struct device_ring *ring, uint32_t slot);

/* Reads an eventfd: how often it was signalled since. */
uint64_t device_ring_signals(int fd);

#endif
