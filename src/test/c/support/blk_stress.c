/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Random block requests with everything checked.
 *
 * Design: a request's memory belongs to its slot (one arena per region), so it stays valid until
 * its head completes, however long that takes and over however many connections. The token of a
 * chain is the slot's number.
 */
#include "support/blk_stress.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    SECTOR = 512,
    HEADER_BYTES = 16,
    ID_BYTES = 20,
    SMALL_BYTES = 64 * 1024,
    ARENA_SLACK = 48 * 1024,
    TABLE_BYTES = SHAPE_SEGMENTS_MAX * 16,
    WAIT_MS = 30000,
    STATUS_UNSET = 0xa5,
    CHUNK_SECTORS = 128,
};

/* Guest addresses of the regions: far apart, one of them above 4 GiB. */
static const uint64_t region_gpa[] = {0x1000, 0x10000000, 0x140000000, 0x400000000};

/* Where they begin in their files; one not even at a page. */
static const uint64_t file_offset[] = {8192, 0, 1 << 20, 0x10a30};

__attribute__((format(printf, 3, 4))) static int fail(struct blk_stress *stress, int error,
                                                      const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vsnprintf(stress->failure, sizeof(stress->failure), format, args);
    va_end(args);
    return error;
}

static uint32_t arena_bytes(uint32_t slot)
{
    return (slot < STRESS_LARGE_SLOTS ? STRESS_REQUEST_BYTES_MAX : SMALL_BYTES) + ARENA_SLACK;
}

static uint64_t region_bytes(const struct blk_stress_params *params)
{
    uint64_t bytes = 4096;

    for (uint32_t slot = 0; slot < params->depth; slot++) {
        bytes += arena_bytes(slot);
    }
    return bytes * params->queue_count;
}

static uint64_t control_bytes(const struct blk_stress_params *params)
{
    uint64_t rings = virtq_driver_desc_bytes(params->queue_size) +
                     virtq_driver_avail_bytes(params->queue_size) +
                     virtq_driver_used_bytes(params->queue_size) + 64;

    return params->queue_count * (rings + (uint64_t)params->depth * TABLE_BYTES) + 4096;
}

static int init_ram(struct blk_stress *stress)
{
    struct guest_ram_spec specs[SHAPE_ARENAS_MAX] = {{.gpa = region_gpa[0],
                                                      .size = control_bytes(&stress->params),
                                                      .file_offset = file_offset[0]}};

    for (uint32_t i = 1; i <= stress->params.region_count; i++) {
        specs[i] = (struct guest_ram_spec){.gpa = region_gpa[i],
                                           .size = region_bytes(&stress->params),
                                           .file_offset = file_offset[i],
                                           .sealed = i == 1};
        stress->usable_regions |= 1u << i;
    }
    return guest_ram_init(&stress->ram, specs, stress->params.region_count + 1);
}

static struct stress_request *request_at(struct blk_stress *stress, uint32_t queue, uint32_t slot)
{
    return &stress->requests[queue * stress->params.depth + slot];
}

static void init_request(struct blk_stress *stress, struct stress_request *request, uint32_t slot)
{
    request->table_gpa = guest_ram_alloc(&stress->ram, 0, TABLE_BYTES, 16, 0);
    request->table = guest_ram_host(&stress->ram, request->table_gpa, TABLE_BYTES);
    for (uint32_t i = 0; i < stress->params.region_count; i++) {
        request->arenas[i] = (struct shape_arena){
            .gpa = guest_ram_alloc(&stress->ram, i + 1, arena_bytes(slot), 4096, 0),
            .bytes = arena_bytes(slot),
            .region = i + 1};
    }
}

static int init_queues(struct blk_stress *stress)
{
    for (uint32_t queue = 0; queue < stress->params.queue_count; queue++) {
        int error = frontend_queue_init(&stress->queues[queue], &stress->ram, 0, queue,
                                        stress->params.queue_size, stress->event_idx);

        if (error < 0) {
            return error;
        }
    }
    for (uint32_t queue = 0; queue < stress->params.queue_count; queue++) {
        for (uint32_t slot = 0; slot < stress->params.depth; slot++) {
            init_request(stress, request_at(stress, queue, slot), slot);
        }
    }
    return 0;
}

int blk_stress_init(struct blk_stress *stress, const struct blk_stress_params *params,
                    struct stamped_disk *disk)
{
    int error;

    *stress = (struct blk_stress){.params = *params, .disk = disk, .frontend.fd = -1};
    stress->random.state = params->seed;
    stress->params.styles = params->styles == 0 ? (1u << SHAPE_STYLES) - 1 : params->styles;
    stress->params.sector_unit = params->sector_unit == 0 ? 1 : params->sector_unit;
    stress->event_idx = (params->features & FRONTEND_BIT(VIRTIO_RING_F_EVENT_IDX)) != 0;
    stress->indirect = (params->features & FRONTEND_BIT(VIRTIO_RING_F_INDIRECT_DESC)) != 0;
    stress->requests =
        calloc((size_t)params->queue_count * params->depth, sizeof(*stress->requests));
    stress->scratch = malloc(STRESS_REQUEST_BYTES_MAX + SECTOR);
    stress->scratch2 = malloc(STRESS_REQUEST_BYTES_MAX + SECTOR);
    error = stress->requests == NULL || stress->scratch == NULL || stress->scratch2 == NULL
                ? -ENOMEM
                : init_ram(stress);
    if (error == 0) {
        error = init_queues(stress);
    }
    if (error < 0) {
        blk_stress_deinit(stress);
    }
    return error;
}

void blk_stress_deinit(struct blk_stress *stress)
{
    vhost_frontend_disconnect(&stress->frontend);
    for (uint32_t queue = 0; queue < stress->params.queue_count; queue++) {
        if (stress->queues[queue].driver.slots != NULL) {
            frontend_queue_deinit(&stress->queues[queue]);
        }
    }
    guest_ram_deinit(&stress->ram);
    free(stress->requests);
    free(stress->script);
    free(stress->scratch);
    free(stress->scratch2);
    *stress = (struct blk_stress){0};
}

uint32_t blk_stress_in_flight(const struct blk_stress *stress)
{
    uint32_t count = 0;

    for (uint32_t queue = 0; queue < stress->params.queue_count; queue++) {
        count += stress->queues[queue].driver.in_flight_count;
    }
    return count;
}

/* --- scripts --------------------------------------------------------------------------------- */

static int script_add(struct blk_stress *stress, uint32_t type, uint64_t sector, uint32_t count)
{
    if (stress->script_next == stress->script_count) {
        stress->script_next = stress->script_count = 0;
    }
    if (stress->script_count == stress->script_room) {
        uint64_t room = stress->script_room * 2 + 64;
        struct stress_script *grown = realloc(stress->script, room * sizeof(*grown));

        if (grown == NULL) {
            return -ENOMEM;
        }
        stress->script = grown;
        stress->script_room = room;
    }
    stress->script[stress->script_count++] = (struct stress_script){type, sector, count};
    return 0;
}

static int script_whole_disk(struct blk_stress *stress, uint32_t type)
{
    int error = 0;

    for (uint64_t sector = 0; sector < stress->disk->sector_count && error == 0;
         sector += CHUNK_SECTORS) {
        uint64_t left = stress->disk->sector_count - sector;

        error =
            script_add(stress, type, sector, left < CHUNK_SECTORS ? (uint32_t)left : CHUNK_SECTORS);
    }
    return error;
}

int blk_stress_script_format(struct blk_stress *stress)
{
    return script_whole_disk(stress, VIRTIO_BLK_T_OUT);
}

int blk_stress_script_verify(struct blk_stress *stress)
{
    return script_whole_disk(stress, VIRTIO_BLK_T_IN);
}

/* --- whose sectors they are ------------------------------------------------------------------ */

static void unclaim(struct blk_stress *stress, const struct stress_request *request)
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

static int forget_requests(struct blk_stress *stress)
{
    uint32_t count = stress->params.queue_count * stress->params.depth;
    int error = 0;

    for (uint32_t i = 0; i < count && error == 0; i++) {
        struct stress_request *request = &stress->requests[i];

        if (!request->busy) {
            continue;
        }
        request->busy = false;
        stress->lost++;
        if (request->claimed && request->type == VIRTIO_BLK_T_OUT) {
            stamped_disk_lose_write(stress->disk, request->sector, request->sector_count,
                                    request->generation);
            error = script_add(stress, VIRTIO_BLK_T_IN, request->sector, request->sector_count);
        } else {
            unclaim(stress, request);
        }
    }
    for (uint32_t queue = 0; queue < stress->params.queue_count; queue++) {
        virtq_driver_reset(&stress->queues[queue].driver);
        stress->base[queue] = 0;
    }
    return error;
}

/* --- connections ----------------------------------------------------------------------------- */

int blk_stress_start_queue(struct blk_stress *stress, uint32_t queue)
{
    int error = frontend_queue_start(&stress->frontend, &stress->ram, &stress->queues[queue],
                                     stress->base[queue]);

    if (error < 0) {
        return fail(stress, error, "starting queue %u: %s", queue, strerror(-error));
    }
    if (stress->params.polling) {
        virtq_driver_disable_signals(&stress->queues[queue].driver);
    }
    return 0;
}

int blk_stress_connect(struct blk_stress *stress, const char *socket_path)
{
    int error = vhost_frontend_connect(&stress->frontend, socket_path, WAIT_MS);

    if (error == 0) {
        error = vhost_frontend_negotiate(&stress->frontend, stress->params.features,
                                         stress->params.protocol_features);
    }
    if (error < 0) {
        return fail(stress, error, "connecting: %s", strerror(-error));
    }
    if (vhost_frontend_has(&stress->frontend, VIRTIO_RING_F_EVENT_IDX) != stress->event_idx ||
        vhost_frontend_has(&stress->frontend, VIRTIO_RING_F_INDIRECT_DESC) != stress->indirect) {
        return fail(stress, -ENOTSUP, "the back end does not offer a wanted ring feature");
    }
    stress->frontend.need_reply = true;
    if (stress->forget && (error = forget_requests(stress)) < 0) {
        return fail(stress, error, "out of memory");
    }
    stress->forget = false;
    error = vhost_frontend_share(&stress->frontend, &stress->ram);
    if (error < 0) {
        return fail(stress, error, "sharing memory: %s", strerror(-error));
    }
    for (uint32_t queue = 0; queue < stress->params.queue_count; queue++) {
        error = blk_stress_start_queue(stress, queue);
        if (error < 0) {
            return error;
        }
    }
    error = vhost_frontend_sync(&stress->frontend);
    return error < 0 ? fail(stress, error, "after the queues' start: %s", strerror(-error)) : 0;
}

void blk_stress_vanish(struct blk_stress *stress, bool forget)
{
    vhost_frontend_disconnect(&stress->frontend);
    stress->forget = forget;
    for (uint32_t queue = 0; queue < stress->params.queue_count; queue++) {
        stress->base[queue] = stress->queues[queue].driver.used_index;
    }
}

/* --- making requests ------------------------------------------------------------------------- */

static uint64_t below(struct blk_stress *stress, uint64_t limit)
{
    return test_random_below(&stress->random, limit);
}

static uint32_t random_sector_count(struct blk_stress *stress, bool large)
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
        count = below(stress, SMALL_BYTES / SECTOR) + 1;
    }
    count = (count + unit - 1) / unit * unit;
    return (uint32_t)(count < stress->disk->sector_count ? count : stress->disk->sector_count);
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
    uint32_t unit = stress->params.sector_unit;

    request->sector_count = random_sector_count(stress, large);
    for (uint32_t attempt = 0; attempt < 16; attempt++) {
        uint64_t places = (stress->disk->sector_count - request->sector_count) / unit + 1;

        /* The disk's two ends are as likely as a place in between. */
        request->sector = below(stress, places) * unit;
        if (below(stress, 64) == 0) {
            request->sector = below(stress, 2) * (places - 1) * unit;
        }
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
    struct stress_request *request = request_at(stress, queue, slot);
    struct virtq_driver *driver = &stress->queues[queue].driver;
    const struct request_shape *shape = &request->shape;

    if (stress->indirect && (shape->count > 8 || below(stress, 4) != 0)) {
        uint32_t direct = below(stress, 8) == 0 && shape->count > 2 ? 2 : 0;

        return virtq_driver_add_indirect(driver, shape->segments, shape->count, direct,
                                         request->table, request->table_gpa, slot, NULL);
    }
    return virtq_driver_add(driver, shape->segments, shape->count, slot, NULL);
}

/* 1 when a request was added, 0 when there is no room just now. */
static int start_one(struct blk_stress *stress, uint32_t queue, uint32_t slot)
{
    struct stress_request *request = request_at(stress, queue, slot);
    uint64_t script_next = stress->script_next;

    if (!choose(stress, request, slot < STRESS_LARGE_SLOTS)) {
        return 0;
    }
    if (!lay_out(stress, request)) {
        unclaim(stress, request);
        stress->script_next = script_next;
        return 0;
    }
    fill_request(stress, request);
    if (make_available(stress, queue, slot) < 0) {
        unclaim(stress, request);
        stress->script_next = script_next;
        return 0;
    }
    request->busy = true;
    stress->started++;
    stress->of_type[request->type <= VIRTIO_BLK_T_GET_ID ? request->type : 2]++;
    return 1;
}

/* --- completions ----------------------------------------------------------------------------- */

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
        return fail(stress, -EIO,
                    "type %u, sector %" PRIu64 " + %u, %u segments: status %u, expected %d",
                    request->type, request->sector, request->sector_count, request->shape.count,
                    status, (int)request->expectation);
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
                 : fail(stress, -EPROTO, "type %u, status %u: used length %u, %u writable bytes",
                        request->type, status, used_len, request->writable_bytes);
}

static int check_read(struct blk_stress *stress, const struct stress_request *request)
{
    request_shape_read(&request->shape, &stress->ram, true, 0, stress->scratch,
                       request->sector_count * SECTOR);
    if (!stamped_disk_check(stress->disk, stress->scratch, request->sector,
                            request->sector_count)) {
        return fail(stress, -EBADMSG, "read of %" PRIu64 " + %u: %s", request->sector,
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
        return fail(stress, -EBADMSG, "the device changed a request's header");
    }
    if (data > 0 && request->expectation == EXPECT_OK && below(stress, 8) == 0) {
        request_shape_read(&request->shape, &stress->ram, false, HEADER_BYTES, stress->scratch,
                           data);
        for (uint32_t i = 0; i < request->sector_count; i++) {
            if (!stamp_matches(stress->scratch + (size_t)i * SECTOR, request->sector + i,
                               request->generation)) {
                return fail(stress, -EBADMSG, "the device changed data that it was to write");
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

static int end_one(struct blk_stress *stress, uint32_t queue,
                   const struct virtq_completion *completion)
{
    struct stress_request *request = request_at(stress, queue, (uint32_t)completion->token);
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

/* Takes what queue has completed. The count or -errno. */
static int reap(struct blk_stress *stress, uint32_t queue)
{
    struct virtq_completion completions[64];
    int count = virtq_driver_reap(&stress->queues[queue].driver, completions, 64);

    if (count < 0) {
        return fail(stress, count, "queue %u: %s", queue,
                    virtq_driver_fault(&stress->queues[queue].driver));
    }
    for (int i = 0; i < count; i++) {
        int error = end_one(stress, queue, &completions[i]);

        if (error < 0) {
            return error;
        }
    }
    return count;
}

/* Fills free slots of a queue with up to *left requests. */
static void top_up(struct blk_stress *stress, uint32_t queue, uint64_t *left)
{
    for (uint32_t slot = 0; slot<stress->params.depth && * left> 0; slot++) {
        if (!request_at(stress, queue, slot)->busy) {
            *left -= (uint64_t)start_one(stress, queue, slot);
        }
    }
    virtq_driver_publish_and_kick(&stress->queues[queue].driver);
}

static int await_any(struct blk_stress *stress)
{
    for (uint32_t queue = 0; queue < stress->params.queue_count; queue++) {
        struct virtq_driver *driver = &stress->queues[queue].driver;

        if (driver->in_flight_count > 0) {
            int ready = stress->params.polling ? virtq_driver_poll(driver, WAIT_MS)
                                               : virtq_driver_wait(driver, WAIT_MS);

            return ready != 0
                       ? 0
                       : fail(stress, -ETIMEDOUT, "queue %u: %u requests in flight, %s after %d ms",
                              queue, driver->in_flight_count,
                              virtq_driver_has_used(driver) ? "used entries but no signal"
                                                            : "no used entry",
                              WAIT_MS);
        }
    }
    return 0;
}

/* One round over all queues; waits when nothing moved. */
static int turn(struct blk_stress *stress, uint64_t *left)
{
    uint64_t started = stress->started, ended = stress->ended;

    for (uint32_t queue = 0; queue < stress->params.queue_count; queue++) {
        int count = reap(stress, queue);

        if (count < 0) {
            return count;
        }
        top_up(stress, queue, left);
    }
    return started == stress->started && ended == stress->ended ? await_any(stress) : 0;
}

int blk_stress_run(struct blk_stress *stress, uint64_t count)
{
    int error = 0;

    while (count > 0 && error == 0) {
        error = turn(stress, &count);
    }
    return error;
}

int blk_stress_run_script(struct blk_stress *stress)
{
    int error = 0;

    while (stress->script_next < stress->script_count && error == 0) {
        uint64_t left = stress->script_count - stress->script_next;

        error = turn(stress, &left);
    }
    return error == 0 ? blk_stress_drain(stress) : error;
}

int blk_stress_drain(struct blk_stress *stress)
{
    uint64_t none = 0;
    int error = 0;

    while (blk_stress_in_flight(stress) > 0 && error == 0) {
        error = turn(stress, &none);
    }
    return error;
}

void blk_stress_expect_anything(struct blk_stress *stress, uint32_t region)
{
    uint32_t count = stress->params.queue_count * stress->params.depth;

    for (uint32_t i = 0; i < count; i++) {
        struct stress_request *request = &stress->requests[i];

        if (request->busy && (request->shape.region_mask & (1u << region)) != 0) {
            request->expectation = EXPECT_ANY;
        }
    }
}

int blk_stress_move_region(struct blk_stress *stress, uint32_t region, uint64_t gpa)
{
    struct guest_ram_region *moved = &stress->ram.regions[region];
    uint32_t count = stress->params.queue_count * stress->params.depth;
    int error = vhost_frontend_rem_mem_reg(&stress->frontend, moved);

    if (error < 0) {
        return fail(stress, error, "removing region %u: %s", region, strerror(-error));
    }
    for (uint32_t i = 0; i < count; i++) {
        stress->requests[i].arenas[region - 1].gpa += gpa - moved->gpa;
    }
    moved->uaddr += gpa - moved->gpa;
    moved->gpa = gpa;
    error = vhost_frontend_add_mem_reg(&stress->frontend, moved);
    if (error < 0) {
        return fail(stress, error, "adding region %u: %s", region, strerror(-error));
    }
    stress->usable_regions |= 1u << region;
    return 0;
}

static bool region_in_use(const struct blk_stress *stress, uint32_t region)
{
    uint32_t count = stress->params.queue_count * stress->params.depth;

    for (uint32_t i = 0; i < count; i++) {
        if (stress->requests[i].busy &&
            (stress->requests[i].shape.region_mask & (1u << region)) != 0) {
            return true;
        }
    }
    return false;
}

int blk_stress_drain_region(struct blk_stress *stress, uint32_t region)
{
    int error = 0;

    stress->usable_regions &= ~(1u << region);
    while (region_in_use(stress, region) && error == 0) {
        uint64_t one = 1;

        error = turn(stress, &one);
    }
    return error;
}

/* --- stopping -------------------------------------------------------------------------------- */

int blk_stress_stop_queue(struct blk_stress *stress, uint32_t queue)
{
    struct frontend_queue *stopped = &stress->queues[queue];
    int error = frontend_queue_stop(&stress->frontend, stopped, &stress->base[queue]);
    uint16_t used = __atomic_load_n(&stopped->driver.used->idx, __ATOMIC_ACQUIRE);

    if (error < 0) {
        return fail(stress, error, "stopping queue %u: %s", queue, strerror(-error));
    }
    /* Everything popped was pushed: the next head to pop is the one after the last used. */
    if ((uint16_t)stress->base[queue] != used) {
        return fail(stress, -EPROTO, "queue %u stopped at base %u with used index %u", queue,
                    stress->base[queue], used);
    }
    return 0;
}
