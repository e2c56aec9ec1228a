/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * A fixed table that the handler reads without a lock. An entry is claimed by exchanging its start
 * from FREE to CLAIMED, filled, and shown by storing the real start last. It cannot go while a
 * handler uses it: whoever touches guest memory holds a reference on its region until it is done.
 */
#include "guest_guard.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>

enum { ENTRIES = 2048 }; /* four memory tables that are as large as can be */

enum { FREE = 0, CLAIMED = 1 };

struct entry {
    _Atomic uintptr_t start;
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

bool guest_guard_add(struct guest_guard *guard, void *map, size_t map_bytes, size_t page_bytes,
                     atomic_bool *lost)
{
    for (uint32_t i = 0; i < ENTRIES; i++) {
        struct entry *entry = &guard->entries[i];
        uintptr_t expected = FREE;
        if (!atomic_compare_exchange_strong(&entry->start, &expected, CLAIMED))
            continue;
        entry->end = (uintptr_t)map + map_bytes;
        entry->page_bytes = page_bytes;
        entry->lost = lost;
        /* Release: pairs with the handler's acquire load. */
        atomic_store_explicit(&entry->start, (uintptr_t)map, memory_order_release);
        return true;
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
static bool replace_page(const struct entry *entry, uintptr_t start, uintptr_t address)
{
    void *page = (void *)(start + ((address - start) & ~(uintptr_t)(entry->page_bytes - 1)));
    int saved_errno = errno;
    void *replaced = mmap(page, entry->page_bytes, PROT_READ | PROT_WRITE,
                          MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    errno = saved_errno;
    if (replaced == MAP_FAILED)
        return false;
    atomic_store(entry->lost, true);
    return true;
}

bool guest_guard_repair(struct guest_guard *guard, const void *address)
{
    uintptr_t at = (uintptr_t)address;
    for (uint32_t i = 0; i < ENTRIES; i++) {
        const struct entry *entry = &guard->entries[i];
        uintptr_t start = atomic_load_explicit(&entry->start, memory_order_acquire);
        if (start > CLAIMED && at >= start && at < entry->end)
            return replace_page(entry, start, at);
    }
    return false;
}
