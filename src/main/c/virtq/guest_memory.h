/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * The memory that a front end shares with us, and the only translation from its addresses to ours.
 *
 * A struct guest_memory is one immutable table of regions. A change of the table makes a new one
 * that shares the regions that stay; a region is unmapped with the last table that holds it, a
 * table goes with its last reference. So whoever translated an address keeps a reference on the
 * table for as long as the pointer is used.
 *
 * Two kinds of address: gpa, guest physical, in descriptors; uaddr, the front end's own virtual
 * address, in SET_VRING_ADDR (vhost-user, "Memory region description").
 *
 * A front end can shrink an unsealed memory file under the mapping; guest_guard.h says what happens
 * to whoever touches the lost pages. No request on such memory may succeed.
 */
#ifndef UBIBLK_VIRTQ_GUEST_MEMORY_H
#define UBIBLK_VIRTQ_GUEST_MEMORY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "virtq/guest_guard.h"

/* What GET_MAX_MEM_SLOTS answers. */
enum { GUEST_MEMORY_REGIONS_MAX = 509 };

/* As on the wire: a region as the front end describes it. */
struct guest_region_params {
    uint64_t gpa;
    uint64_t byte_len;
    uint64_t uaddr;
    uint64_t mmap_offset;
};

struct guest_memory;

/* Returns owned: a table without regions, one reference. NULL when out of memory. The regions that
 * are added to it and its successors are guarded by guard, which is kept (NULL: by nothing). */
struct guest_memory *guest_memory_create(struct guest_guard *guard);

/*
 * Returns owned in *out a table with all regions of memory and one more, mapped from fd (borrowed).
 * Refused with a sentence: no room, empty region, an address range that wraps or overlaps, a range
 * beyond the end of the file.
 */
int guest_memory_add(const struct guest_memory *memory, const struct guest_region_params *params,
                     int fd, struct guest_memory **out, struct error *error);

/* Returns owned in *out a table without the region that has this gpa, uaddr and byte_len. -ENOENT
 * if there is none. */
int guest_memory_remove(const struct guest_memory *memory, const struct guest_region_params *params,
                        struct guest_memory **out, struct error *error);

/* One more reference; any thread. Returns memory. */
struct guest_memory *guest_memory_ref(struct guest_memory *memory);
/* One reference less; the last one unmaps. Any thread. NULL is fine. */
void guest_memory_unref(struct guest_memory *memory);

/*
 * Pointer to gpa, with *contiguous set to the bytes that follow it in its region (at least 1). NULL
 * if it is not mapped. Any thread that holds a reference.
 */
void *guest_memory_at_gpa(const struct guest_memory *memory, uint64_t gpa, uint64_t *contiguous);

/* Whether memory of this table was lost while it was used. Any thread. */
bool guest_memory_lost(const struct guest_memory *memory);

/* Pointer to byte_len bytes at uaddr that lie in one region, or NULL. */
void *guest_memory_at_uaddr(const struct guest_memory *memory, uint64_t uaddr, uint64_t byte_len);

#endif
