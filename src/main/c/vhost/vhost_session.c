/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Each message has one handler. A handler returns
 *   0             done; acknowledged with 0 if the front end asked for it
 *   REPLIED       done, and it answered itself
 *   REFUSED       valid but not possible: acknowledged with 1 and logged, the connection goes on
 *   -errno        a violation: acknowledged with 1, then the connection ends
 * What concerns rings is done by vhost_rings: when a message is acknowledged its effect is
 * complete.
 */
#include "vhost_session.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "blk/virtio_blk.h"
#include "vhost/vhost_msg.h"
#include "vhost/vhost_socket.h"

enum { REPLIED = 1, REFUSED = 2 };

/* A front end that sends without a pause cannot keep the session thread from its other events. */
enum { MESSAGES_PER_TURN = 64 };

/* Cloud Hypervisor asks for the configuration space where a PCI device has it. */
enum { CONFIG_PCI_OFFSET = 0x100 };

#define DEVICE_FEATURES                                                                            \
    (VIRTIO_BLK_FEATURES | 1ull << VIRTIO_F_INDIRECT_DESC | 1ull << VIRTIO_F_EVENT_IDX |           \
     1ull << VHOST_USER_F_PROTOCOL_FEATURES | 1ull << VIRTIO_F_VERSION_1)

#define PROTOCOL_FEATURES                                                                          \
    (1ull << VHOST_USER_PROTOCOL_F_MQ | 1ull << VHOST_USER_PROTOCOL_F_REPLY_ACK |                  \
     1ull << VHOST_USER_PROTOCOL_F_CONFIG | 1ull << VHOST_USER_PROTOCOL_F_CONFIGURE_MEM_SLOTS)

struct vhost_session {
    struct blk_device *device;
    struct vhost_cache *cache;
    struct log *log;
    struct guest_guard *guard;
    int conn_fd;
    uint64_t protocol_features;
    struct vhost_rings *rings;
    struct vhost_receiver receiver;
};

struct vhost_session *vhost_session_create(const struct vhost_rings_params *params, int conn_fd)
{
    struct vhost_session *session = calloc(1, sizeof(*session));
    struct vhost_rings *rings = vhost_rings_create(params);
    if (!session || !rings) {
        vhost_rings_destroy(rings);
        free(session);
        return NULL;
    }
    session->device = params->device;
    session->cache = params->cache;
    session->log = params->log;
    session->guard = params->guard;
    session->conn_fd = conn_fd;
    session->rings = rings;
    return session;
}

void vhost_session_destroy(struct vhost_session *session)
{
    if (!session)
        return;
    vhost_rings_destroy(session->rings);
    vhost_receiver_reset(&session->receiver);
    close(session->conn_fd);
    free(session);
}

int vhost_session_fd(const struct vhost_session *session)
{
    return session->conn_fd;
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
    return vhost_rings_set_features(session->rings, features) < 0 ? REFUSED : 0;
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
            VHOST_MEM_TABLE_HEADER_BYTES + table->count * sizeof(table->regions[0])) {
        return error_set(
            error, -EPROTO, "SET_MEM_TABLE: %u regions with %u descriptors in %u bytes (limit %u)",
            table->count, message->fd_count, message->header.byte_len, VHOST_TABLE_REGIONS_MAX);
    }
    struct guest_memory *memory = guest_memory_create(session->guard);
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
    return vhost_rings_set_memory(session->rings, memory);
}

static int refuse(struct vhost_session *session, const struct error *error)
{
    log_write(session->log, LOG_WARN, "front end's request %u refused: %s",
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
    if (guest_memory_add(vhost_rings_memory(session->rings), &params, message->fds[0], &memory,
                         error) < 0)
        return refuse(session, error);
    return vhost_rings_set_memory(session->rings, memory);
}

static int rem_mem_reg(struct vhost_session *session, struct error *error)
{
    struct guest_region_params params =
        region_params(&session->receiver.message.payload.mem_reg.region);
    struct guest_memory *memory;
    if (guest_memory_remove(vhost_rings_memory(session->rings), &params, &memory, error) < 0)
        return refuse(session, error);
    return vhost_rings_set_memory(session->rings, memory);
}

/* Whether the message names a ring that exists; the sentence for -EPROTO if not. */
static bool ring_exists(const struct vhost_session *session, uint64_t index, struct error *error)
{
    if (index < session->device->queue_count)
        return true;
    error_set(error, -EPROTO, "message %u names queue %u, there are %u",
              session->receiver.message.header.request, (unsigned)index,
              session->device->queue_count);
    return false;
}

static int set_vring_fd(struct vhost_session *session, struct error *error)
{
    struct vhost_message *message = &session->receiver.message;
    uint32_t index = message->payload.u64 & VHOST_VRING_INDEX_MASK;
    if (!ring_exists(session, index, error))
        return -EPROTO;
    bool wanted = !(message->payload.u64 & VHOST_VRING_NOFD);
    if (message->fd_count != (wanted ? 1 : 0))
        return error_set(error, -EPROTO, "message %u with %u descriptors, it takes %d",
                         message->header.request, message->fd_count, wanted);
    enum vhost_ring_fd which = VHOST_RING_KICK;
    if (message->header.request == VHOST_USER_SET_VRING_CALL)
        which = VHOST_RING_CALL;
    else if (message->header.request == VHOST_USER_SET_VRING_ERR)
        which = VHOST_RING_ERR;
    else if (!wanted)
        return error_set(error, -EPROTO,
                         "SET_VRING_KICK without a descriptor: polled rings are not served");
    return vhost_rings_set_fd(session->rings, index, which, vhost_message_take_fd(message), error);
}

static int set_vring_addr(struct vhost_session *session, struct error *error)
{
    const struct vhost_vring_addr *addr = &session->receiver.message.payload.addr;
    if (!ring_exists(session, addr->index, error))
        return -EPROTO;
    return vhost_rings_set_addr(session->rings, addr, error);
}

static int vring_state(struct vhost_session *session, struct error *error)
{
    const struct vhost_message *message = &session->receiver.message;
    struct vhost_vring_state state = message->payload.state;
    if (!ring_exists(session, state.index, error))
        return -EPROTO;
    switch (message->header.request) {
    case VHOST_USER_SET_VRING_NUM:
        return vhost_rings_set_size(session->rings, state.index, state.value, error);
    case VHOST_USER_SET_VRING_BASE:
        return vhost_rings_set_base(session->rings, state.index, state.value, error);
    case VHOST_USER_GET_VRING_BASE:
        state.value = vhost_rings_get_base(session->rings, state.index);
        return reply(session, &state, sizeof(state));
    default:
        return vhost_rings_enable(session->rings, state.index, state.value != 0, error);
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
    virtio_blk_config_fill(session->device, vhost_cache_config_writeback(session->cache), &config);
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
    vhost_cache_driver_writes(session->cache, config->bytes[0] != 0);
    if (vhost_rings_apply_cache_mode(session->rings) < 0) {
        error_set(error, -EIO, "the writes before the cache was turned off could not be synced");
        return refuse(session, error);
    }
    log_write(session->log, LOG_INFO, "the driver set its cache to %s",
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
    if (result < 0 && error->message[0] == '\0')
        error_set_errno(error, result, "message %u", header->request);
    if (result == REPLIED || !ack_wanted)
        return result < 0 ? result : 0;
    int sent = reply_u64(session, result != 0);
    if (result < 0)
        return result;
    return sent < 0 ? -ECONNRESET : 0;
}

int vhost_session_handle(struct vhost_session *session, struct error *error)
{
    for (uint32_t handled = 0; handled < MESSAGES_PER_TURN; handled++) {
        int result = vhost_receiver_read(&session->receiver, session->conn_fd, error);
        if (result <= 0)
            return result;
        result = handle_message(session, error);
        vhost_receiver_reset(&session->receiver);
        if (result < 0)
            return result;
    }
    return 0;
}
