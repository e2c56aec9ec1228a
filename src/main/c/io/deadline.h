/* SPDX-License-Identifier: AGPL-3.0-only */
/* Timeouts that survive being interrupted: a point of CLOCK_MONOTONIC in nanoseconds. */
#ifndef UBIBLK_IO_DEADLINE_H
#define UBIBLK_IO_DEADLINE_H

#include <stdint.h>

#include "base/clock.h"

/* UINT64_MAX, and whatever lies beyond the clock: never. */
static inline uint64_t deadline_after(uint64_t timeout_ns)
{
    if (timeout_ns == UINT64_MAX) {
        return UINT64_MAX;
    }
    uint64_t now = clock_now_ns();
    return timeout_ns > UINT64_MAX - now ? UINT64_MAX : now + timeout_ns;
}

/* 0 once it has passed; UINT64_MAX for never. */
static inline uint64_t deadline_left_ns(uint64_t deadline)
{
    if (deadline == UINT64_MAX) {
        return UINT64_MAX;
    }
    uint64_t now = clock_now_ns();
    return deadline > now ? deadline - now : 0;
}

#endif
