/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Every change of a started ring is a command to its queue thread. Commands to several queues are
 * posted first and waited for together, so a stop of all rings takes as long as the slowest one.
 */
#include "vhost_rings.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/align.h"
#include "base/minmax.h"

/* Commands are slow when they take that much longer than a stop may wait for stripes. */
enum { PATIENCE_MS = 1000 };

struct vhost_ring {
    uint32_t size; /* 0: not set */
    uint16_t base;
    bool addr_set;
    bool enabled;
    bool started;
    struct vhost_vring_addr addr;
    int fds[VHOST_RING_FD_COUNT];
    struct vhost_command command; /* the one that its queue has, or the last one */
};

struct vhost_rings {
    struct vhost_rings_params params;
    uint32_t count;
    uint64_t features;
    struct guest_memory *memory;
    struct vhost_ring ring[];
};

struct vhost_rings *vhost_rings_create(const struct vhost_rings_params *params)
{
    uint32_t count = params->device->queue_count;
    struct vhost_rings *rings = calloc(1, sizeof(*rings) + count * sizeof(rings->ring[0]));
    struct guest_memory *memory = guest_memory_create(params->guard);
    if (!rings || !memory) {
        guest_memory_unref(memory);
        free(rings);
        return NULL;
    }
    rings->params = *params;
    rings->count = count;
    rings->memory = memory;
    for (uint32_t i = 0; i < count; i++)
        for (uint32_t which = 0; which < VHOST_RING_FD_COUNT; which++)
            rings->ring[i].fds[which] = -1;
    vhost_cache_session_begins(params->cache);
    return rings;
}

static void post(struct vhost_rings *rings, uint32_t index, enum vhost_command_kind kind)
{
    struct vhost_ring *ring = &rings->ring[index];
    ring->command.kind = kind;
    ring->command.kick_fd = ring->fds[VHOST_RING_KICK];
    ring->command.call_fd = ring->fds[VHOST_RING_CALL];
    ring->command.err_fd = ring->fds[VHOST_RING_ERR];
    ring->command.setup.memory = rings->memory;
    ring->command.stop_timeout_ms = rings->params.stop_timeout_ms;
    vhost_queue_post(rings->params.queues[index], &ring->command);
}

static void post_started(struct vhost_rings *rings, enum vhost_command_kind kind)
{
    for (uint32_t i = 0; i < rings->count; i++)
        if (rings->ring[i].started)
            post(rings, i, kind);
}

static uint32_t commands_open(const struct vhost_rings *rings)
{
    uint32_t open = 0;
    for (uint32_t i = 0; i < rings->count; i++)
        open += !vhost_queue_done(rings->params.queues[i]);
    return open;
}

/* The barrier: waits until every posted command is done. What takes longer than a stop may is
 * logged, once. */
static void wait_commands(struct vhost_rings *rings)
{
    struct pollfd done = {.fd = rings->params.done_fd, .events = POLLIN};
    int timeout_ms = (int)min_u32(rings->params.stop_timeout_ms, INT_MAX - PATIENCE_MS);
    timeout_ms += PATIENCE_MS;
    while (commands_open(rings) > 0) {
        uint64_t count;
        int ready = poll(&done, 1, timeout_ms);
        if (ready > 0 && read(done.fd, &count, sizeof(count)) < 0)
            continue;
        if (ready == 0) {
            log_write(rings->params.log, LOG_WARN,
                      "%u queues still wait for the disk to finish their requests after %d ms",
                      commands_open(rings), timeout_ms);
            timeout_ms = -1;
        }
    }
}

static int run(struct vhost_rings *rings, uint32_t index, enum vhost_command_kind kind)
{
    post(rings, index, kind);
    wait_commands(rings);
    return rings->ring[index].command.result;
}

static void ring_close_fds(struct vhost_ring *ring)
{
    for (uint32_t which = 0; which < VHOST_RING_FD_COUNT; which++) {
        if (ring->fds[which] >= 0)
            close(ring->fds[which]);
        ring->fds[which] = -1;
    }
}

static void ring_stopped(struct vhost_ring *ring)
{
    ring->base = ring->command.next_avail;
    ring->started = false;
}

void vhost_rings_destroy(struct vhost_rings *rings)
{
    if (!rings)
        return;
    post_started(rings, VHOST_COMMAND_STOP);
    wait_commands(rings);
    for (uint32_t i = 0; i < rings->count; i++)
        ring_close_fds(&rings->ring[i]);
    guest_memory_unref(rings->memory);
    free(rings);
}

int vhost_rings_apply_cache_mode(struct vhost_rings *rings)
{
    struct blk_device *device = rings->params.device;
    bool write_back = vhost_cache_write_back(rings->params.cache);
    /* Release: pairs with request_go of blk_queue.c. */
    bool before = atomic_exchange_explicit(&device->write_back, write_back, memory_order_acq_rel);
    if (write_back || !before)
        return 0;
    post_started(rings, VHOST_COMMAND_DRAIN_WRITES);
    wait_commands(rings);
    return blk_device_sync(device);
}

int vhost_rings_set_features(struct vhost_rings *rings, uint64_t features)
{
    rings->features = features;
    vhost_cache_features(rings->params.cache, features);
    return vhost_rings_apply_cache_mode(rings);
}

static bool ring_parts(const struct vhost_ring *ring, const struct guest_memory *memory,
                       struct virtq_parts *parts)
{
    const struct vhost_vring_addr *addr = &ring->addr;
    parts->desc =
        guest_memory_at_uaddr(memory, addr->desc_uaddr, sizeof(*parts->desc) * ring->size);
    parts->avail = guest_memory_at_uaddr(memory, addr->avail_uaddr, virtq_avail_bytes(ring->size));
    parts->used = guest_memory_at_uaddr(memory, addr->used_uaddr, virtq_used_bytes(ring->size));
    return parts->desc && parts->avail && parts->used && is_aligned((uintptr_t)parts->desc, 16) &&
           is_aligned((uintptr_t)parts->avail, 2) && is_aligned((uintptr_t)parts->used, 4);
}

static int not_mapped(uint32_t index, struct error *error)
{
    return error_set(error, -EPROTO, "queue %u: its ring is not in mapped memory or not aligned",
                     index);
}

static int ring_start(struct vhost_rings *rings, uint32_t index, struct error *error)
{
    struct vhost_ring *ring = &rings->ring[index];
    struct vhost_command *command = &ring->command;
    if (ring->size == 0 || !ring->addr_set)
        return error_set(error, -EPROTO, "SET_VRING_KICK for queue %u before its size and address",
                         index);
    if (!ring_parts(ring, rings->memory, &command->setup.parts))
        return not_mapped(index, error);
    vhost_cache_ring_starts(rings->params.cache, index,
                            virtq_parts_fresh(&command->setup.parts, (uint16_t)ring->size));
    vhost_rings_apply_cache_mode(rings);
    command->setup.size = (uint16_t)ring->size;
    command->setup.base = ring->base;
    command->setup.event_idx = rings->features & 1ull << VIRTIO_F_EVENT_IDX;
    command->enabled = ring->enabled || !(rings->features & 1ull << VHOST_USER_F_PROTOCOL_FEATURES);
    int result = run(rings, index, VHOST_COMMAND_START);
    if (result < 0)
        return error_set_errno(error, result, "queue %u cannot start", index);
    ring->started = true;
    log_write(rings->params.log, LOG_DEBUG, "queue %u started: ring of %u, base %u%s", index,
              ring->size, ring->base, command->setup.event_idx ? ", event index" : "");
    return 0;
}

const struct guest_memory *vhost_rings_memory(const struct vhost_rings *rings)
{
    return rings->memory;
}

int vhost_rings_set_memory(struct vhost_rings *rings, struct guest_memory *memory)
{
    struct guest_memory *before = rings->memory;
    rings->memory = memory;
    for (uint32_t i = 0; i < rings->count; i++) {
        struct vhost_ring *ring = &rings->ring[i];
        if (!ring->started)
            continue;
        bool mapped = ring_parts(ring, memory, &ring->command.setup.parts);
        if (!mapped)
            log_write(rings->params.log, LOG_WARN, "queue %u stops: its ring is no longer mapped",
                      i);
        post(rings, i, mapped ? VHOST_COMMAND_MEMORY : VHOST_COMMAND_STOP);
    }
    wait_commands(rings);
    int result = 0;
    for (uint32_t i = 0; i < rings->count; i++) {
        struct vhost_ring *ring = &rings->ring[i];
        if (!ring->started)
            continue;
        if (ring->command.kind == VHOST_COMMAND_STOP)
            ring_stopped(ring);
        else if (ring->command.result < 0)
            result = ring->command.result;
    }
    guest_memory_unref(before);
    return result;
}

int vhost_rings_set_size(struct vhost_rings *rings, uint32_t index, uint32_t size,
                         struct error *error)
{
    struct vhost_ring *ring = &rings->ring[index];
    if (!is_power_of_two(size) || size > rings->params.device->queue_size) {
        return error_set(
            error, -EPROTO,
            "SET_VRING_NUM %u: a power of two up to queue_size (%u) is possible; raise "
            "queue_size, or give the front end a smaller queue size",
            size, rings->params.device->queue_size);
    }
    if (ring->started)
        return error_set(error, -EPROTO, "SET_VRING_NUM for queue %u while it is started", index);
    ring->size = size;
    return 0;
}

int vhost_rings_set_base(struct vhost_rings *rings, uint32_t index, uint32_t base,
                         struct error *error)
{
    struct vhost_ring *ring = &rings->ring[index];
    if (base > UINT16_MAX)
        return error_set(error, -EPROTO, "SET_VRING_BASE %u does not fit 16 bits", base);
    if (ring->started)
        return error_set(error, -EPROTO, "SET_VRING_BASE for queue %u while it is started", index);
    ring->base = (uint16_t)base;
    return 0;
}

int vhost_rings_set_addr(struct vhost_rings *rings, const struct vhost_vring_addr *addr,
                         struct error *error)
{
    struct vhost_ring *ring = &rings->ring[addr->index];
    ring->addr = *addr;
    ring->addr_set = true;
    if (!ring->started)
        return 0;
    if (!ring_parts(ring, rings->memory, &ring->command.setup.parts))
        return not_mapped(addr->index, error);
    return run(rings, addr->index, VHOST_COMMAND_MEMORY);
}

int vhost_rings_enable(struct vhost_rings *rings, uint32_t index, bool enabled, struct error *error)
{
    struct vhost_ring *ring = &rings->ring[index];
    if (!(rings->features & 1ull << VHOST_USER_F_PROTOCOL_FEATURES))
        return error_set(error, -EPROTO, "SET_VRING_ENABLE without protocol features");
    ring->enabled = enabled;
    ring->command.enabled = enabled;
    return ring->started ? run(rings, index, VHOST_COMMAND_ENABLE) : 0;
}

uint16_t vhost_rings_get_base(struct vhost_rings *rings, uint32_t index)
{
    struct vhost_ring *ring = &rings->ring[index];
    if (ring->started) {
        run(rings, index, VHOST_COMMAND_STOP);
        ring_stopped(ring);
    }
    ring_close_fds(ring);
    return ring->base;
}

/* Queue threads write signals; an eventfd that is full or a pipe that nobody reads would hold one
 * up for ever, and with it every later front end. */
static void make_nonblocking(int fd)
{
    int flags = fcntl(fd, F_GETFL);
    if (flags >= 0)
        fcntl(fd, F_SETFL, flags | O_NONBLOCK);
}

int vhost_rings_set_fd(struct vhost_rings *rings, uint32_t index, enum vhost_ring_fd which, int fd,
                       struct error *error)
{
    struct vhost_ring *ring = &rings->ring[index];
    if (fd >= 0 && which != VHOST_RING_KICK)
        make_nonblocking(fd);
    int before = ring->fds[which];
    ring->fds[which] = fd;
    /* A started ring lets go of the old descriptor before it is closed. */
    int result = ring->started ? run(rings, index, VHOST_COMMAND_FDS) : 0;
    if (before >= 0)
        close(before);
    if (result < 0)
        return error_set_errno(error, result, "queue %u: its new descriptor", index);
    return which == VHOST_RING_KICK && !ring->started ? ring_start(rings, index, error) : 0;
}
