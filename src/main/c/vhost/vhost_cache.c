/* SPDX-License-Identifier: AGPL-3.0-only */
#include "vhost_cache.h"

#include "blk/virtio_blk.h"

void vhost_cache_init(struct vhost_cache *cache, bool write_through)
{
    *cache = (struct vhost_cache){.write_through = write_through, .driver_write_back = true};
}

void vhost_cache_session_begins(struct vhost_cache *cache)
{
    cache->flush_acked = false;
    for (uint32_t i = 0; i < BLK_QUEUE_COUNT_MAX; i++)
        cache->ring_resumed[i] = false;
}

void vhost_cache_features(struct vhost_cache *cache, uint64_t features)
{
    cache->flush_acked = features & 1ull << VIRTIO_BLK_F_FLUSH;
}

void vhost_cache_driver_writes(struct vhost_cache *cache, bool write_back)
{
    cache->driver_write_back = write_back;
    cache->driver_wrote = true;
}

void vhost_cache_ring_starts(struct vhost_cache *cache, uint32_t index, bool fresh)
{
    if (fresh)
        cache->ring_seen_fresh[index] = true;
    cache->ring_resumed[index] = !cache->ring_seen_fresh[index];
}

bool vhost_cache_config_writeback(const struct vhost_cache *cache)
{
    if (cache->write_through || !cache->driver_write_back)
        return false;
    if (cache->driver_wrote)
        return true;
    for (uint32_t i = 0; i < BLK_QUEUE_COUNT_MAX; i++)
        if (cache->ring_resumed[i])
            return false;
    return true;
}

bool vhost_cache_write_back(const struct vhost_cache *cache)
{
    return cache->flush_acked && vhost_cache_config_writeback(cache);
}
