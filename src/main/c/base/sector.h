/* SPDX-License-Identifier: AGPL-3.0-only */
/* The 512-byte sector of virtio-blk, ublk and XTS, and the only conversions between sectors and
 * bytes. */
#ifndef UBIBLK_BASE_SECTOR_H
#define UBIBLK_BASE_SECTOR_H

#include <assert.h>
#include <stdint.h>

enum { SECTOR_SHIFT = 9, SECTOR_BYTES = 1 << SECTOR_SHIFT };

static inline uint64_t sectors_to_bytes(uint64_t sector_count)
{
    assert(sector_count <= UINT64_MAX >> SECTOR_SHIFT);
    return sector_count << SECTOR_SHIFT;
}

static inline uint64_t bytes_to_sectors(uint64_t byte_len)
{
    assert((byte_len & (SECTOR_BYTES - 1)) == 0);
    return byte_len >> SECTOR_SHIFT;
}

#endif
