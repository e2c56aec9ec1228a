/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * The layout of one request in guest memory: how the bytes that the device reads (header, data to
 * write) and the bytes that it writes (data read, status) are cut into segments, and where those
 * lie. virtio 1.2 leaves all of that to the driver (2.7.4), so tests make every legal kind of it.
 */
#ifndef UBIBLK_SUPPORT_REQUEST_SHAPE_H
#define UBIBLK_SUPPORT_REQUEST_SHAPE_H

#include <stdbool.h>
#include <stdint.h>

#include "support/guest_ram.h"
#include "support/test_scale.h"
#include "support/virtq_driver.h"

enum { SHAPE_SEGMENTS_MAX = 1040, SHAPE_ARENAS_MAX = 4 };

enum shape_style {
    SHAPE_CLASSIC,   /* header, one page-aligned buffer, status */
    SHAPE_SEGMENTED, /* header, buffers of whole sectors at sector boundaries, status */
    SHAPE_ODD,       /* header, buffers of any length at any address, status */
    SHAPE_ANY,       /* cut anywhere: header in pieces, header with data, data with status, empty
                        segments */
    SHAPE_STYLES,
};

/* Memory that segments are placed in; used is kept by request_shape_make. */
struct shape_arena {
    uint64_t gpa, bytes, used;
    uint32_t region;
};

struct request_shape {
    struct virtq_segment segments[SHAPE_SEGMENTS_MAX];
    uint32_t count;
    uint32_t readable_count; /* segments before the first device-writable one */
    uint32_t region_mask;    /* regions that the segments lie in */
};

/* Borrowed by request_shape_make. */
struct shape_params {
    enum shape_style style;
    uint32_t readable_bytes; /* header and data */
    uint32_t writable_bytes; /* data and status */
    uint32_t segments_max;   /* of the data and of both strings together, roughly */
};

/*
 * Makes a layout with random cuts and places. Every byte of both strings has a place of its own.
 * false when the arenas are too small for it.
 */
bool request_shape_make(struct request_shape *shape, struct test_random *random,
                        struct shape_arena *arenas, uint32_t arena_count,
                        const struct shape_params *params);

/* Copies bytes into the device-readable string from offset on. */
void request_shape_write(const struct request_shape *shape, const struct guest_ram *ram,
                         uint32_t offset, const void *bytes, uint32_t byte_len);

/* Copies bytes out of the device-readable (writable: false) or device-writable string. */
void request_shape_read(const struct request_shape *shape, const struct guest_ram *ram,
                        bool writable, uint32_t offset, void *bytes, uint32_t byte_len);

/* Writes bytes into the device-writable string, to see later what the device left alone. */
void request_shape_preset(const struct request_shape *shape, const struct guest_ram *ram,
                          uint32_t offset, const void *bytes, uint32_t byte_len);

#endif
