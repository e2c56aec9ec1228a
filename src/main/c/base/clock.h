/* SPDX-License-Identifier: AGPL-3.0-only */
/* The monotonic clock in nanoseconds; no system call where the kernel maps its clock. */
#ifndef UBIBLK_BASE_CLOCK_H
#define UBIBLK_BASE_CLOCK_H

#include <stdint.h>
#include <time.h>

static inline uint64_t clock_now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

#endif
