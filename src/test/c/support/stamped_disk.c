/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Stamps and who may touch them.
 */
#include "support/stamped_disk.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { STAMP_WORDS = STAMP_BYTES / 8 };

static uint64_t seed_of(uint64_t sector, uint32_t generation)
{
    uint64_t z = sector * UINT64_C(0x9e3779b97f4a7c15) + generation;

    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    return z ^ (z >> 31);
}

int stamped_disk_init(struct stamped_disk *disk, uint64_t sector_count)
{
    *disk = (struct stamped_disk){.sector_count = sector_count, .next_generation = 1};
    disk->generation = calloc(sector_count, sizeof(*disk->generation));
    disk->maybe = calloc(sector_count, sizeof(*disk->maybe));
    disk->readers = calloc(sector_count, sizeof(*disk->readers));
    disk->written = calloc(sector_count, sizeof(*disk->written));
    if (disk->generation == NULL || disk->maybe == NULL || disk->readers == NULL ||
        disk->written == NULL) {
        stamped_disk_deinit(disk);
        return -ENOMEM;
    }
    return 0;
}

void stamped_disk_deinit(struct stamped_disk *disk)
{
    free(disk->generation);
    free(disk->maybe);
    free(disk->readers);
    free(disk->written);
    *disk = (struct stamped_disk){0};
}

void stamp_fill(void *sector_bytes, uint64_t sector, uint32_t generation)
{
    uint64_t words[STAMP_WORDS], pattern = seed_of(sector, generation);

    words[0] = sector;
    words[1] = generation;
    for (uint32_t i = 2; i < STAMP_WORDS; i++) {
        words[i] = pattern += UINT64_C(0xd1342543de82ef95);
    }
    memcpy(sector_bytes, words, sizeof(words));
}

bool stamp_matches(const void *sector_bytes, uint64_t sector, uint32_t generation)
{
    uint64_t words[STAMP_WORDS];

    stamp_fill(words, sector, generation);
    return memcmp(words, sector_bytes, sizeof(words)) == 0;
}

uint32_t stamped_disk_begin_write(struct stamped_disk *disk, uint64_t sector, uint32_t count)
{
    for (uint64_t i = sector; i < sector + count; i++) {
        if (disk->written[i] || disk->readers[i] > 0 || disk->maybe[i] != 0) {
            return 0;
        }
    }
    memset(&disk->written[sector], true, count * sizeof(bool));
    return disk->next_generation++;
}

void stamped_disk_end_write(struct stamped_disk *disk, uint64_t sector, uint32_t count,
                            uint32_t generation)
{
    for (uint64_t i = sector; i < sector + count; i++) {
        disk->generation[i] = generation;
        disk->written[i] = false;
    }
}

void stamped_disk_lose_write(struct stamped_disk *disk, uint64_t sector, uint32_t count,
                             uint32_t generation)
{
    for (uint64_t i = sector; i < sector + count; i++) {
        disk->maybe[i] = generation;
        disk->written[i] = false;
    }
}

bool stamped_disk_begin_read(struct stamped_disk *disk, uint64_t sector, uint32_t count)
{
    for (uint64_t i = sector; i < sector + count; i++) {
        if (disk->written[i]) {
            return false;
        }
    }
    for (uint64_t i = sector; i < sector + count; i++) {
        disk->readers[i]++;
    }
    return true;
}

void stamped_disk_end_read(struct stamped_disk *disk, uint64_t sector, uint32_t count)
{
    for (uint64_t i = sector; i < sector + count; i++) {
        disk->readers[i]--;
    }
}

static void describe_mismatch(struct stamped_disk *disk, const uint8_t *bytes, uint64_t sector)
{
    uint64_t found[2];

    memcpy(found, bytes, sizeof(found));
    snprintf(disk->mismatch, sizeof(disk->mismatch),
             "sector %" PRIu64 " should hold generation %u%s%u; its first words are %" PRIu64
             " and %" PRIu64 "%s",
             sector, disk->generation[sector], disk->maybe[sector] != 0 ? " or " : ", maybe ",
             disk->maybe[sector], found[0], found[1],
             stamp_matches(bytes, found[0], (uint32_t)found[1]) ? " (a whole stamp)" : "");
}

/* Whether the sector holds what it should if no write was lost. */
static bool holds_old(const struct stamped_disk *disk, const uint8_t *bytes, uint64_t sector)
{
    if (disk->generation[sector] != 0) {
        return stamp_matches(bytes, sector, disk->generation[sector]);
    }
    return disk->origin == NULL ||
           memcmp(bytes, disk->origin + sector * STAMP_BYTES, STAMP_BYTES) == 0;
}

static bool check_sector(struct stamped_disk *disk, const uint8_t *bytes, uint64_t sector)
{
    if (disk->maybe[sector] != 0 && stamp_matches(bytes, sector, disk->maybe[sector])) {
        disk->generation[sector] = disk->maybe[sector];
        disk->maybe[sector] = 0;
        return true;
    }
    if (!holds_old(disk, bytes, sector)) {
        describe_mismatch(disk, bytes, sector);
        return false;
    }
    disk->maybe[sector] = 0;
    return true;
}

bool stamped_disk_check(struct stamped_disk *disk, const void *bytes, uint64_t sector,
                        uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        if (!check_sector(disk, (const uint8_t *)bytes + (size_t)i * STAMP_BYTES, sector + i)) {
            return false;
        }
    }
    return true;
}
