/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * One random request of a stress.
 *
 * Design: what a request must lead to is settled when it is chosen (expectation, claimed sectors),
 * so checking it needs nothing but the request and the stamps.
 */
#include "support/stress_request.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { SECTOR = 512, HEADER_BYTES = 16, ID_BYTES = 20, STATUS_UNSET = 0xa5 };

int stress_fail(struct blk_stress *stress, int error, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vsnprintf(stress->failure, sizeof(stress->failure), format, args);
    va_end(args);
    return error;
}

struct stress_request *stress_request_at(struct blk_stress *stress, uint32_t queue, uint32_t slot)
{
    return &stress->requests[queue * stress->params.depth + slot];
}

void stress_request_unclaim(struct blk_stress *stress, const struct stress_request *request)
{
    if (!request->claimed) {
        return;
    }
    if (request->type == VIRTIO_BLK_T_IN) {
        stamped_disk_end_read(stress->disk, request->sector, request->sector_count);
    } else {
        /* Nothing was sent: the old generation stays. */
        memset(&stress->disk->written[request->sector], 0, request->sector_count * sizeof(bool));
    }
}

/* --- making requests -------------------------------------------------------------------------- */

static uint64_t below(struct blk_stress *stress, uint64_t limit)
{
    return test_random_below(&stress->random, limit);
}

static uint32_t random_sector_count(struct blk_stress *stress, uint64_t room, bool large)
{
    uint32_t unit = stress->params.sector_unit;
    uint64_t dice = below(stress, 100);
    uint64_t count;

    if (large && dice < 30) {
        count = below(stress, STRESS_REQUEST_BYTES_MAX / SECTOR) + 1;
    } else if (dice < 50) {
        count = 8;
    } else if (dice < 75) {
        count = below(stress, 16) + 1;
    } else {
        count = below(stress, STRESS_REQUEST_BYTES / SECTOR) + 1;
    }
    count = (count + unit - 1) / unit * unit;
    return (uint32_t)(count < room ? count : room);
}

/* Claims a range for a read or write; the caller tries another one when it is taken. */
static bool claim(struct blk_stress *stress, struct stress_request *request)
{
    if (request->type == VIRTIO_BLK_T_OUT) {
        request->generation =
            stamped_disk_begin_write(stress->disk, request->sector, request->sector_count);
        request->claimed = request->generation != 0;
    } else {
        request->claimed =
            stamped_disk_begin_read(stress->disk, request->sector, request->sector_count);
    }
    return request->claimed;
}

static bool choose_transfer(struct blk_stress *stress, struct stress_request *request, bool large)
{
    uint64_t room =
        stress->window_sectors != 0 ? stress->window_sectors : stress->disk->sector_count;
    uint32_t unit = stress->params.sector_unit;

    request->sector_count = random_sector_count(stress, room, large);
    for (uint32_t attempt = 0; attempt < 16; attempt++) {
        uint64_t places = (room - request->sector_count) / unit + 1;
        uint64_t place = below(stress, places);

        /* Its two ends are as likely as a place in between. */
        if (below(stress, 64) == 0) {
            place = below(stress, 2) * (places - 1);
        }
        request->sector = stress->window_sector + place * unit;
        if (claim(stress, request)) {
            return true;
        }
    }
    return false;
}

/* Requests that must fail without touching the disk. */
static void choose_refused(struct blk_stress *stress, struct stress_request *request)
{
    static const uint32_t unsupported[] = {2, 9, 11, 13, 14, 99, UINT32_MAX};
    uint64_t capacity = stress->disk->sector_count;

    request->sector_count = 1 + (uint32_t)below(stress, 16);
    request->expectation = EXPECT_IOERR;
    switch (below(stress, 4)) {
    case 0: /* begins or ends beyond the disk */
        request->sector = capacity - below(stress, request->sector_count);
        break;
    case 1: /* the byte offset or the end wraps */
        request->sector = UINT64_MAX - below(stress, 8);
        break;
    case 2:
        request->sector = (UINT64_C(1) << 55) + below(stress, 8);
        break;
    default:
        request->type = unsupported[below(stress, sizeof(unsupported) / sizeof(unsupported[0]))];
        request->expectation = EXPECT_UNSUPP;
        request->sector = below(stress, capacity);
    }
}

static void choose_other(struct blk_stress *stress, struct stress_request *request, uint64_t dice)
{
    request->sector = 0;
    request->sector_count = 0;
    if (dice < 4) {
        request->type = VIRTIO_BLK_T_FLUSH;
    } else if (dice < 6) {
        request->type = VIRTIO_BLK_T_GET_ID;
    } else {
        request->type = below(stress, 2) == 0 ? VIRTIO_BLK_T_IN : VIRTIO_BLK_T_OUT;
        choose_refused(stress, request);
    }
}

static bool choose_scripted(struct blk_stress *stress, struct stress_request *request)
{
    const struct stress_script *next = &stress->script[stress->script_next];

    request->type = next->type;
    request->sector = next->sector;
    request->sector_count = next->sector_count;
    if (!claim(stress, request)) {
        return false;
    }
    stress->script_next++;
    return true;
}

static bool choose(struct blk_stress *stress, struct stress_request *request, bool large)
{
    uint64_t dice = below(stress, 100);

    request->expectation = EXPECT_OK;
    request->claimed = false;
    if (stress->script_next < stress->script_count) {
        return choose_scripted(stress, request);
    }
    if (dice < 8) {
        choose_other(stress, request, dice);
        return true;
    }
    request->type = dice < 54 ? VIRTIO_BLK_T_IN : VIRTIO_BLK_T_OUT;
    return choose_transfer(stress, request, large);
}

static uint32_t usable_arenas(struct blk_stress *stress, struct stress_request *request,
                              struct shape_arena *arenas)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < stress->params.region_count; i++) {
        if ((stress->usable_regions & (1u << request->arenas[i].region)) != 0) {
            arenas[count++] = request->arenas[i];
        }
    }
    return count;
}

static enum shape_style random_style(struct blk_stress *stress)
{
    enum shape_style style;

    do {
        style = (enum shape_style)below(stress, SHAPE_STYLES);
    } while ((stress->params.styles & (1u << style)) == 0);
    return style;
}

static bool lay_out(struct blk_stress *stress, struct stress_request *request)
{
    struct shape_arena arenas[SHAPE_ARENAS_MAX];
    uint32_t arena_count = usable_arenas(stress, request, arenas);
    uint32_t data = request->sector_count * SECTOR;
    bool reads = request->type != VIRTIO_BLK_T_OUT;
    struct shape_params params = {.style = random_style(stress), .segments_max = 4};

    if (request->type == VIRTIO_BLK_T_GET_ID) {
        data = ID_BYTES;
    }
    request->readable_bytes = HEADER_BYTES + (reads ? 0 : data);
    request->writable_bytes = 1 + (reads ? data : 0);
    params.readable_bytes = request->readable_bytes;
    params.writable_bytes = request->writable_bytes;
    if (stress->indirect && below(stress, 8) == 0) {
        params.segments_max =
            below(stress, 4) == 0 ? 400 : 40; /* beyond the ring, beyond seg_max */
    }
    return request_shape_make(&request->shape, &stress->random, arenas, arena_count, &params);
}

/* Writes header and data, and presets what the device may write. */
static void fill_request(struct blk_stress *stress, struct stress_request *request)
{
    struct virtio_blk_outhdr header = {.type = request->type, .sector = request->sector};
    const struct request_shape *shape = &request->shape;
    uint8_t unset = STATUS_UNSET;

    request_shape_write(shape, &stress->ram, 0, &header, sizeof(header));
    if (request->type == VIRTIO_BLK_T_OUT) {
        for (uint32_t i = 0; i < request->sector_count; i++) {
            stamp_fill(stress->scratch + (size_t)i * SECTOR, request->sector + i,
                       request->generation);
        }
        request_shape_write(shape, &stress->ram, HEADER_BYTES, stress->scratch,
                            request->sector_count * SECTOR);
    }
    request->audited = request->type != VIRTIO_BLK_T_OUT && below(stress, 8) == 0;
    if (request->audited && request->writable_bytes > 1) {
        memset(stress->scratch, STATUS_UNSET, request->writable_bytes);
        request_shape_preset(shape, &stress->ram, 0, stress->scratch, request->writable_bytes);
    }
    request_shape_preset(shape, &stress->ram, request->writable_bytes - 1, &unset, 1);
}

static int make_available(struct blk_stress *stress, uint32_t queue, uint32_t slot)
{
    struct stress_request *request = stress_request_at(stress, queue, slot);
    struct virtq_driver *driver = &stress->queues[queue].driver;
    const struct request_shape *shape = &request->shape;

    if (stress->indirect && (shape->count > 8 || below(stress, 4) != 0)) {
        uint32_t direct = below(stress, 8) == 0 && shape->count > 2 ? 2 : 0;

        return virtq_driver_add_indirect(driver, shape->segments, shape->count, direct,
                                         request->table, request->table_gpa, slot, NULL);
    }
    return virtq_driver_add(driver, shape->segments, shape->count, slot, NULL);
}

int stress_request_start(struct blk_stress *stress, uint32_t queue, uint32_t slot)
{
    struct stress_request *request = stress_request_at(stress, queue, slot);
    uint64_t script_next = stress->script_next;

    if (!choose(stress, request, slot < STRESS_LARGE_SLOTS)) {
        return 0;
    }
    if (!lay_out(stress, request)) {
        stress_request_unclaim(stress, request);
        stress->script_next = script_next;
        return 0;
    }
    fill_request(stress, request);
    if (make_available(stress, queue, slot) < 0) {
        stress_request_unclaim(stress, request);
        stress->script_next = script_next;
        return 0;
    }
    request->busy = true;
    stress->started++;
    stress->of_type[request->type <= VIRTIO_BLK_T_GET_ID ? request->type : 2]++;
    return 1;
}

/* --- completions ------------------------------------------------------------------------------ */

static int check_status(struct blk_stress *stress, const struct stress_request *request,
                        uint8_t status)
{
    static const uint8_t wanted[] = {
        [EXPECT_OK] = VIRTIO_BLK_S_OK,
        [EXPECT_IOERR] = VIRTIO_BLK_S_IOERR,
        [EXPECT_UNSUPP] = VIRTIO_BLK_S_UNSUPP,
    };

    if (request->expectation == EXPECT_ANY &&
        (status <= VIRTIO_BLK_S_UNSUPP || status == STATUS_UNSET)) {
        return 0;
    }
    if (request->expectation == EXPECT_ANY || status != wanted[request->expectation]) {
        return stress_fail(stress, -EIO,
                           "type %u, sector %" PRIu64 " + %u, %u segments: status %u, expected %d",
                           request->type, request->sector, request->sector_count,
                           request->shape.count, status, (int)request->expectation);
    }
    return 0;
}

/* "used_len is the bytes written": all of them on success, at least the status otherwise, none when
 * it could not be reached. */
static int check_used_len(struct blk_stress *stress, const struct stress_request *request,
                          uint8_t status, uint32_t used_len)
{
    bool right = status == VIRTIO_BLK_S_OK ? used_len == request->writable_bytes
                 : status == STATUS_UNSET  ? used_len == 0
                                           : used_len >= 1;

    return right ? 0
                 : stress_fail(stress, -EPROTO,
                               "type %u, status %u: used length %u, %u writable bytes",
                               request->type, status, used_len, request->writable_bytes);
}

static int check_read(struct blk_stress *stress, const struct stress_request *request)
{
    request_shape_read(&request->shape, &stress->ram, true, 0, stress->scratch,
                       request->sector_count * SECTOR);
    if (!stamped_disk_check(stress->disk, stress->scratch, request->sector,
                            request->sector_count)) {
        return stress_fail(stress, -EBADMSG, "read of %" PRIu64 " + %u: %s", request->sector,
                           request->sector_count, stress->disk->mismatch);
    }
    return 0;
}

/* The guest's own buffers are its own: header and data of a write are as they were. */
static int check_readable(struct blk_stress *stress, const struct stress_request *request)
{
    uint32_t data = request->readable_bytes - HEADER_BYTES;
    struct virtio_blk_outhdr header;

    request_shape_read(&request->shape, &stress->ram, false, 0, &header, sizeof(header));
    if (header.type != request->type || header.sector != request->sector) {
        return stress_fail(stress, -EBADMSG, "the device changed a request's header");
    }
    if (data > 0 && request->expectation == EXPECT_OK && below(stress, 8) == 0) {
        request_shape_read(&request->shape, &stress->ram, false, HEADER_BYTES, stress->scratch,
                           data);
        for (uint32_t i = 0; i < request->sector_count; i++) {
            if (!stamp_matches(stress->scratch + (size_t)i * SECTOR, request->sector + i,
                               request->generation)) {
                return stress_fail(stress, -EBADMSG,
                                   "the device changed data that it was to write");
            }
        }
    }
    return 0;
}

static int settle_claim(struct blk_stress *stress, const struct stress_request *request,
                        uint8_t status)
{
    if (!request->claimed) {
        return 0;
    }
    if (request->type == VIRTIO_BLK_T_IN) {
        stamped_disk_end_read(stress->disk, request->sector, request->sector_count);
        return status == VIRTIO_BLK_S_OK ? check_read(stress, request) : 0;
    }
    if (status == VIRTIO_BLK_S_OK) {
        stamped_disk_end_write(stress->disk, request->sector, request->sector_count,
                               request->generation);
    } else {
        stamped_disk_lose_write(stress->disk, request->sector, request->sector_count,
                                request->generation);
    }
    return 0;
}

int stress_request_end(struct blk_stress *stress, uint32_t queue,
                       const struct virtq_completion *completion)
{
    struct stress_request *request = stress_request_at(stress, queue, (uint32_t)completion->token);
    uint8_t status = STATUS_UNSET;
    int error;

    request->busy = false;
    stress->ended++;
    request_shape_read(&request->shape, &stress->ram, true, request->writable_bytes - 1, &status,
                       1);
    stress->io_errors += status == VIRTIO_BLK_S_IOERR;
    error = check_status(stress, request, status);
    if (error == 0) {
        error = check_used_len(stress, request, status, completion->used_len);
    }
    if (error == 0) {
        error = check_readable(stress, request);
    }
    if (error == 0) {
        error = settle_claim(stress, request, status);
    }
    return error;
}
