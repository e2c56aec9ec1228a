/* SPDX-License-Identifier: AGPL-3.0-only */
/* A test device that is filled on demand, the image that belongs to it, and what a control plane
 * does to its stripes. */
#ifndef UBIBLK_SUPPORT_LAZY_DEVICE_H
#define UBIBLK_SUPPORT_LAZY_DEVICE_H

#include <stdbool.h>
#include <stdint.h>

#include "blk/blk_lazy.h"
#include "support/test_device.h"

/* Stripes of 64 sectors, the smallest there are. */
enum {
    LAZY_SHIFT = 6,
    LAZY_STRIPE_SECTORS = 1 << LAZY_SHIFT,
    LAZY_STRIPE_BYTES = 512 << LAZY_SHIFT
};

struct lazy_device_params {
    struct test_device_params device;
    uint64_t image_byte_len; /* 0: as long as the disk */
    bool read_through;       /* reads go to the image */
    bool track_written;
    uint64_t fetch_timeout_ms;
};

struct lazy_device {
    struct test_device *test;
    struct blk_device *device;
    struct blk_lazy *lazy;
    struct stripe_map *map;
    uint8_t *image; /* image_byte_len bytes of a pattern, mapped */
    uint64_t image_byte_len;
    int image_fd;
};

/* Every stripe that the image reaches into has a source. Returns owned. */
struct lazy_device *lazy_device_create(const struct lazy_device_params *params);
void lazy_device_destroy(struct lazy_device *lazy);

/* The byte that the source has at a place of the disk; 0 beyond its end. */
uint8_t lazy_device_byte(const struct lazy_device *lazy, uint64_t byte_offset);

/* Copies the stripe's content to the base disk and publishes READABLE. */
void lazy_device_fetch(struct lazy_device *lazy, uint32_t stripe);

/* Publishes FETCHED, READABLE gone, as after a commit. */
void lazy_device_commit(struct lazy_device *lazy, uint32_t stripe);

/* Takes one miss that must be there. */
struct miss lazy_device_miss(struct lazy_device *lazy);

#endif
