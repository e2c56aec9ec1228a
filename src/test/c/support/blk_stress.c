/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Connections, queues and memory under random requests.
 *
 * Design: a request's memory belongs to its slot (one arena per region), so it stays valid until
 * its head completes, however long that takes and over however many connections. The token of a
 * chain is the slot's number.
 */
#include "support/blk_stress.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "support/stress_request.h"

enum {
    SECTOR = 512,
    ARENA_SLACK = 48 * 1024,
    TABLE_BYTES = SHAPE_SEGMENTS_MAX * 16,
    WAIT_MS = 30000,
};

/* Guest addresses of the regions: far apart, one of them above 4 GiB. */
static const uint64_t region_gpa[] = {0x1000, 0x10000000, 0x140000000, 0x400000000};

/* Where they begin in their files; one not even at a page. */
static const uint64_t file_offset[] = {8192, 0, 1 << 20, 0x10a30};

static uint32_t arena_bytes(uint32_t slot)
{
    return (slot < STRESS_LARGE_SLOTS ? STRESS_REQUEST_BYTES_MAX : STRESS_REQUEST_BYTES) +
           ARENA_SLACK;
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
            init_request(stress, stress_request_at(stress, queue, slot), slot);
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

/* --- connections ------------------------------------------------------------------------------ */

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
            error = blk_stress_script_read(stress, request->sector, request->sector_count);
        } else {
            stress_request_unclaim(stress, request);
        }
    }
    for (uint32_t queue = 0; queue < stress->params.queue_count; queue++) {
        virtq_driver_reset(&stress->queues[queue].driver);
        stress->base[queue] = 0;
    }
    return error;
}

int blk_stress_start_queue(struct blk_stress *stress, uint32_t queue)
{
    int error = frontend_queue_start(&stress->frontend, &stress->ram, &stress->queues[queue],
                                     stress->base[queue]);

    if (error < 0) {
        return stress_fail(stress, error, "starting queue %u: %s", queue, strerror(-error));
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
        return stress_fail(stress, error, "connecting: %s", strerror(-error));
    }
    if (vhost_frontend_has(&stress->frontend, VIRTIO_RING_F_EVENT_IDX) != stress->event_idx ||
        vhost_frontend_has(&stress->frontend, VIRTIO_RING_F_INDIRECT_DESC) != stress->indirect) {
        return stress_fail(stress, -ENOTSUP, "the back end does not offer a wanted ring feature");
    }
    stress->frontend.need_reply = true;
    if (stress->forget && (error = forget_requests(stress)) < 0) {
        return stress_fail(stress, error, "out of memory");
    }
    stress->forget = false;
    error = vhost_frontend_share(&stress->frontend, &stress->ram);
    if (error < 0) {
        return stress_fail(stress, error, "sharing memory: %s", strerror(-error));
    }
    for (uint32_t queue = 0; queue < stress->params.queue_count; queue++) {
        error = blk_stress_start_queue(stress, queue);
        if (error < 0) {
            return error;
        }
    }
    error = vhost_frontend_sync(&stress->frontend);
    return error < 0 ? stress_fail(stress, error, "after the queues' start: %s", strerror(-error))
                     : 0;
}

void blk_stress_vanish(struct blk_stress *stress, bool forget)
{
    vhost_frontend_disconnect(&stress->frontend);
    stress->forget = forget;
    for (uint32_t queue = 0; queue < stress->params.queue_count; queue++) {
        stress->base[queue] = stress->queues[queue].driver.used_index;
    }
}

/* Takes what queue has completed. The count or -errno. */
static int reap(struct blk_stress *stress, uint32_t queue)
{
    struct virtq_completion completions[64];
    int count = virtq_driver_reap(&stress->queues[queue].driver, completions, 64);

    if (count < 0) {
        return stress_fail(stress, count, "queue %u: %s", queue,
                           virtq_driver_fault(&stress->queues[queue].driver));
    }
    for (int i = 0; i < count; i++) {
        int error = stress_request_end(stress, queue, &completions[i]);

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
        if (!stress_request_at(stress, queue, slot)->busy) {
            *left -= (uint64_t)stress_request_start(stress, queue, slot);
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
                       : stress_fail(stress, -ETIMEDOUT,
                                     "queue %u: %u requests in flight, %s after %d ms", queue,
                                     driver->in_flight_count,
                                     virtq_driver_has_used(driver) ? "used entries but no signal"
                                                                   : "no used entry",
                                     WAIT_MS);
        }
    }
    return 0;
}

/* Waits for a completion on any queue, but not beyond the deadline. */
static void await_until(struct blk_stress *stress, uint64_t deadline_ns)
{
    struct pollfd calls[STRESS_QUEUES_MAX];
    uint64_t now = clock_now_ns();
    struct timespec left = {0};

    for (uint32_t queue = 0; queue < stress->params.queue_count; queue++) {
        struct virtq_driver *driver = &stress->queues[queue].driver;

        virtq_driver_enable_signals(driver);
        if (virtq_driver_has_used(driver)) {
            return;
        }
        calls[queue] = (struct pollfd){.fd = driver->call_fd, .events = POLLIN};
    }
    if (now < deadline_ns) {
        left.tv_sec = (time_t)((deadline_ns - now) / 1000000000u);
        left.tv_nsec = (long)((deadline_ns - now) % 1000000000u);
    }
    ppoll(calls, stress->params.queue_count, &left, NULL);
}

/* One round over all queues. 1 when something moved, 0 or -errno. */
static int move(struct blk_stress *stress, uint64_t *left)
{
    uint64_t started = stress->started, ended = stress->ended;

    for (uint32_t queue = 0; queue < stress->params.queue_count; queue++) {
        int count = reap(stress, queue);

        if (count < 0) {
            return count;
        }
        top_up(stress, queue, left);
    }
    return started != stress->started || ended != stress->ended;
}

/* One round; waits when nothing moved. */
static int turn(struct blk_stress *stress, uint64_t *left)
{
    int moved = move(stress, left);

    return moved != 0 ? (moved < 0 ? moved : 0) : await_any(stress);
}

int blk_stress_run(struct blk_stress *stress, uint64_t count)
{
    int error = 0;

    while (count > 0 && error == 0) {
        error = turn(stress, &count);
    }
    return error;
}

int blk_stress_run_until(struct blk_stress *stress, uint64_t deadline_ns)
{
    int moved = 1;

    while (moved >= 0 && clock_now_ns() < deadline_ns) {
        uint64_t left = UINT64_MAX;

        moved = move(stress, &left);
        if (moved == 0) {
            await_until(stress, deadline_ns);
        }
    }
    return moved < 0 ? moved : 0;
}

int blk_stress_collect(struct blk_stress *stress)
{
    uint64_t none = 0;
    int moved;

    do {
        moved = move(stress, &none);
    } while (moved > 0);
    return moved;
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
        return stress_fail(stress, error, "removing region %u: %s", region, strerror(-error));
    }
    for (uint32_t i = 0; i < count; i++) {
        stress->requests[i].arenas[region - 1].gpa += gpa - moved->gpa;
    }
    moved->uaddr += gpa - moved->gpa;
    moved->gpa = gpa;
    error = vhost_frontend_add_mem_reg(&stress->frontend, moved);
    if (error < 0) {
        return stress_fail(stress, error, "adding region %u: %s", region, strerror(-error));
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

/* --- stopping --------------------------------------------------------------------------------- */

int blk_stress_stop_queue(struct blk_stress *stress, uint32_t queue)
{
    struct frontend_queue *stopped = &stress->queues[queue];
    int error = frontend_queue_stop(&stress->frontend, stopped, &stress->base[queue]);
    uint16_t used = __atomic_load_n(&stopped->driver.used->idx, __ATOMIC_ACQUIRE);

    if (error < 0) {
        return stress_fail(stress, error, "stopping queue %u: %s", queue, strerror(-error));
    }
    /* Everything popped was pushed: the next head to pop is the one after the last used. */
    if ((uint16_t)stress->base[queue] != used) {
        return stress_fail(stress, -EPROTO, "queue %u stopped at base %u with used index %u", queue,
                           stress->base[queue], used);
    }
    return 0;
}
