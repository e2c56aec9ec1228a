/* SPDX-License-Identifier: AGPL-3.0-only */
/* Sums and ranges over numbers that a guest, a peer or a file supplied. */
#ifndef UBIBLK_BASE_CHECKED_H
#define UBIBLK_BASE_CHECKED_H

#include <stdbool.h>
#include <stdint.h>

/* Whether [start, start + count) lies within [0, limit), without overflow. An empty range at limit
 * does. */
static inline bool range_within(uint64_t start, uint64_t count, uint64_t limit)
{
    return start <= limit && count <= limit - start;
}

#endif
