/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Memory for key material: locked into RAM, between two guard pages, absent from core dumps and
 * from children, zeroed before it is given back.
 *
 * mem/ hands out memory with special properties. It knows nothing of disks.
 */
#ifndef UBIBLK_MEM_SECRET_H
#define UBIBLK_MEM_SECRET_H

#include <stddef.h>

struct log;

enum { SECRET_ALIGN_BYTES = 64 };

/*
 * Returns owned, zeroed memory aligned to SECRET_ALIGN_BYTES, or NULL when out of memory. byte_len
 * is at least 1. Where the limit of locked memory is too low the memory is not locked, and log
 * (borrowed, may be NULL) gets one warning. Each call maps pages of its own: for few, long-lived
 * objects. Any thread.
 */
void *secret_alloc(size_t byte_len, struct log *log);

/* Zeroes and unmaps what secret_alloc returned. NULL is fine. Any thread. */
void secret_free(void *secret);

/*
 * Overwrites the vector registers (on x86-64 all that the CPU has, in their full width; elsewhere
 * none) and the 4 KiB of stack that functions called just before have used, so that what they left
 * there of a key does not stay. Call it last in a function that handled keys in local variables or
 * called something that does.
 */
void secret_clear_traces(void);

#endif
