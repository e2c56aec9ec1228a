/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Every cell has a sequence number that says whose turn it is (D. Vyukov's bounded queue). For the
 * position p, counted without end:
 *
 *   sequence       the cell is
 *   p              free: a writer that moved the tail from p to p + 1 fills it
 *   p + 1          filled: the reader takes it
 *   p + capacity   free for the next time round
 *
 * Twice, two sides each store one word and then look at the other's: the reader that goes to sleep
 * and a writer that filled a cell; a writer that found the ring full and the reader that made room.
 * These stores and loads are sequentially consistent, so at least one of the two sees the other,
 * and nobody waits for what has happened already. There are no fences, which the thread sanitizer
 * could not follow.
 */
#include "stripe/miss_ring.h"

#include <assert.h>
#include <errno.h>
#include <linux/futex.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/align.h"
#include "base/cacheline.h"

struct cell {
    _Atomic uint64_t sequence;
    struct miss miss;
};

struct miss_ring {
    uint64_t capacity;
    CACHELINE_ALIGNED _Atomic uint64_t tail;   /* the next position to fill */
    CACHELINE_ALIGNED uint64_t head;           /* the next position to take; the reader's */
    CACHELINE_ALIGNED _Atomic uint32_t asleep; /* the reader sleeps, or is about to: a futex */
    _Atomic bool was_full;
    _Atomic bool closed;
    CACHELINE_ALIGNED struct cell cells[];
};

_Static_assert(sizeof(_Atomic uint32_t) == sizeof(uint32_t), "a futex is 32 bits");

struct miss_ring *miss_ring_create(uint32_t capacity)
{
    if (capacity < 2 || capacity > MISS_RING_CAPACITY_MAX || !is_power_of_two(capacity)) {
        errno = EINVAL;
        return NULL;
    }
    size_t bytes =
        align_up(sizeof(struct miss_ring) + capacity * sizeof(struct cell), CACHELINE_BYTES);
    struct miss_ring *ring = aligned_alloc(CACHELINE_BYTES, bytes);
    if (!ring)
        return NULL;
    memset(ring, 0, bytes);
    ring->capacity = capacity;
    for (uint32_t i = 0; i < capacity; i++)
        atomic_init(&ring->cells[i].sequence, i);
    return ring;
}

void miss_ring_destroy(struct miss_ring *ring)
{
    free(ring);
}

static struct cell *cell_at(struct miss_ring *ring, uint64_t position)
{
    return &ring->cells[position & (ring->capacity - 1)];
}

/* The cell of the position that is now the caller's to fill; NULL when the ring is full. */
static struct cell *claim(struct miss_ring *ring, uint64_t *position)
{
    uint64_t tail = atomic_load_explicit(&ring->tail, memory_order_relaxed);
    for (;;) {
        struct cell *cell = cell_at(ring, tail);
        /* Acquire: pairs with take, which has read the cell when it frees it. */
        uint64_t sequence = atomic_load_explicit(&cell->sequence, memory_order_acquire);
        if (sequence < tail)
            return NULL;
        if (sequence > tail) { /* another writer was faster */
            tail = atomic_load_explicit(&ring->tail, memory_order_relaxed);
        } else if (atomic_compare_exchange_weak_explicit(
                       &ring->tail, &tail, tail + 1, memory_order_relaxed, memory_order_relaxed)) {
            *position = tail;
            return cell;
        }
    }
}

static void wake_reader(struct miss_ring *ring)
{
    if (atomic_load(&ring->asleep) != 0 && atomic_exchange(&ring->asleep, 0) != 0)
        syscall(SYS_futex, &ring->asleep, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

bool miss_ring_offer(struct miss_ring *ring, struct miss miss)
{
    uint64_t position;
    struct cell *cell = claim(ring, &position);
    if (!cell)
        return false;
    cell->miss = miss;
    atomic_store(&cell->sequence, position + 1); /* then asleep; pairs with sleep_while_empty */
    wake_reader(ring);
    return true;
}

bool miss_ring_still_full(struct miss_ring *ring)
{
    atomic_store(&ring->was_full, true); /* then the cell; pairs with miss_ring_await */
    uint64_t tail = atomic_load(&ring->tail);
    return atomic_load(&cell_at(ring, tail)->sequence) < tail;
}

static bool is_filled(struct miss_ring *ring)
{
    return atomic_load(&cell_at(ring, ring->head)->sequence) == ring->head + 1;
}

static uint32_t take(struct miss_ring *ring, struct miss *misses, uint32_t max)
{
    uint32_t count = 0;
    while (count < max && is_filled(ring)) {
        struct cell *cell = cell_at(ring, ring->head);
        misses[count++] = cell->miss;
        atomic_store(&cell->sequence, ring->head + ring->capacity);
        ring->head++;
    }
    return count;
}

/* May also return without reason. A writer that has claimed the first cell and not yet filled it
 * wakes us when it has. */
static void sleep_while_empty(struct miss_ring *ring)
{
    atomic_store(&ring->asleep, 1); /* then the cell; pairs with miss_ring_offer and _close */
    if (!is_filled(ring) && !atomic_load(&ring->closed))
        syscall(SYS_futex, &ring->asleep, FUTEX_WAIT_PRIVATE, 1, NULL, NULL, 0);
    atomic_store(&ring->asleep, 0);
}

int miss_ring_await(struct miss_ring *ring, struct miss *misses, uint32_t max, bool *was_full)
{
    assert(max >= 1);
    assert(max <= MISS_RING_CAPACITY_MAX);
    while (!atomic_load(&ring->closed)) {
        uint32_t count = take(ring, misses, max);
        if (count > 0) {
            /* After the cells were freed; pairs with miss_ring_still_full. */
            *was_full = atomic_exchange(&ring->was_full, false);
            return (int)count;
        }
        sleep_while_empty(ring);
    }
    return -ESHUTDOWN;
}

void miss_ring_close(struct miss_ring *ring)
{
    atomic_store(&ring->closed, true); /* then asleep; pairs with sleep_while_empty */
    wake_reader(ring);
}
