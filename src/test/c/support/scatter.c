/* SPDX-License-Identifier: AGPL-3.0-only */
#include "support/scatter.h"

#include <assert.h>
#include <string.h>

enum { OFFSET_BYTES_MAX = 3000 };

static size_t segment_size(struct test_random *random)
{
    switch (test_random_below(random, 6)) {
    case 0:
        return test_random_below(random, 3);
    case 1:
        return 1 + test_random_below(random, 700);
    case 2:
        return SECTOR_BYTES * (1 + test_random_below(random, 8));
    case 3:
        return 4096;
    default:
        return 1 + test_random_below(random, 20000);
    }
}

void scatter_make(struct scatter *scatter, struct test_random *random, size_t sector_count)
{
    scatter->byte_offset = test_random_below(random, OFFSET_BYTES_MAX);
    size_t wanted = scatter->byte_offset + sectors_to_bytes(sector_count);
    size_t at = 0;
    scatter->iov_count = 0;
    while (wanted > 0) {
        size_t size = segment_size(random);
        if (size > wanted || scatter->iov_count == SCATTER_SEGMENTS_MAX - 1)
            size = wanted;
        at += test_random_below(random, SCATTER_GAP_BYTES_MAX);
        scatter->iov[scatter->iov_count++] = (struct iovec){scatter->arena + at, size};
        at += size;
        wanted -= size;
    }
    scatter->span_bytes = at + SCATTER_GAP_BYTES_MAX;
    assert(scatter->span_bytes <= SCATTER_ARENA_BYTES);
}

void scatter_put(const struct scatter *scatter, uint8_t *arena, const uint8_t *bytes)
{
    size_t skip = scatter->byte_offset;
    for (size_t i = 0; i < scatter->iov_count; i++) {
        size_t size = scatter->iov[i].iov_len;
        size_t hidden = skip < size ? skip : size;
        size_t start = (size_t)((uint8_t *)scatter->iov[i].iov_base - scatter->arena) + hidden;
        memcpy(arena + start, bytes, size - hidden);
        bytes += size - hidden;
        skip -= hidden;
    }
}
