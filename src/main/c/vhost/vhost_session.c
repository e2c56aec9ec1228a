/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Each message has one handler. A handler returns
 *   0             done; acknowledged with 0 if the front end asked for it
 *   REPLIED       done, and it answered itself
 *   REFUSED       valid but not possible: acknowledged with 1 and logged, the connection goes on
 *   -errno        a violation: acknowledged with 1, then the connection ends
 * The queue threads do what concerns them by commands; the session waits for those at a barrier, so
 * that when a message is acknowledged its effect is complete.
 */
#include "vhost_session.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/align.h"
#include "base/checked.h"
#include "blk/virtio_blk.h"
#include "vhost/vhost_socket.h"

enum { REPLIED = 1, REFUSED = 2 };

/* Cloud Hypervisor asks for the configuration space where a PCI device has it. */
enum { CONFIG_PCI_OFFSET = 0x100 };

#define DEVICE_FEATURES                                                                            \
    (VIRTIO_BLK_FEATURES | 1ull << VIRTIO_F_INDIRECT_DESC | 1ull << VIRTIO_F_EVENT_IDX |           \
     1ull << VHOST_USER_F_PROTOCOL_FEATURES | 1ull << VIRTIO_F_VERSION_1)

#define PROTOCOL_FEATURES                                                                          \
    (1ull << VHOST_USER_PROTOCOL_F_MQ | 1ull << VHOST_USER_PROTOCOL_F_REPLY_ACK |                  \
     1ull << VHOST_USER_PROTOCOL_F_CONFIG | 1ull << VHOST_USER_PROTOCOL_F_CONFIGURE_MEM_SLOTS)

struct vhost_ring {
    uint32_t size; /* 0: not set */
    uint16_t base;
    bool addr_set;
    bool enabled;
    bool started;
    struct vhost_vring_addr addr;
    int kick_fd;
    int call_fd;
    int err_fd;
    struct vhost_command command; /* the one that its queue has, or the last one */
};

struct vhost_session {
    struct vhost_session_params params;
    struct blk_device *device;
    int conn_fd;
    uint64_t features;
    uint64_t protocol_features;
    struct guest_memory *memory;
    struct vhost_receiver receiver;
    struct vhost_ring rings[]; /* device->queue_count */
};

struct vhost_session *vhost_session_create(const struct vhost_session_params *params, int conn_fd)
{
    uint32_t count = params->device->queue_count;
    struct vhost_session *session = calloc(1, sizeof(*session) + count * sizeof(session->rings[0]));
    struct guest_memory *memory = guest_memory_create();
    if (!session || !memory) {
        guest_memory_unref(memory);
        free(session);
        return NULL;
    }
    session->params = *params;
    session->device = params->device;
    session->conn_fd = conn_fd;
    session->memory = memory;
    vhost_cache_session_begins(params->cache);
    for (uint32_t i = 0; i < count; i++)
        session->rings[i].kick_fd = session->rings[i].call_fd = session->rings[i].err_fd = -1;
    return session;
}

static uint32_t ring_index(const struct vhost_session *session, const struct vhost_ring *ring)
{
    return (uint32_t)(ring - session->rings);
}

static void post(struct vhost_session *session, struct vhost_ring *ring,
                 enum vhost_command_kind kind)
{
    ring->command.kind = kind;
    ring->command.kick_fd = ring->kick_fd;
    ring->command.call_fd = ring->call_fd;
    ring->command.err_fd = ring->err_fd;
    ring->command.memory = session->memory;
    vhost_queue_post(session->params.queues[ring_index(session, ring)], &ring->command);
}

static uint32_t commands_open(const struct vhost_session *session)
{
    uint32_t open = 0;
    for (uint32_t i = 0; i < session->device->queue_count; i++)
        open += !vhost_queue_done(session->params.queues[i]);
    return open;
}

/* The barrier: waits until every posted command is done. What takes longer than a stop may is
 * logged, once. */
static void wait_commands(struct vhost_session *session)
{
    struct pollfd done = {.fd = session->params.done_fd, .events = POLLIN};
    int timeout_ms = (int)session->params.stop_timeout_ms;
    while (commands_open(session) > 0) {
        uint64_t count;
        int ready = poll(&done, 1, timeout_ms);
        if (ready > 0 && read(done.fd, &count, sizeof(count)) < 0)
            continue;
        if (ready == 0) {
            log_write(session->params.log, LOG_WARN,
                      "%u queues still wait for the disk to finish their requests after %d ms",
                      commands_open(session), timeout_ms);
            timeout_ms = -1;
        }
    }
}

static int run(struct vhost_session *session, struct vhost_ring *ring, enum vhost_command_kind kind)
{
    post(session, ring, kind);
    wait_commands(session);
    return ring->command.result;
}

static void close_fd(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

static void ring_close_fds(struct vhost_ring *ring)
{
    close_fd(&ring->kick_fd);
    close_fd(&ring->call_fd);
    close_fd(&ring->err_fd);
}

static void ring_stopped(struct vhost_ring *ring)
{
    ring->base = ring->command.next_avail;
    ring->started = false;
}

static void stop_all(struct vhost_session *session)
{
    for (uint32_t i = 0; i < session->device->queue_count; i++)
        if (session->rings[i].started)
            post(session, &session->rings[i], VHOST_COMMAND_STOP);
    wait_commands(session);
    for (uint32_t i = 0; i < session->device->queue_count; i++)
        if (session->rings[i].started)
            ring_stopped(&session->rings[i]);
}

void vhost_session_destroy(struct vhost_session *session)
{
    if (!session)
        return;
    stop_all(session);
    for (uint32_t i = 0; i < session->device->queue_count; i++)
        ring_close_fds(&session->rings[i]);
    vhost_receiver_reset(&session->receiver);
    guest_memory_unref(session->memory);
    close(session->conn_fd);
    free(session);
}

int vhost_session_fd(const struct vhost_session *session)
{
    return session->conn_fd;
}

/*
 * Puts the cache mode into effect. Turning the cache off ends with the writes that were volatile
 * made durable, so that whoever asked for it can rely on everything before.
 */
static int apply_cache_mode(struct vhost_session *session)
{
    bool write_back = vhost_cache_write_back(session->params.cache);
    /* Release: pairs with blk_queue_start. */
    bool before =
        atomic_exchange_explicit(&session->device->write_back, write_back, memory_order_acq_rel);
    if (write_back || !before)
        return 0;
    for (uint32_t i = 0; i < session->device->queue_count; i++)
        if (session->rings[i].started)
            post(session, &session->rings[i], VHOST_COMMAND_DRAIN_WRITES);
    wait_commands(session);
    return blk_device_sync(session->device);
}

static int reply(struct vhost_session *session, const void *payload, uint32_t byte_len)
{
    int result = vhost_socket_reply(session->conn_fd, session->receiver.message.header.request,
                                    payload, byte_len);
    return result < 0 ? result : REPLIED;
}

static int reply_u64(struct vhost_session *session, uint64_t value)
{
    return reply(session, &value, sizeof(value));
}

static int set_features(struct vhost_session *session, uint64_t features, struct error *error)
{
    uint64_t unknown = features & ~DEVICE_FEATURES;
    if (unknown)
        return error_set(error, -EPROTO, "SET_FEATURES: bits 0x%llx are not offered",
                         (unsigned long long)unknown);
    session->features = features;
    vhost_cache_features(session->params.cache, features);
    return apply_cache_mode(session) < 0 ? REFUSED : 0;
}

static int set_protocol_features(struct vhost_session *session, uint64_t features,
                                 struct error *error)
{
    uint64_t unknown = features & ~PROTOCOL_FEATURES;
    if (unknown)
        return error_set(error, -EPROTO, "SET_PROTOCOL_FEATURES: bits 0x%llx are not offered",
                         (unsigned long long)unknown);
    session->protocol_features = features;
    return 0;
}

/* NULL, with the sentence for -EPROTO, when there is no such ring. */
static struct vhost_ring *find_ring(struct vhost_session *session, uint64_t index,
                                    struct error *error)
{
    if (index < session->device->queue_count)
        return &session->rings[index];
    error_set(error, -EPROTO, "message %u names queue %u, there are %u",
              session->receiver.message.header.request, (unsigned)index,
              session->device->queue_count);
    return NULL;
}

static bool ring_enabled(const struct vhost_session *session, const struct vhost_ring *ring)
{
    return ring->enabled || !(session->features & 1ull << VHOST_USER_F_PROTOCOL_FEATURES);
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

static int ring_start(struct vhost_session *session, struct vhost_ring *ring, struct error *error)
{
    uint32_t index = ring_index(session, ring);
    struct vhost_command *command = &ring->command;
    if (ring->size == 0 || !ring->addr_set)
        return error_set(error, -EPROTO, "SET_VRING_KICK for queue %u before its size and address",
                         index);
    if (!ring_parts(ring, session->memory, &command->parts))
        return error_set(error, -EPROTO,
                         "queue %u: its ring is not in mapped memory or not aligned", index);
    vhost_cache_ring_starts(session->params.cache, index,
                            virtq_parts_fresh(&command->parts, (uint16_t)ring->size));
    apply_cache_mode(session);
    command->size = (uint16_t)ring->size;
    command->base = ring->base;
    command->event_idx = session->features & 1ull << VIRTIO_F_EVENT_IDX;
    command->enabled = ring_enabled(session, ring);
    int result = run(session, ring, VHOST_COMMAND_START);
    if (result < 0)
        return error_set_errno(error, result, "queue %u cannot start", index);
    ring->started = true;
    log_write(session->params.log, LOG_DEBUG, "queue %u started: ring of %u, base %u%s", index,
              ring->size, ring->base, command->event_idx ? ", event index" : "");
    return 0;
}

/* A new memory table: rings move to where it maps them; one that it does not map stops. */
static int use_memory(struct vhost_session *session, struct guest_memory *memory)
{
    struct guest_memory *before = session->memory;
    session->memory = memory;
    for (uint32_t i = 0; i < session->device->queue_count; i++) {
        struct vhost_ring *ring = &session->rings[i];
        if (!ring->started)
            continue;
        bool mapped = ring_parts(ring, memory, &ring->command.parts);
        if (!mapped)
            log_write(session->params.log, LOG_WARN, "queue %u stops: its ring is no longer mapped",
                      i);
        post(session, ring, mapped ? VHOST_COMMAND_MEMORY : VHOST_COMMAND_STOP);
    }
    wait_commands(session);
    int result = 0;
    for (uint32_t i = 0; i < session->device->queue_count; i++) {
        struct vhost_ring *ring = &session->rings[i];
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

static struct guest_region_params region_params(const struct vhost_region *region)
{
    return (struct guest_region_params){.gpa = region->gpa,
                                        .byte_len = region->byte_len,
                                        .uaddr = region->uaddr,
                                        .mmap_offset = region->mmap_offset};
}

static int set_mem_table(struct vhost_session *session, struct error *error)
{
    struct vhost_message *message = &session->receiver.message;
    const struct vhost_mem_table *table = &message->payload.table;
    if (table->count == 0 || table->count > VHOST_TABLE_REGIONS_MAX ||
        table->count != message->fd_count ||
        message->header.byte_len <
            VHOST_MEM_TABLE_HEADER_BYTES + table->count * sizeof(table->regions[0]))
        return error_set(
            error, -EPROTO, "SET_MEM_TABLE: %u regions with %u descriptors in %u bytes (limit %u)",
            table->count, message->fd_count, message->header.byte_len, VHOST_TABLE_REGIONS_MAX);
    struct guest_memory *memory = guest_memory_create();
    if (!memory)
        return error_set(error, -ENOMEM, "no memory for a memory table");
    for (uint32_t i = 0; i < table->count; i++) {
        struct guest_region_params params = region_params(&table->regions[i]);
        struct guest_memory *larger;
        int result = guest_memory_add(memory, &params, message->fds[i], &larger, error);
        guest_memory_unref(memory);
        if (result < 0)
            return result;
        memory = larger;
    }
    return use_memory(session, memory);
}

static int refuse(struct vhost_session *session, const struct error *error)
{
    log_write(session->params.log, LOG_WARN, "front end's request %u refused: %s",
              session->receiver.message.header.request, error->message);
    return REFUSED;
}

static int add_mem_reg(struct vhost_session *session, struct error *error)
{
    struct vhost_message *message = &session->receiver.message;
    if (message->fd_count != 1)
        return error_set(error, -EPROTO, "ADD_MEM_REG with %u descriptors, it takes 1",
                         message->fd_count);
    struct guest_region_params params = region_params(&message->payload.mem_reg.region);
    struct guest_memory *memory;
    if (guest_memory_add(session->memory, &params, message->fds[0], &memory, error) < 0)
        return refuse(session, error);
    return use_memory(session, memory);
}

static int rem_mem_reg(struct vhost_session *session, struct error *error)
{
    struct guest_region_params params =
        region_params(&session->receiver.message.payload.mem_reg.region);
    struct guest_memory *memory;
    if (guest_memory_remove(session->memory, &params, &memory, error) < 0)
        return refuse(session, error);
    return use_memory(session, memory);
}

static int set_vring_num(struct vhost_session *session, struct vhost_ring *ring, uint32_t size,
                         struct error *error)
{
    if (!is_power_of_two(size) || size > session->device->queue_size)
        return error_set(error, -EPROTO, "SET_VRING_NUM %u: a power of two up to %u is possible",
                         size, session->device->queue_size);
    if (ring->started)
        return error_set(error, -EPROTO, "SET_VRING_NUM for a started queue");
    ring->size = size;
    return 0;
}

static int set_vring_base(struct vhost_ring *ring, uint32_t base, struct error *error)
{
    if (base > UINT16_MAX)
        return error_set(error, -EPROTO, "SET_VRING_BASE %u does not fit 16 bits", base);
    if (ring->started)
        return error_set(error, -EPROTO, "SET_VRING_BASE for a started queue");
    ring->base = (uint16_t)base;
    return 0;
}

static int set_vring_addr(struct vhost_session *session, struct error *error)
{
    const struct vhost_vring_addr *addr = &session->receiver.message.payload.addr;
    struct vhost_ring *ring = find_ring(session, addr->index, error);
    if (!ring)
        return -EPROTO;
    ring->addr = *addr;
    ring->addr_set = true;
    if (!ring->started)
        return 0;
    if (!ring_parts(ring, session->memory, &ring->command.parts))
        return error_set(error, -EPROTO,
                         "queue %u: its ring is not in mapped memory or not aligned", addr->index);
    return run(session, ring, VHOST_COMMAND_MEMORY);
}

static int get_vring_base(struct vhost_session *session, struct vhost_ring *ring)
{
    if (ring->started) {
        run(session, ring, VHOST_COMMAND_STOP);
        ring_stopped(ring);
    }
    ring_close_fds(ring);
    struct vhost_vring_state state = {.index = ring_index(session, ring), .value = ring->base};
    return reply(session, &state, sizeof(state));
}

/* Replaces one of a ring's descriptors; a started ring lets go of the old one before it is closed.
 */
static int replace_fd(struct vhost_session *session, struct vhost_ring *ring, int *place, int fd)
{
    int before = *place;
    *place = fd;
    int result = ring->started ? run(session, ring, VHOST_COMMAND_FDS) : 0;
    if (before >= 0)
        close(before);
    return result;
}

static int set_vring_fd(struct vhost_session *session, struct error *error)
{
    struct vhost_message *message = &session->receiver.message;
    struct vhost_ring *ring =
        find_ring(session, message->payload.u64 & VHOST_VRING_INDEX_MASK, error);
    if (!ring)
        return -EPROTO;
    bool wanted = !(message->payload.u64 & VHOST_VRING_NOFD);
    if (message->fd_count != (wanted ? 1 : 0))
        return error_set(error, -EPROTO, "message %u with %u descriptors, it takes %d",
                         message->header.request, message->fd_count, wanted);
    if (message->header.request == VHOST_USER_SET_VRING_CALL)
        return replace_fd(session, ring, &ring->call_fd, vhost_message_take_fd(message));
    if (message->header.request == VHOST_USER_SET_VRING_ERR)
        return replace_fd(session, ring, &ring->err_fd, vhost_message_take_fd(message));
    if (!wanted)
        return error_set(error, -EPROTO,
                         "SET_VRING_KICK without a descriptor: polled rings are not served");
    int result = replace_fd(session, ring, &ring->kick_fd, vhost_message_take_fd(message));
    return result == 0 && !ring->started ? ring_start(session, ring, error) : result;
}

static int set_vring_enable(struct vhost_session *session, struct vhost_ring *ring, uint32_t value,
                            struct error *error)
{
    if (!(session->features & 1ull << VHOST_USER_F_PROTOCOL_FEATURES))
        return error_set(error, -EPROTO, "SET_VRING_ENABLE without protocol features");
    ring->enabled = value != 0;
    ring->command.enabled = ring->enabled;
    return ring->started ? run(session, ring, VHOST_COMMAND_ENABLE) : 0;
}

static int vring_state(struct vhost_session *session, struct error *error)
{
    const struct vhost_message *message = &session->receiver.message;
    const struct vhost_vring_state *state = &message->payload.state;
    struct vhost_ring *ring = find_ring(session, state->index, error);
    if (!ring)
        return -EPROTO;
    switch (message->header.request) {
    case VHOST_USER_SET_VRING_NUM:
        return set_vring_num(session, ring, state->value, error);
    case VHOST_USER_SET_VRING_BASE:
        return set_vring_base(ring, state->value, error);
    case VHOST_USER_GET_VRING_BASE:
        return get_vring_base(session, ring);
    default:
        return set_vring_enable(session, ring, state->value, error);
    }
}

static uint32_t config_offset(const struct vhost_config *config)
{
    return config->offset >= CONFIG_PCI_OFFSET ? config->offset - CONFIG_PCI_OFFSET
                                               : config->offset;
}

static bool config_fits(const struct vhost_message *message)
{
    const struct vhost_config *config = &message->payload.config;
    return message->header.byte_len >= VHOST_CONFIG_HEADER_BYTES &&
           config->byte_len <= VHOST_CONFIG_BYTES_MAX &&
           message->header.byte_len - VHOST_CONFIG_HEADER_BYTES >= config->byte_len;
}

static int get_config(struct vhost_session *session)
{
    const struct vhost_message *message = &session->receiver.message;
    if (!config_fits(message))
        return reply(session, NULL, 0); /* vhost-user: an empty payload says that it failed */
    struct vhost_config answer = message->payload.config;
    struct virtio_blk_config config;
    virtio_blk_config_fill(session->device, vhost_cache_config_writeback(session->params.cache),
                           &config);
    uint32_t offset = config_offset(&answer);
    memset(answer.bytes, 0, sizeof(answer.bytes));
    if (offset < sizeof(config)) {
        size_t part = sizeof(config) - offset;
        memcpy(answer.bytes, (const uint8_t *)&config + offset,
               part < answer.byte_len ? part : answer.byte_len);
    }
    return reply(session, &answer, VHOST_CONFIG_HEADER_BYTES + answer.byte_len);
}

static int set_config(struct vhost_session *session, struct error *error)
{
    const struct vhost_message *message = &session->receiver.message;
    const struct vhost_config *config = &message->payload.config;
    if (!config_fits(message))
        return error_set(error, -EPROTO, "SET_CONFIG: %u bytes in a payload of %u",
                         config->byte_len, message->header.byte_len);
    if (config_offset(config) != VIRTIO_BLK_CONFIG_WRITEBACK_OFFSET || config->byte_len != 1) {
        error_set(error, -EPERM,
                  "%u bytes at %u of the configuration space; only byte %u can be written",
                  config->byte_len, config->offset, VIRTIO_BLK_CONFIG_WRITEBACK_OFFSET);
        return refuse(session, error);
    }
    vhost_cache_driver_writes(session->params.cache, config->bytes[0] != 0);
    if (apply_cache_mode(session) < 0) {
        error_set(error, -EIO, "the writes before the cache was turned off could not be synced");
        return refuse(session, error);
    }
    log_write(session->params.log, LOG_INFO, "the driver set its cache to %s",
              atomic_load(&session->device->write_back) ? "write-back" : "write-through");
    return 0;
}

static int dispatch(struct vhost_session *session, struct error *error)
{
    const struct vhost_message *message = &session->receiver.message;
    switch (message->header.request) {
    case VHOST_USER_GET_FEATURES:
        return reply_u64(session, DEVICE_FEATURES);
    case VHOST_USER_SET_FEATURES:
        return set_features(session, message->payload.u64, error);
    case VHOST_USER_SET_OWNER:
    case VHOST_USER_RESET_OWNER: /* deprecated; a back end may ignore it */
        return 0;
    case VHOST_USER_GET_PROTOCOL_FEATURES:
        return reply_u64(session, PROTOCOL_FEATURES);
    case VHOST_USER_SET_PROTOCOL_FEATURES:
        return set_protocol_features(session, message->payload.u64, error);
    case VHOST_USER_GET_QUEUE_NUM:
        return reply_u64(session, session->device->queue_count);
    case VHOST_USER_GET_MAX_MEM_SLOTS:
        return reply_u64(session, GUEST_MEMORY_REGIONS_MAX);
    case VHOST_USER_SET_MEM_TABLE:
        return set_mem_table(session, error);
    case VHOST_USER_ADD_MEM_REG:
        return add_mem_reg(session, error);
    case VHOST_USER_REM_MEM_REG:
        return rem_mem_reg(session, error);
    case VHOST_USER_SET_VRING_NUM:
    case VHOST_USER_SET_VRING_BASE:
    case VHOST_USER_GET_VRING_BASE:
    case VHOST_USER_SET_VRING_ENABLE:
        return vring_state(session, error);
    case VHOST_USER_SET_VRING_ADDR:
        return set_vring_addr(session, error);
    case VHOST_USER_SET_VRING_KICK:
    case VHOST_USER_SET_VRING_CALL:
    case VHOST_USER_SET_VRING_ERR:
        return set_vring_fd(session, error);
    case VHOST_USER_GET_CONFIG:
        return get_config(session);
    case VHOST_USER_SET_CONFIG:
        return set_config(session, error);
    default:
        return error_set(error, -EPROTO, "message %u is not one that was negotiated",
                         message->header.request);
    }
}

/* The smallest payload that makes sense of a message; longer ones are tolerated. */
static uint32_t payload_bytes_min(uint32_t request)
{
    switch (request) {
    case VHOST_USER_SET_FEATURES:
    case VHOST_USER_SET_PROTOCOL_FEATURES:
    case VHOST_USER_SET_VRING_KICK:
    case VHOST_USER_SET_VRING_CALL:
    case VHOST_USER_SET_VRING_ERR:
        return sizeof(uint64_t);
    case VHOST_USER_SET_VRING_NUM:
    case VHOST_USER_SET_VRING_BASE:
    case VHOST_USER_GET_VRING_BASE:
    case VHOST_USER_SET_VRING_ENABLE:
        return sizeof(struct vhost_vring_state);
    case VHOST_USER_SET_VRING_ADDR:
        return sizeof(struct vhost_vring_addr);
    case VHOST_USER_SET_MEM_TABLE:
        return VHOST_MEM_TABLE_HEADER_BYTES;
    case VHOST_USER_ADD_MEM_REG:
    case VHOST_USER_REM_MEM_REG:
        return sizeof(struct vhost_mem_reg);
    default:
        return 0;
    }
}

static int handle_message(struct vhost_session *session, struct error *error)
{
    const struct vhost_header *header = &session->receiver.message.header;
    int result =
        header->byte_len >= payload_bytes_min(header->request)
            ? dispatch(session, error)
            : error_set(error, -EPROTO, "message %u has a payload of %u bytes, it needs %u",
                        header->request, header->byte_len, payload_bytes_min(header->request));
    bool ack_wanted = (header->flags & VHOST_FLAGS_NEED_REPLY) &&
                      (session->protocol_features & 1ull << VHOST_USER_PROTOCOL_F_REPLY_ACK);
    if (result == REPLIED || !ack_wanted)
        return result < 0 ? result : 0;
    int sent = reply_u64(session, result != 0);
    if (result < 0)
        return result;
    return sent < 0 ? -ECONNRESET : 0;
}

int vhost_session_handle(struct vhost_session *session, struct error *error)
{
    for (;;) {
        int result = vhost_receiver_read(&session->receiver, session->conn_fd, error);
        if (result <= 0)
            return result;
        result = handle_message(session, error);
        vhost_receiver_reset(&session->receiver);
        if (result < 0)
            return result;
    }
}
