/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Random layouts of requests.
 *
 * Design: a string of bytes is cut into pieces one after the other; each piece takes the next place
 * in one of the arenas, with a random gap before it, so places never overlap.
 */
#include "support/request_shape.h"

#include <string.h>

enum { HEADER_BYTES = 16, STATUS_BYTES = 1, SECTOR = 512, PAGE = 4096 };

struct cutter {
    struct request_shape *shape;
    struct test_random *random;
    struct shape_arena *arenas;
    uint32_t arena_count;
    const struct shape_params *params;
};

static bool place(struct cutter *cutter, uint32_t byte_len, bool writable, uint64_t align,
                  uint64_t odd)
{
    struct request_shape *shape = cutter->shape;
    uint32_t first = (uint32_t)test_random_below(cutter->random, cutter->arena_count);

    for (uint32_t i = 0; i < cutter->arena_count; i++) {
        struct shape_arena *arena = &cutter->arenas[(first + i) % cutter->arena_count];
        uint64_t start = ((arena->gpa + arena->used + align - 1) & ~(align - 1)) - arena->gpa + odd;

        if (start <= arena->bytes && byte_len <= arena->bytes - start &&
            shape->count < SHAPE_SEGMENTS_MAX) {
            shape->segments[shape->count++] =
                (struct virtq_segment){arena->gpa + start, byte_len, writable};
            shape->readable_count += !writable;
            shape->region_mask |= 1u << arena->region;
            arena->used = start + byte_len;
            return true;
        }
    }
    return false;
}

/* A piece of a string of left bytes: whole sectors or any length, so that about segments_max come
 * out at most. */
static uint32_t piece(struct cutter *cutter, uint32_t left, uint32_t total)
{
    uint32_t unit = cutter->params->style == SHAPE_SEGMENTED ? SECTOR : 1;
    uint32_t least = total / (cutter->params->segments_max > 0 ? cutter->params->segments_max : 1);
    uint32_t most = least * 2 + unit;
    uint32_t len = least + (uint32_t)test_random_below(cutter->random, most - least + 1);

    if (test_random_one_in(cutter->random, 4)) {
        len = left;
    }
    len = (len + unit - 1) / unit * unit;
    if (len == 0) {
        len = unit;
    }
    return len < left ? len : left;
}

static bool place_by_style(struct cutter *cutter, uint32_t byte_len, bool writable)
{
    if (cutter->params->style == SHAPE_SEGMENTED) {
        return place(cutter, byte_len, writable, SECTOR, 0);
    }
    return place(cutter, byte_len, writable, 1, test_random_below(cutter->random, 24));
}

static bool cut(struct cutter *cutter, uint32_t byte_len, bool writable)
{
    uint32_t left = byte_len;

    while (left > 0) {
        uint32_t len = piece(cutter, left, byte_len);

        if (cutter->params->style == SHAPE_ANY && test_random_one_in(cutter->random, 8) &&
            !place_by_style(cutter, 0, writable)) {
            return false;
        }
        if (!place_by_style(cutter, len, writable)) {
            return false;
        }
        left -= len;
    }
    return true;
}

static bool place_data(struct cutter *cutter, uint32_t byte_len, bool writable)
{
    if (byte_len == 0) {
        return true;
    }
    return cutter->params->style == SHAPE_CLASSIC ? place(cutter, byte_len, writable, PAGE, 0)
                                                  : cut(cutter, byte_len, writable);
}

bool request_shape_make(struct request_shape *shape, struct test_random *random,
                        struct shape_arena *arenas, uint32_t arena_count,
                        const struct shape_params *params)
{
    struct cutter cutter = {shape, random, arenas, arena_count, params};

    shape->count = 0;
    shape->readable_count = 0;
    shape->region_mask = 0;
    for (uint32_t i = 0; i < arena_count; i++) {
        arenas[i].used = 0;
    }
    if (params->style == SHAPE_ANY) {
        return cut(&cutter, params->readable_bytes, false) &&
               cut(&cutter, params->writable_bytes, true);
    }
    return place(&cutter, HEADER_BYTES, false, 16, 0) &&
           place_data(&cutter, params->readable_bytes - HEADER_BYTES, false) &&
           place_data(&cutter, params->writable_bytes - STATUS_BYTES, true) &&
           place(&cutter, STATUS_BYTES, true, 1, test_random_below(random, 8));
}

enum copy_direction { INTO_GUEST, OUT_OF_GUEST };

/* Copies between bytes and the segments [first, last) from offset of their string on. */
static void copy(const struct request_shape *shape, const struct guest_ram *ram, uint32_t first,
                 uint32_t last, uint32_t offset, uint8_t *bytes, uint32_t byte_len,
                 enum copy_direction direction)
{
    for (uint32_t i = first; i < last && byte_len > 0; i++) {
        const struct virtq_segment *segment = &shape->segments[i];
        uint32_t len;
        uint8_t *guest;

        if (offset >= segment->len) {
            offset -= segment->len;
            continue;
        }
        len = segment->len - offset < byte_len ? segment->len - offset : byte_len;
        guest = guest_ram_host(ram, segment->gpa + offset, len);
        memcpy(direction == INTO_GUEST ? guest : bytes, direction == INTO_GUEST ? bytes : guest,
               len);
        bytes += len;
        byte_len -= len;
        offset = 0;
    }
}

void request_shape_write(const struct request_shape *shape, const struct guest_ram *ram,
                         uint32_t offset, const void *bytes, uint32_t byte_len)
{
    copy(shape, ram, 0, shape->readable_count, offset, (uint8_t *)(uintptr_t)bytes, byte_len,
         INTO_GUEST);
}

void request_shape_read(const struct request_shape *shape, const struct guest_ram *ram,
                        bool writable, uint32_t offset, void *bytes, uint32_t byte_len)
{
    copy(shape, ram, writable ? shape->readable_count : 0,
         writable ? shape->count : shape->readable_count, offset, bytes, byte_len, OUT_OF_GUEST);
}

void request_shape_preset(const struct request_shape *shape, const struct guest_ram *ram,
                          uint32_t offset, const void *bytes, uint32_t byte_len)
{
    copy(shape, ram, shape->readable_count, shape->count, offset, (uint8_t *)(uintptr_t)bytes,
         byte_len, INTO_GUEST);
}
