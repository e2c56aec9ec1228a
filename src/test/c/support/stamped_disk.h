/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * What a test knows of a disk's content: every sector carries a stamp of its number, the generation
 * of the write that put it there, and a pattern made of both.
 *
 * A sector that was moved, torn, lost, left stale or overwritten by a neighbour does not match. The
 * disk also says which sectors a new request may touch, so that every outcome is certain: one
 * writer or any readers at a time. After a write whose end was not seen, a sector holds the old or
 * the new generation; the first read that sees it settles which, and it must stay that way.
 *
 * Belongs to one thread.
 */
#ifndef UBIBLK_SUPPORT_STAMPED_DISK_H
#define UBIBLK_SUPPORT_STAMPED_DISK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { STAMP_BYTES = 512, STAMP_TEXT_BYTES = 200 };

struct stamped_disk {
    uint64_t sector_count;
    uint32_t *generation; /* 0: never written here */
    uint32_t *maybe;      /* 0, or the generation of a write whose end was not seen */
    uint16_t *readers;
    bool *written; /* a write is in flight */
    uint32_t next_generation;
    const uint8_t *origin; /* borrowed: what a sector holds until it is written; NULL: anything */
    char mismatch[STAMP_TEXT_BYTES];
};

/* 0 or -ENOMEM. */
int stamped_disk_init(struct stamped_disk *disk, uint64_t sector_count);
void stamped_disk_deinit(struct stamped_disk *disk);

void stamp_fill(void *sector_bytes, uint64_t sector, uint32_t generation);
bool stamp_matches(const void *sector_bytes, uint64_t sector, uint32_t generation);

/* Claims sectors for a write and returns its generation, or 0 when they are in use or unsettled. */
uint32_t stamped_disk_begin_write(struct stamped_disk *disk, uint64_t sector, uint32_t count);

/* The write completed: the sectors hold the generation. */
void stamped_disk_end_write(struct stamped_disk *disk, uint64_t sector, uint32_t count,
                            uint32_t generation);

/* The write may or may not have happened, each sector by itself. */
void stamped_disk_lose_write(struct stamped_disk *disk, uint64_t sector, uint32_t count,
                             uint32_t generation);

/* Claims sectors for a read; false when a write to them is in flight. */
bool stamped_disk_begin_read(struct stamped_disk *disk, uint64_t sector, uint32_t count);
void stamped_disk_end_read(struct stamped_disk *disk, uint64_t sector, uint32_t count);

/* Compares what a read returned; false leaves a sentence in mismatch. Settles unsettled sectors. */
bool stamped_disk_check(struct stamped_disk *disk, const void *bytes, uint64_t sector,
                        uint32_t count);

#endif
