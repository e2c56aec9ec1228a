/* SPDX-License-Identifier: AGPL-3.0-only */
/* Powers of two and rounding to them. */
#ifndef UBIBLK_BASE_ALIGN_H
#define UBIBLK_BASE_ALIGN_H

#include <stdbool.h>
#include <stdint.h>

static inline bool is_power_of_two(uint64_t value)
{
    return value != 0 && (value & (value - 1)) == 0;
}

/* alignment is a power of two; value + alignment - 1 must not overflow. */
static inline uint64_t align_up(uint64_t value, uint64_t alignment)
{
    return (value + alignment - 1) & ~(alignment - 1);
}

static inline bool is_aligned(uint64_t value, uint64_t alignment)
{
    return (value & (alignment - 1)) == 0;
}

#endif
