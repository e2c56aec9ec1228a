/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * One writer, so every update is a relaxed load and a relaxed store: no locked instruction on the
 * request path. Readers need no more than untorn words; only a queue_activity pair has an order of
 * its own (see the header).
 */
#include "queue_stats.h"

#include <stdlib.h>
#include <string.h>

uint64_t queue_stats_bytes(uint32_t slot_count)
{
    return sizeof(struct queue_stats) + (uint64_t)slot_count * sizeof(struct queue_activity);
}

struct queue_stats *queue_stats_create(uint32_t slot_count)
{
    size_t bytes =
        (queue_stats_bytes(slot_count) + CACHELINE_BYTES - 1) & ~(size_t)(CACHELINE_BYTES - 1);
    struct queue_stats *stats = aligned_alloc(CACHELINE_BYTES, bytes);
    if (stats)
        memset(stats, 0, bytes);
    return stats;
}

void queue_stats_destroy(struct queue_stats *stats)
{
    free(stats);
}

static inline void counter_add(_Atomic uint64_t *counter, uint64_t amount)
{
    uint64_t value = atomic_load_explicit(counter, memory_order_relaxed);
    atomic_store_explicit(counter, value + amount, memory_order_relaxed);
}

uint32_t latency_bucket(uint64_t latency_ns)
{
    if (latency_ns < 1u << LATENCY_SUB_BITS)
        return (uint32_t)latency_ns;
    uint32_t exponent = 63 - (uint32_t)__builtin_clzll(latency_ns);
    if (exponent > LATENCY_EXPONENT_MAX)
        return LATENCY_BUCKETS - 1;
    uint32_t sub =
        (uint32_t)(latency_ns >> (exponent - LATENCY_SUB_BITS)) & ((1u << LATENCY_SUB_BITS) - 1);
    return ((exponent - LATENCY_SUB_BITS + 1) << LATENCY_SUB_BITS) + sub;
}

void queue_stats_started(struct queue_stats *stats, uint32_t slot, enum queue_op op,
                         uint64_t sector, uint32_t sector_count)
{
    struct queue_activity *activity = &stats->activity[slot];
    uint64_t kind_sectors = ((uint64_t)op + 1) << 32 | sector_count;
    atomic_store_explicit(&activity->sector, sector, memory_order_relaxed);
    /* Release: a reader that sees the kind (acquire, QueueStatsView) sees the sector. */
    atomic_store_explicit(&activity->kind_sectors, kind_sectors, memory_order_release);
}

void queue_stats_finished(struct queue_stats *stats, uint32_t slot, enum queue_op op,
                          uint64_t bytes, int result, uint64_t latency_ns)
{
    struct queue_op_stats *totals = &stats->op[op];
    counter_add(&totals->ops, 1);
    if (result == 0)
        counter_add(&totals->bytes, bytes);
    else
        counter_add(&totals->errors, 1);
    counter_add(&totals->latency_sum_ns, latency_ns);
    if (latency_ns > atomic_load_explicit(&totals->latency_max_ns, memory_order_relaxed))
        atomic_store_explicit(&totals->latency_max_ns, latency_ns, memory_order_relaxed);
    counter_add(&totals->latency[latency_bucket(latency_ns)], 1);
    queue_stats_withdrawn(stats, slot);
}

void queue_stats_withdrawn(struct queue_stats *stats, uint32_t slot)
{
    /* Release: the slot's next sector must not appear under this kind. */
    atomic_store_explicit(&stats->activity[slot].kind_sectors, 0, memory_order_release);
}
