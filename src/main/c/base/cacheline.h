/* SPDX-License-Identifier: AGPL-3.0-only */
/* Keeps what one thread writes off the cache lines that another thread reads. */
#ifndef UBIBLK_BASE_CACHELINE_H
#define UBIBLK_BASE_CACHELINE_H

enum { CACHELINE_BYTES = 64 };

#define CACHELINE_ALIGNED __attribute__((aligned(CACHELINE_BYTES)))

#endif
