/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * The rings of one front end: what it told about each, and the commands that make the queue threads
 * follow.
 *
 * A ring is started or stopped, enabled or disabled, independently of each other (vhost-user, "Ring
 * states"): it starts when its kick fd is set and stops with vhost_rings_get_base or at the end.
 * When a function returns, the queue threads have done what it says.
 *
 * Functions return 0, or -errno with a sentence for the front end's violation of the protocol.
 * Indices are below the device's queue count. Session thread.
 */
#ifndef UBIBLK_VHOST_VHOST_RINGS_H
#define UBIBLK_VHOST_VHOST_RINGS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "blk/blk_device.h"
#include "vhost/vhost_cache.h"
#include "vhost/vhost_msg.h"
#include "vhost/vhost_queue.h"
#include "virtq/guest_memory.h"

/* Borrowed by vhost_rings_create; what it points to is kept until the rings' end. */
struct vhost_rings_params {
    struct blk_device *device;
    struct vhost_queue **queues; /* device->queue_count of them */
    struct vhost_cache *cache;
    struct log *log;
    struct guest_guard *guard; /* NULL: none */
    int done_fd;               /* the eventfd of the queues */
    uint32_t stop_timeout_ms;
};

struct vhost_rings;

/* Returns owned, without memory; NULL when out of memory. */
struct vhost_rings *vhost_rings_create(const struct vhost_rings_params *params);

/* Stops every ring, whose requests end and reach the used rings first, and lets go of memory and
 * descriptors. NULL is fine. */
void vhost_rings_destroy(struct vhost_rings *rings);

/* The acked device features; -EIO without a sentence when turning the cache off could not sync. */
int vhost_rings_set_features(struct vhost_rings *rings, uint64_t features);

/* Puts the cache mode into effect; when that turns the cache off, all writes before are durable. */
int vhost_rings_apply_cache_mode(struct vhost_rings *rings);

const struct guest_memory *vhost_rings_memory(const struct vhost_rings *rings);

/* Takes a new memory table. A started ring moves to where it maps it; one it does not map stops. */
int vhost_rings_set_memory(struct vhost_rings *rings, struct guest_memory *memory);

int vhost_rings_set_size(struct vhost_rings *rings, uint32_t index, uint32_t size,
                         struct error *error);
int vhost_rings_set_base(struct vhost_rings *rings, uint32_t index, uint32_t base,
                         struct error *error);
int vhost_rings_set_addr(struct vhost_rings *rings, const struct vhost_vring_addr *addr,
                         struct error *error);
int vhost_rings_enable(struct vhost_rings *rings, uint32_t index, bool enabled,
                       struct error *error);

/* Stops the ring, drops its descriptors and returns the next available index. */
uint16_t vhost_rings_get_base(struct vhost_rings *rings, uint32_t index);

enum vhost_ring_fd { VHOST_RING_KICK, VHOST_RING_CALL, VHOST_RING_ERR, VHOST_RING_FD_COUNT };

/* Takes a descriptor (-1: none). The kick fd starts a stopped ring. */
int vhost_rings_set_fd(struct vhost_rings *rings, uint32_t index, enum vhost_ring_fd which, int fd,
                       struct error *error);

#endif
