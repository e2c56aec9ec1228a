/* SPDX-License-Identifier: AGPL-3.0-only */
#include "support/lazy_device.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static uint8_t pattern(uint64_t byte_offset)
{
    return (uint8_t)(1 + byte_offset % 251 + byte_offset / LAZY_STRIPE_BYTES);
}

static void make_image(struct lazy_device *lazy)
{
    lazy->image_fd = memfd_create("test-image", MFD_CLOEXEC);
    assert(lazy->image_fd >= 0);
    int result = ftruncate(lazy->image_fd, (off_t)lazy->image_byte_len);
    assert(result == 0);
    lazy->image =
        mmap(NULL, lazy->image_byte_len, PROT_READ | PROT_WRITE, MAP_SHARED, lazy->image_fd, 0);
    assert(lazy->image != MAP_FAILED);
    for (uint64_t i = 0; i < lazy->image_byte_len; i++) {
        lazy->image[i] = pattern(i);
    }
}

struct lazy_device *lazy_device_create(const struct lazy_device_params *params)
{
    struct lazy_device *lazy = calloc(1, sizeof(*lazy));
    assert(lazy);
    lazy->test = test_device_create(&params->device);
    lazy->device = &lazy->test->device;
    uint64_t byte_len = lazy->device->file.byte_len;
    lazy->image_byte_len = params->image_byte_len != 0 ? params->image_byte_len : byte_len;
    make_image(lazy);
    uint64_t count = (byte_len + LAZY_STRIPE_BYTES - 1) / LAZY_STRIPE_BYTES;
    assert(count > 0);
    uint8_t *flags = calloc(count, 1);
    assert(flags);
    for (uint64_t i = 0; i * LAZY_STRIPE_BYTES < lazy->image_byte_len; i++) {
        flags[i] = STRIPE_HAS_SOURCE;
    }
    char path[64];
    snprintf(path, sizeof(path), "/proc/self/fd/%d", lazy->image_fd);
    const struct blk_lazy_params attach = {
        .sector_count_shift = LAZY_SHIFT,
        .flags = flags,
        .track_written = params->track_written,
        .fetch_timeout_ms = params->fetch_timeout_ms,
        .image_path = params->read_through ? path : NULL,
        .image_byte_len = lazy->image_byte_len,
    };
    struct error error = {0};
    int result = blk_lazy_attach(lazy->device, &attach, &error);
    assert(result == 0);
    free(flags);
    lazy->lazy = lazy->device->lazy;
    lazy->map = lazy->lazy->map;
    return lazy;
}

void lazy_device_destroy(struct lazy_device *lazy)
{
    blk_lazy_detach(lazy->lazy);
    munmap(lazy->image, lazy->image_byte_len);
    close(lazy->image_fd);
    test_device_destroy(lazy->test);
    free(lazy);
}

uint8_t lazy_device_byte(const struct lazy_device *lazy, uint64_t byte_offset)
{
    return byte_offset < lazy->image_byte_len ? pattern(byte_offset) : 0;
}

void lazy_device_fetch(struct lazy_device *lazy, uint32_t stripe)
{
    uint64_t byte_len = blk_lazy_stripe_bytes(lazy->lazy, stripe);
    uint8_t *bytes = aligned_alloc(4096, LAZY_STRIPE_BYTES);
    assert(bytes);
    for (uint64_t i = 0; i < byte_len; i++) {
        bytes[i] = lazy_device_byte(lazy, (uint64_t)stripe * LAZY_STRIPE_BYTES + i);
    }
    int result = blk_lazy_write_stripe(lazy->lazy, stripe, bytes);
    assert(result == 0);
    free(bytes);
    stripe_map_publish(lazy->map, stripe, STRIPE_READABLE, STRIPE_READ_ASKED);
    stripe_map_wake(lazy->map);
}

void lazy_device_commit(struct lazy_device *lazy, uint32_t stripe)
{
    uint8_t written = lazy->map->track_written ? STRIPE_WRITTEN : 0;
    stripe_map_publish(lazy->map, stripe, STRIPE_FETCHED | written,
                       STRIPE_READABLE | STRIPE_READ_ASKED | STRIPE_WRITE_ASKED);
    stripe_map_wake(lazy->map);
}

struct miss lazy_device_miss(struct lazy_device *lazy)
{
    struct miss miss;
    int count = stripe_map_await_misses(lazy->map, &miss, 1);
    assert(count == 1);
    return miss;
}
