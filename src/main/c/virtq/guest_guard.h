/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * What saves the process when a front end shrinks the file behind the memory that it shared:
 * touching such a page raises SIGBUS. The guard knows which addresses are guest memory; a handler
 * of SIGBUS asks it to put an empty page of ours in the place of the lost one, whoever touched it
 * goes on with zeros, and the mapping is marked, so that no request on it succeeds any more.
 *
 * The handler itself belongs to the process (jni/, test programs): this code has no global state.
 */
#ifndef UBIBLK_VIRTQ_GUEST_GUARD_H
#define UBIBLK_VIRTQ_GUEST_GUARD_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct guest_guard;

/* Returns owned, or NULL when out of memory. May be kept for the life of the process. */
struct guest_guard *guest_guard_create(void);

/* No mapping may be in it, and no handler may use it any more. NULL is fine. */
void guest_guard_destroy(struct guest_guard *guard);

/*
 * Guards [map, map + map_bytes), made of pages of page_bytes; lost (kept until remove) becomes true
 * when a page had to be replaced. Returns false when there is no room for another mapping, which is
 * then unguarded. Any thread.
 */
bool guest_guard_add(struct guest_guard *guard, void *map, size_t map_bytes, size_t page_bytes,
                     atomic_bool *lost);

/* Before the mapping goes. One that is not there is fine. Any thread. */
void guest_guard_remove(struct guest_guard *guard, const void *map);

/*
 * For a SIGBUS handler, on the thread that touched address: replaces the page. Returns false when
 * the address is not guarded or no page could be had; the signal is then not the guard's. Safe in a
 * signal handler, keeps errno.
 */
bool guest_guard_repair(struct guest_guard *guard, const void *address);

#endif
