/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Memory in random pieces, as a guest's is: segments of any size and alignment, empty ones
 * included, in one arena, with gaps between them that nobody may touch.
 */
#ifndef UBIBLK_SUPPORT_SCATTER_H
#define UBIBLK_SUPPORT_SCATTER_H

#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "base/sector.h"
#include "support/test_scale.h"

enum {
    SCATTER_SECTORS_MAX = 300,
    SCATTER_SEGMENTS_MAX = 4096,
    SCATTER_GAP_BYTES_MAX = 24,
    SCATTER_ARENA_BYTES =
        (SCATTER_SECTORS_MAX + 16) * SECTOR_BYTES + SCATTER_SEGMENTS_MAX * SCATTER_GAP_BYTES_MAX,
};

struct scatter {
    uint8_t arena[SCATTER_ARENA_BYTES];
    struct iovec iov[SCATTER_SEGMENTS_MAX];
    size_t iov_count;
    size_t byte_offset; /* from the list's beginning, where the sectors begin */
    size_t span_bytes;  /* of the arena, from its beginning, in which segments and gaps lie */
};

/* Makes a list that holds sector_count sectors (at most SCATTER_SECTORS_MAX) from byte_offset on.
 * The arena's bytes stay as they are. */
void scatter_make(struct scatter *scatter, struct test_random *random, size_t sector_count);

/* Puts bytes where the sectors lie, in the arena or in another one that is laid out alike. */
void scatter_put(const struct scatter *scatter, uint8_t *arena, const uint8_t *bytes);

#endif
