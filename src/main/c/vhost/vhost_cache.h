/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Whether completed writes may be volatile: what the configuration, the acked features, the driver
 * (CONFIG_WCE) and the history of this process say about it.
 *
 * The mode belongs to the disk, so it survives reconnects. A new process does not know what the
 * driver of a running guest chose: a ring that resumes there (used elements from before) makes the
 * disk write-through until the driver writes the mode or the ring starts afresh. Session thread.
 */
#ifndef UBIBLK_VHOST_VHOST_CACHE_H
#define UBIBLK_VHOST_VHOST_CACHE_H

#include <stdbool.h>
#include <stdint.h>

#include "blk/blk_device.h"

struct vhost_cache {
    bool write_through;     /* configured: nothing overrides it */
    bool flush_acked;       /* without VIRTIO_BLK_F_FLUSH a driver cannot flush */
    bool driver_write_back; /* what the driver wrote, or the default */
    bool driver_wrote;
    bool ring_seen_fresh[BLK_QUEUE_COUNT_MAX];
    bool ring_resumed[BLK_QUEUE_COUNT_MAX];
};

void vhost_cache_init(struct vhost_cache *cache, bool write_through);

/* Another front end: it has acked nothing and started no ring yet. */
void vhost_cache_session_begins(struct vhost_cache *cache);

/* A front end acked these device features. */
void vhost_cache_features(struct vhost_cache *cache, uint64_t features);

/* The driver wrote the writeback byte. */
void vhost_cache_driver_writes(struct vhost_cache *cache, bool write_back);

/* A ring starts: fresh when it has no used element yet. */
void vhost_cache_ring_starts(struct vhost_cache *cache, uint32_t index, bool fresh);

/* The mode that all of this amounts to. */
bool vhost_cache_write_back(const struct vhost_cache *cache);

/* What the configuration space says: the same, apart from FLUSH, since it is read before features
 * are acked. */
bool vhost_cache_config_writeback(const struct vhost_cache *cache);

#endif
