/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * What is known of every stripe of one disk, one atomic byte each.
 *
 * stripe/ decides whether a request may touch its stripes yet, and tells the control plane which
 * ones it waits for. It does no I/O and knows no guests.
 *
 * The three low bits are the flags of the metadata file (docs/metadata.md) and are set here only
 * once they are durable there. The others live in memory alone:
 *
 *   flags                              reads                         writes
 *   HAS_SOURCE                         wait, or go to the image      wait
 *   HAS_SOURCE, READABLE               go                            wait
 *   HAS_SOURCE, FETCHED                go                            go; with track_written only
 *   none of HAS_SOURCE                 go                            once WRITTEN is set
 *
 * Queue threads read and ask; the control plane (any thread) publishes. Whoever sees READABLE or
 * FETCHED sees what was done before it was published.
 */
#ifndef UBIBLK_STRIPE_STRIPE_MAP_H
#define UBIBLK_STRIPE_STRIPE_MAP_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/cacheline.h"
#include "base/error.h"
#include "stripe/miss_ring.h"

enum stripe_flag {
    STRIPE_FETCHED = 0x01,    /* durable: the content is on the base disk */
    STRIPE_WRITTEN = 0x02,    /* durable: the guest may have written to it */
    STRIPE_HAS_SOURCE = 0x04, /* the source has content for it */
    STRIPE_DURABLE_MASK = 0x07,
    STRIPE_READABLE = 0x08,    /* the content is on the base disk, FETCHED is not durable yet */
    STRIPE_READ_ASKED = 0x10,  /* a read miss is in the ring, or with the control plane */
    STRIPE_WRITE_ASKED = 0x20, /* the same for a write miss */
};

/* A stripe's index is 31 bits, so that Java can index a buffer with it. */
#define STRIPE_COUNT_MAX INT32_MAX

enum {
    STRIPE_SHIFT_MIN = 6,
    STRIPE_SHIFT_MAX = 17,
    STRIPE_QUEUE_COUNT_MAX = 63,
    STRIPE_MISSES_MAX = 1024, /* told to the control plane and not yet taken by it */
};

/* Borrowed by stripe_map_create. */
struct stripe_map_params {
    uint64_t sector_count;       /* of the disk */
    uint32_t sector_count_shift; /* a stripe has 2^shift sectors; MIN to MAX */
    uint32_t queue_count;        /* 1 to STRIPE_QUEUE_COUNT_MAX */
    bool track_written;          /* writes wait until WRITTEN is durable */
    bool read_through;           /* reads do not wait: they go to the image */
    const uint8_t *flags;        /* of every stripe, bits of STRIPE_DURABLE_MASK only */
};

struct stripe_waker;

struct stripe_map {
    uint64_t sector_count;
    uint32_t sector_count_shift;
    uint32_t stripe_count;
    uint32_t queue_count;
    bool track_written;
    bool read_through;
    /* Every request may go, now and for ever: nothing else has to be looked at. */
    _Atomic bool open;
    _Atomic uint8_t *flags; /* stripe_count of them; Java reads them in place */
    struct miss_ring *misses;
    struct stripe_waker *wakers; /* one per queue */
    /* Stripes that a write would wait for. Publishers write it; requests read what is above. */
    CACHELINE_ALIGNED _Atomic uint32_t closed_count;
};

/* Returns 0 with *out owned, or -errno with a sentence: -EINVAL for parameters out of range,
 * -ENOMEM, what eventfd said. */
int stripe_map_create(const struct stripe_map_params *params, struct stripe_map **out,
                      struct error *error);

/* No gate uses it any more and nobody waits for misses. NULL is fine. */
void stripe_map_destroy(struct stripe_map *map);

/* Pairs with stripe_map_publish. Sequentially consistent, so that it also stays behind
 * stripe_map_set_waiting; the instruction is that of an acquire load. */
static inline uint8_t stripe_map_flags(const struct stripe_map *map, uint32_t stripe)
{
    return atomic_load_explicit(&map->flags[stripe], memory_order_seq_cst);
}

/* Acquire: pairs with the publisher of the last stripe that was closed. */
static inline bool stripe_map_open(const struct stripe_map *map)
{
    return atomic_load_explicit(&map->open, memory_order_acquire);
}

static inline uint32_t stripe_map_stripe_of(const struct stripe_map *map, uint64_t sector)
{
    return (uint32_t)(sector >> map->sector_count_shift);
}

/* Whether the base disk has what a read of the stripe must return. */
static inline bool stripe_on_base(uint8_t flags)
{
    return (flags & STRIPE_HAS_SOURCE) == 0 || (flags & (STRIPE_FETCHED | STRIPE_READABLE)) != 0;
}

static inline bool stripe_read_goes(const struct stripe_map *map, uint8_t flags)
{
    return map->read_through || stripe_on_base(flags);
}

static inline bool stripe_write_goes(const struct stripe_map *map, uint8_t flags)
{
    bool fetched = (flags & STRIPE_HAS_SOURCE) == 0 || (flags & STRIPE_FETCHED) != 0;
    return fetched && (!map->track_written || (flags & STRIPE_WRITTEN) != 0);
}

/*
 * Sets and clears flags of one stripe in one step, and opens the map when it was the last closed
 * one. READ_ASKED and WRITE_ASKED are cleared by whoever publishes what was asked for. Flags of
 * STRIPE_DURABLE_MASK are never cleared, and HAS_SOURCE stays as it was created (asserted). Any
 * thread; stripe_map_wake follows.
 */
void stripe_map_publish(struct stripe_map *map, uint32_t stripe, uint8_t set, uint8_t clear);

/* Lets the gates that hold requests look at what was published. Any thread. */
void stripe_map_wake(struct stripe_map *map);

/* The same for every queue thread, whether or not its gate holds a request. */
void stripe_map_wake_all(struct stripe_map *map);

/*
 * Tells the control plane that a request waits for the stripe, unless it need not wait or that was
 * told before; a write miss implies a read miss. False when the ring was full: then the stripe is
 * as if nobody had asked, and the queues that have said stripe_map_set_waiting are woken once there
 * is room. Queue threads, each after stripe_map_set_waiting.
 */
bool stripe_map_ask(struct stripe_map *map, uint32_t stripe, enum miss_kind kind);

/*
 * Waits for misses, on behalf of the control plane: as miss_ring_await, and wakes the queues when
 * one found the ring full. miss_ring_close(map->misses) ends it. One thread.
 */
int stripe_map_await_misses(struct stripe_map *map, struct miss *misses, uint32_t max);

/* The non-blocking eventfd that wakes the thread of a queue, which drains it when it fires, and
 * then looks. Lives as long as the map. */
int stripe_map_wake_fd(const struct stripe_map *map, uint32_t queue);

/* --- for the gate of a queue; queue thread ---------------------------------------------------- */

/* Publishers wake this queue while it has waiters. Sequentially consistent: link the request, call
 * this, ask, look at the flags again, then sleep. */
void stripe_map_set_waiting(struct stripe_map *map, uint32_t queue, bool waiting);

/* Whether the queue was woken since the last call; when not, it costs one load. */
bool stripe_map_was_woken(struct stripe_map *map, uint32_t queue);

#endif
