/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * What one queue did and is doing: counters, latency histograms and the requests in progress.
 *
 * One block of memory per queue, owned by the device. The queue thread is the only writer; Java
 * maps the block as a direct buffer and reads it in place, at any time, without asking: every word
 * is a 64-bit atomic, so no reader sees a torn number. Java's offsets come from QueueStatsLayout,
 * which is checked against this header when the library is loaded.
 *
 * A latency of v ns falls into bucket v when v < 16; else, with e = floor(log2 v), into bucket (e -
 * 3) * 16 + the four bits below the leading one. A bucket is at most 1/16 of its value wide;
 * everything from 2^41 ns on is in the last.
 */
#ifndef UBIBLK_BLK_QUEUE_STATS_H
#define UBIBLK_BLK_QUEUE_STATS_H

#include <stdatomic.h>
#include <stdint.h>

#include "base/cacheline.h"

enum queue_op { QUEUE_OP_READ, QUEUE_OP_WRITE, QUEUE_OP_FLUSH, QUEUE_OP_OTHER, QUEUE_OP_COUNT };

enum {
    LATENCY_SUB_BITS = 4,
    LATENCY_EXPONENT_MAX = 40,
    LATENCY_BUCKETS = (LATENCY_EXPONENT_MAX - LATENCY_SUB_BITS + 2) << LATENCY_SUB_BITS,
};

struct queue_op_stats {
    _Atomic uint64_t ops;            /* completed, with or without success */
    _Atomic uint64_t bytes;          /* transferred by those that succeeded */
    _Atomic uint64_t errors;         /* completed with IOERR or UNSUPP */
    _Atomic uint64_t latency_sum_ns; /* from pop to completion */
    _Atomic uint64_t latency_max_ns;
    _Atomic uint64_t latency[LATENCY_BUCKETS];
};

/*
 * A request in progress, per slot. kind_sectors is 0 when the slot is free, else (enum queue_op +
 * 1) << 32 | sectors. The writer stores 0, sector, kind_sectors; a reader that finds the same
 * kind_sectors before and after has a whole pair.
 */
struct queue_activity {
    _Atomic uint64_t kind_sectors;
    _Atomic uint64_t sector;
};

struct queue_stats {
    struct queue_op_stats op[QUEUE_OP_COUNT];
    CACHELINE_ALIGNED struct queue_activity activity[];
};

/* Returns owned, zeroed; slot_count activity entries. NULL when out of memory. */
struct queue_stats *queue_stats_create(uint32_t slot_count);
void queue_stats_destroy(struct queue_stats *stats);
/* Bytes of the whole block. */
uint64_t queue_stats_bytes(uint32_t slot_count);

/* The queue thread notes that a request entered and left a slot. result is 0 or a negative errno.
 */
void queue_stats_started(struct queue_stats *stats, uint32_t slot, enum queue_op op,
                         uint64_t sector, uint32_t sector_count);
void queue_stats_finished(struct queue_stats *stats, uint32_t slot, enum queue_op op,
                          uint64_t bytes, int result, uint64_t latency_ns);

/* It left its slot without having been carried out; it counts nowhere. */
void queue_stats_withdrawn(struct queue_stats *stats, uint32_t slot);

/* Bucket of a latency, for the writer and the tests. */
uint32_t latency_bucket(uint64_t latency_ns);

#endif
