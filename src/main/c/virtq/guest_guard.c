/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * A fixed table that the handler reads without a lock. An entry is claimed by exchanging its start
 * from FREE to CLAIMED, filled, and shown by storing the real start last. It cannot go while a
 * handler uses it: whoever touches guest memory holds a reference on its region until it is done.
 *
 * The handler passes other entries on its way, though, and those may go and be filled anew while it
 * looks at them: start and end would be of two mappings, with its own address in between. So every
 * fill is counted before its first field is stored. A handler that sees a field of a later fill
 * than the count it began with sees that count changed, too, and passes on: its own entry, which
 * cannot go, is another one.
 */
#include "guest_guard.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>

enum { ENTRIES = 2048 }; /* four memory tables that are as large as can be */

enum { FREE = 0, CLAIMED = 1 };

struct entry {
    _Atomic uint32_t fills;
    _Atomic uintptr_t start;
    _Atomic uintptr_t end;
    _Atomic size_t page_bytes;
    _Atomic(atomic_bool *) lost;
};

/* What a handler read of an entry, all of one fill. */
struct mapping {
    uintptr_t start;
    uintptr_t end;
    size_t page_bytes;
    atomic_bool *lost;
};

struct guest_guard {
    struct entry entries[ENTRIES];
};

struct guest_guard *guest_guard_create(void)
{
    return calloc(1, sizeof(struct guest_guard));
}

void guest_guard_destroy(struct guest_guard *guard)
{
    free(guard);
}

/* Of an entry that the caller claimed. */
static void fill(struct entry *entry, const struct mapping *mapping)
{
    /* Release: whoever sees this count sees that the entry was claimed. */
    atomic_fetch_add_explicit(&entry->fills, 1, memory_order_acq_rel);
    /* Release: whoever sees one of these sees the count. Pair with the loads in read_entry. */
    atomic_store_explicit(&entry->end, mapping->end, memory_order_release);
    atomic_store_explicit(&entry->page_bytes, mapping->page_bytes, memory_order_release);
    atomic_store_explicit(&entry->lost, mapping->lost, memory_order_release);
    atomic_store_explicit(&entry->start, mapping->start, memory_order_release);
}

/* False: nobody's, or being filled. */
static bool read_entry(const struct entry *entry, struct mapping *mapping)
{
    uint32_t fills = atomic_load_explicit(&entry->fills, memory_order_acquire);
    /* Acquire: pair with the stores in fill, and keep the last load the last. */
    mapping->start = atomic_load_explicit(&entry->start, memory_order_acquire);
    mapping->end = atomic_load_explicit(&entry->end, memory_order_acquire);
    mapping->page_bytes = atomic_load_explicit(&entry->page_bytes, memory_order_acquire);
    mapping->lost = atomic_load_explicit(&entry->lost, memory_order_acquire);
    return mapping->start > CLAIMED &&
           atomic_load_explicit(&entry->fills, memory_order_relaxed) == fills;
}

bool guest_guard_add(struct guest_guard *guard, void *map, size_t map_bytes, size_t page_bytes,
                     atomic_bool *lost)
{
    const struct mapping mapping = {
        .start = (uintptr_t)map,
        .end = (uintptr_t)map + map_bytes,
        .page_bytes = page_bytes,
        .lost = lost,
    };
    for (uint32_t i = 0; i < ENTRIES; i++) {
        uintptr_t expected = FREE;
        if (atomic_compare_exchange_strong(&guard->entries[i].start, &expected, CLAIMED)) {
            fill(&guard->entries[i], &mapping);
            return true;
        }
    }
    return false;
}

void guest_guard_remove(struct guest_guard *guard, const void *map)
{
    for (uint32_t i = 0; i < ENTRIES; i++) {
        uintptr_t expected = (uintptr_t)map;
        if (atomic_compare_exchange_strong(&guard->entries[i].start, &expected, FREE))
            return;
    }
}

/* Pages are counted from the mapping's start, so that none reaches beyond it: a front end chooses
 * what its file calls a block, and only huge pages make the kernel align a mapping to it. */
static bool replace_page(const struct mapping *mapping, uintptr_t address)
{
    uintptr_t offset = (address - mapping->start) & ~(uintptr_t)(mapping->page_bytes - 1);
    int saved_errno = errno;
    void *replaced = mmap((void *)(mapping->start + offset), mapping->page_bytes,
                          PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    errno = saved_errno;
    if (replaced == MAP_FAILED)
        return false;
    atomic_store(mapping->lost, true);
    return true;
}

bool guest_guard_repair(struct guest_guard *guard, const void *address)
{
    uintptr_t at = (uintptr_t)address;
    for (uint32_t i = 0; i < ENTRIES; i++) {
        struct mapping mapping;
        if (read_entry(&guard->entries[i], &mapping) && at >= mapping.start && at < mapping.end)
            return replace_page(&mapping, at);
    }
    return false;
}
