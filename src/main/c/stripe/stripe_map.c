/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * No lock: a stripe is one byte, and whatever changes it is one read-modify-write of that byte, so
 * a reader sees a state from before a change or from after it and none between.
 *
 * A queue is woken only while it waits. The queue stores `waiting` and then reads flags; a
 * publisher changes flags and then reads `waiting`; both in sequentially consistent order, so
 * either the queue finds the flags changed or the publisher finds the queue waiting. The same
 * holds for a queue that finds the ring full: it takes its ASKED flag back before it says so, and
 * whoever relied on that flag is waiting and hence woken when there is room.
 */
#include "stripe/stripe_map.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/event.h"

struct stripe_waker {
    CACHELINE_ALIGNED _Atomic bool waiting;
    _Atomic bool woken;
    int fd;
};

enum { ASKED_MASK = STRIPE_READ_ASKED | STRIPE_WRITE_ASKED };
enum { KNOWN_MASK = STRIPE_DURABLE_MASK | STRIPE_READABLE | ASKED_MASK };

_Static_assert(sizeof(_Atomic uint8_t) == 1, "Java reads the flags as bytes");

/* The shift has been checked. */
static uint64_t count_stripes(const struct stripe_map_params *params)
{
    uint64_t rest = params->sector_count & ((UINT64_C(1) << params->sector_count_shift) - 1);
    return (params->sector_count >> params->sector_count_shift) + (rest != 0);
}

static int params_check(const struct stripe_map_params *params, struct error *error)
{
    uint32_t shift = params->sector_count_shift;
    if (shift < STRIPE_SHIFT_MIN || shift > STRIPE_SHIFT_MAX) {
        return error_set(error, -EINVAL, "sector_count_shift %" PRIu32 ": must be %d to %d", shift,
                         STRIPE_SHIFT_MIN, STRIPE_SHIFT_MAX);
    }
    if (params->queue_count < 1 || params->queue_count > STRIPE_QUEUE_COUNT_MAX) {
        return error_set(error, -EINVAL, "%" PRIu32 " queues: must be 1 to %d", params->queue_count,
                         STRIPE_QUEUE_COUNT_MAX);
    }
    uint64_t stripe_count = count_stripes(params);
    if (stripe_count < 1 || stripe_count > STRIPE_COUNT_MAX) {
        return error_set(error, -EINVAL,
                         "%" PRIu64 " sectors make %" PRIu64 " stripes: must be 1 to %d",
                         params->sector_count, stripe_count, STRIPE_COUNT_MAX);
    }
    for (uint64_t i = 0; i < stripe_count; i++) {
        if ((params->flags[i] & ~STRIPE_DURABLE_MASK) != 0) {
            return error_set(error, -EINVAL,
                             "stripe %" PRIu64 " has flags 0x%02x: must be within 0x%02x", i,
                             params->flags[i], STRIPE_DURABLE_MASK);
        }
    }
    return 0;
}

static void flags_init(struct stripe_map *map, const uint8_t *flags)
{
    uint32_t closed_count = 0;
    for (uint32_t i = 0; i < map->stripe_count; i++) {
        atomic_init(&map->flags[i], flags[i]);
        closed_count += !stripe_write_goes(map, flags[i]);
    }
    atomic_init(&map->closed_count, closed_count);
    atomic_init(&map->open, closed_count == 0);
}

static int wakers_init(struct stripe_map *map, struct error *error)
{
    size_t bytes = map->queue_count * sizeof(map->wakers[0]);
    map->wakers = aligned_alloc(CACHELINE_BYTES, bytes);
    if (!map->wakers) {
        return error_set_errno(error, -ENOMEM, "cannot allocate the wakers of %" PRIu32 " queues",
                               map->queue_count);
    }
    memset(map->wakers, 0, bytes);
    for (uint32_t i = 0; i < map->queue_count; i++)
        map->wakers[i].fd = -1;
    for (uint32_t i = 0; i < map->queue_count; i++) {
        map->wakers[i].fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        if (map->wakers[i].fd < 0) {
            return error_set_errno(error, -errno,
                                   "cannot make the eventfd that wakes queue %" PRIu32, i);
        }
    }
    return 0;
}

static int map_init(struct stripe_map *map, const uint8_t *flags, struct error *error)
{
    assert(map->stripe_count >= 1); /* params_check saw to it */
    map->flags = calloc(map->stripe_count, sizeof(map->flags[0]));
    map->misses = miss_ring_create(STRIPE_MISSES_MAX);
    if (!map->flags || !map->misses) {
        return error_set_errno(error, -ENOMEM, "cannot allocate the flags of %" PRIu32 " stripes",
                               map->stripe_count);
    }
    flags_init(map, flags);
    return wakers_init(map, error);
}

int stripe_map_create(const struct stripe_map_params *params, struct stripe_map **out,
                      struct error *error)
{
    int result = params_check(params, error);
    if (result < 0)
        return result;
    struct stripe_map *map = aligned_alloc(CACHELINE_BYTES, sizeof(*map));
    if (!map)
        return error_set_errno(error, -ENOMEM, "cannot allocate a stripe map");
    memset(map, 0, sizeof(*map));
    map->sector_count = params->sector_count;
    map->sector_count_shift = params->sector_count_shift;
    map->stripe_count = (uint32_t)count_stripes(params);
    map->queue_count = params->queue_count;
    map->track_written = params->track_written;
    map->read_through = params->read_through;
    result = map_init(map, params->flags, error);
    if (result < 0) {
        stripe_map_destroy(map);
        return result;
    }
    *out = map;
    return 0;
}

void stripe_map_destroy(struct stripe_map *map)
{
    if (!map)
        return;
    for (uint32_t i = 0; map->wakers && i < map->queue_count; i++) {
        if (map->wakers[i].fd >= 0)
            close(map->wakers[i].fd);
    }
    free(map->wakers);
    miss_ring_destroy(map->misses);
    free((void *)map->flags);
    free(map);
}

static void stripe_opened(struct stripe_map *map)
{
    /* Release and acquire: the last one has seen what all the others published. */
    if (atomic_fetch_sub_explicit(&map->closed_count, 1, memory_order_acq_rel) == 1) {
        /* Release: pairs with stripe_map_open. */
        atomic_store_explicit(&map->open, true, memory_order_release);
    }
}

void stripe_map_publish(struct stripe_map *map, uint32_t stripe, uint8_t set, uint8_t clear)
{
    assert(stripe < map->stripe_count);
    assert((set & ~KNOWN_MASK) == 0);
    assert((clear & ~KNOWN_MASK) == 0);
    assert((clear & STRIPE_DURABLE_MASK) == 0);
    assert((set & clear) == 0);
    uint8_t before = atomic_load_explicit(&map->flags[stripe], memory_order_relaxed);
    uint8_t after;
    do {
        assert((set & ~before & STRIPE_HAS_SOURCE) == 0);
        after = (uint8_t)((before & ~clear) | set);
        /* Release, for stripe_map_flags; and before `waiting` is read by stripe_map_wake. */
    } while (!atomic_compare_exchange_weak(&map->flags[stripe], &before, after));
    if (!stripe_write_goes(map, before) && stripe_write_goes(map, after))
        stripe_opened(map);
}

static void waker_signal(struct stripe_waker *waker)
{
    /* After the flags were published; pairs with stripe_map_was_woken. */
    atomic_store(&waker->woken, true);
    event_signal(waker->fd);
}

void stripe_map_wake(struct stripe_map *map)
{
    for (uint32_t i = 0; i < map->queue_count; i++) {
        /* After the flags were published; pairs with stripe_map_set_waiting. */
        if (atomic_load(&map->wakers[i].waiting))
            waker_signal(&map->wakers[i]);
    }
}

void stripe_map_wake_all(struct stripe_map *map)
{
    for (uint32_t i = 0; i < map->queue_count; i++)
        waker_signal(&map->wakers[i]);
}

/* Whether there is nothing to tell: the request need not wait, or it was told before. */
static bool is_told(const struct stripe_map *map, uint8_t flags, enum miss_kind kind)
{
    if (kind == MISS_WRITE)
        return stripe_write_goes(map, flags) || (flags & STRIPE_WRITE_ASKED) != 0;
    return stripe_read_goes(map, flags) || (flags & ASKED_MASK) != 0;
}

bool stripe_map_ask(struct stripe_map *map, uint32_t stripe, enum miss_kind kind)
{
    assert(stripe < map->stripe_count);
    uint8_t asked = kind == MISS_WRITE ? STRIPE_WRITE_ASKED : STRIPE_READ_ASKED;
    do {
        uint8_t flags = stripe_map_flags(map, stripe);
        do {
            if (is_told(map, flags, kind))
                return true;
        } while (!atomic_compare_exchange_weak(&map->flags[stripe], &flags, flags | asked));
        if (miss_ring_offer(map->misses, (struct miss){.kind = kind, .stripe = stripe}))
            return true;
        /* Another queue may have seen the flag and rely on us: it must be gone before we say that
         * the ring is full, so that the queue finds it gone when it is woken for that. */
        atomic_fetch_and(&map->flags[stripe], (uint8_t)~asked);
    } while (!miss_ring_still_full(map->misses));
    return false;
}

int stripe_map_await_misses(struct stripe_map *map, struct miss *misses, uint32_t max)
{
    bool was_full = false;
    int count = miss_ring_await(map->misses, misses, max, &was_full);
    if (was_full)
        stripe_map_wake(map);
    return count;
}

int stripe_map_wake_fd(const struct stripe_map *map, uint32_t queue)
{
    assert(queue < map->queue_count);
    return map->wakers[queue].fd;
}

void stripe_map_set_waiting(struct stripe_map *map, uint32_t queue, bool waiting)
{
    assert(queue < map->queue_count);
    atomic_store(&map->wakers[queue].waiting, waiting); /* pairs with stripe_map_wake */
}

bool stripe_map_was_woken(struct stripe_map *map, uint32_t queue)
{
    assert(queue < map->queue_count);
    _Atomic bool *woken = &map->wakers[queue].woken;
    /* Then the flags; pairs with waker_signal, which sets it again for what is published later. */
    return atomic_load_explicit(woken, memory_order_relaxed) && atomic_exchange(woken, false);
}
