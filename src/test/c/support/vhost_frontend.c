/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * A vhost-user front end.
 *
 * Design: blocking calls with a deadline on a non-blocking socket, one message at a time. Every
 * typed call is a few lines over command and query, so a hostile test can always drop to the layer
 * below and send something else.
 */
#include "support/vhost_frontend.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

_Static_assert(sizeof(struct frontend_header) == 12, "vhost-user header");
_Static_assert(sizeof(struct frontend_vring_addr) == 40, "vring address description");
_Static_assert(sizeof(struct frontend_mem_region) == 32, "memory region description");
_Static_assert(offsetof(struct frontend_mem_table, regions) == 8, "memory regions description");
_Static_assert(sizeof(struct frontend_single_region) == 40, "single memory region description");
_Static_assert(offsetof(struct frontend_config, bytes) == 12, "device config space description");

static int64_t now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Waits for the socket. 0 or -ETIMEDOUT. */
static int await(int fd, short events, int64_t deadline)
{
    struct pollfd socket = {.fd = fd, .events = events};
    int64_t left = deadline - now_ms();

    return poll(&socket, 1, left > 0 ? (int)left : 0) > 0 ? 0 : -ETIMEDOUT;
}

static bool may_come_up(int error)
{
    return error == ENOENT || error == ECONNREFUSED || error == EAGAIN;
}

static int connect_once(const struct sockaddr_un *address)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (fd < 0) {
        return -errno;
    }
    if (connect(fd, (const struct sockaddr *)(const void *)address, sizeof(*address)) < 0) {
        int error = errno;

        close(fd);
        return -error;
    }
    return fd;
}

int vhost_frontend_connect(struct vhost_frontend *frontend, const char *path, int timeout_ms)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int64_t deadline = now_ms() + timeout_ms;
    int fd;

    *frontend = (struct vhost_frontend){.fd = -1, .timeout_ms = FRONTEND_TIMEOUT_MS};
    if (strlen(path) >= sizeof(address.sun_path)) {
        return -ENAMETOOLONG;
    }
    memcpy(address.sun_path, path, strlen(path) + 1);
    fd = connect_once(&address);
    while (fd < 0 && may_come_up(-fd) && now_ms() < deadline) {
        poll(NULL, 0, 2);
        fd = connect_once(&address);
    }
    if (fd < 0) {
        return fd;
    }
    frontend->fd = fd;
    return 0;
}

void vhost_frontend_disconnect(struct vhost_frontend *frontend)
{
    if (frontend->fd >= 0) {
        close(frontend->fd);
        frontend->fd = -1;
    }
}

static int transfer_error(int error)
{
    return error == EPIPE || error == ECONNRESET ? -ECONNRESET : -error;
}

int vhost_frontend_await_close(struct vhost_frontend *frontend, int timeout_ms)
{
    int64_t deadline = now_ms() + timeout_ms;

    for (;;) {
        uint8_t rest[256];
        ssize_t got;

        if (await(frontend->fd, POLLIN, deadline) < 0) {
            return -ETIMEDOUT;
        }
        got = recv(frontend->fd, rest, sizeof(rest), 0);
        if (got == 0 || (got < 0 && transfer_error(errno) == -ECONNRESET)) {
            return 0;
        }
    }
}

/* The control message for fd_count descriptors, or none. */
static void attach_fds(struct msghdr *message, void *control, const int *fds, uint32_t fd_count)
{
    struct cmsghdr *header;

    if (fd_count == 0) {
        return;
    }
    message->msg_control = control;
    message->msg_controllen = CMSG_SPACE(sizeof(int) * fd_count);
    header = CMSG_FIRSTHDR(message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int) * fd_count);
    memcpy(CMSG_DATA(header), fds, sizeof(int) * fd_count);
}

union fd_control {
    struct cmsghdr aligned;
    char bytes[CMSG_SPACE(sizeof(int) * FRONTEND_FDS_MAX)];
};

int vhost_frontend_send_raw(struct vhost_frontend *frontend, const void *bytes, size_t byte_len,
                            const int *fds, uint32_t fd_count)
{
    int64_t deadline = now_ms() + frontend->timeout_ms;
    const uint8_t *at = bytes;

    while (byte_len > 0) {
        struct iovec part = {.iov_base = (void *)(uintptr_t)at, .iov_len = byte_len};
        struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
        union fd_control control = {0};
        ssize_t sent;

        attach_fds(&message, &control, fds, fd_count);
        sent = sendmsg(frontend->fd, &message, MSG_NOSIGNAL);
        if (sent < 0 && errno == EAGAIN) {
            if (await(frontend->fd, POLLOUT, deadline) < 0) {
                return -ETIMEDOUT;
            }
            continue;
        }
        if (sent < 0) {
            return transfer_error(errno);
        }
        at += sent;
        byte_len -= (size_t)sent;
        fd_count = 0;
    }
    return 0;
}

int vhost_frontend_send(struct vhost_frontend *frontend, uint32_t request, uint32_t flags,
                        const void *payload, uint32_t size, const int *fds, uint32_t fd_count)
{
    uint8_t bytes[sizeof(struct frontend_header) + FRONTEND_PAYLOAD_MAX];
    struct frontend_header header = {
        .request = request, .flags = FRONTEND_VERSION | flags, .size = size};

    if (size > FRONTEND_PAYLOAD_MAX) {
        return -EMSGSIZE;
    }
    memcpy(bytes, &header, sizeof(header));
    if (size > 0) {
        memcpy(bytes + sizeof(header), payload, size);
    }
    return vhost_frontend_send_raw(frontend, bytes, sizeof(header) + size, fds, fd_count);
}

static void take_fds(struct msghdr *message, struct frontend_reply *reply)
{
    for (struct cmsghdr *header = CMSG_FIRSTHDR(message); header != NULL;
         header = CMSG_NXTHDR(message, header)) {
        if (header->cmsg_level == SOL_SOCKET && header->cmsg_type == SCM_RIGHTS) {
            size_t bytes = header->cmsg_len - CMSG_LEN(0);

            memcpy(reply->fds, CMSG_DATA(header), bytes);
            reply->fd_count = (uint32_t)(bytes / sizeof(int));
        }
    }
}

/* Receives exactly byte_len bytes; the first piece may bring descriptors. */
static int receive_exactly(struct vhost_frontend *frontend, void *bytes, size_t byte_len,
                           struct frontend_reply *reply)
{
    int64_t deadline = now_ms() + frontend->timeout_ms;
    uint8_t *at = bytes;

    while (byte_len > 0) {
        struct iovec part = {.iov_base = at, .iov_len = byte_len};
        union fd_control control;
        struct msghdr message = {.msg_iov = &part,
                                 .msg_iovlen = 1,
                                 .msg_control = &control,
                                 .msg_controllen = sizeof(control)};
        ssize_t got = recvmsg(frontend->fd, &message, MSG_CMSG_CLOEXEC);

        if (got < 0 && errno == EAGAIN) {
            if (await(frontend->fd, POLLIN, deadline) < 0) {
                return -ETIMEDOUT;
            }
            continue;
        }
        if (got <= 0) {
            return got == 0 ? -ECONNRESET : transfer_error(errno);
        }
        take_fds(&message, reply);
        at += got;
        byte_len -= (size_t)got;
    }
    return 0;
}

int vhost_frontend_receive(struct vhost_frontend *frontend, struct frontend_reply *reply)
{
    int error;

    reply->fd_count = 0;
    error = receive_exactly(frontend, &reply->header, sizeof(reply->header), reply);
    if (error < 0) {
        return error;
    }
    if (reply->header.size > sizeof(reply->payload)) {
        return -EPROTO;
    }
    return receive_exactly(frontend, reply->payload, reply->header.size, reply);
}

static int receive_answer(struct vhost_frontend *frontend, uint32_t request,
                          struct frontend_reply *reply)
{
    int error = vhost_frontend_receive(frontend, reply);

    if (error < 0) {
        return error;
    }
    if (reply->header.request != request || (reply->header.flags & (3u | FRONTEND_FLAG_REPLY)) !=
                                                (FRONTEND_VERSION | FRONTEND_FLAG_REPLY)) {
        return -EPROTO;
    }
    return 0;
}

static int receive_u64(struct vhost_frontend *frontend, uint32_t request, uint64_t *value)
{
    struct frontend_reply reply;
    int error = receive_answer(frontend, request, &reply);

    if (error < 0) {
        return error;
    }
    if (reply.header.size != sizeof(*value)) {
        return -EPROTO;
    }
    memcpy(value, reply.payload, sizeof(*value));
    return 0;
}

int vhost_frontend_command(struct vhost_frontend *frontend, uint32_t request, const void *payload,
                           uint32_t size, const int *fds, uint32_t fd_count)
{
    bool acked = frontend->need_reply &&
                 (frontend->protocol_acked & FRONTEND_BIT(FRONTEND_PROTOCOL_REPLY_ACK)) != 0;
    uint64_t status;
    int error = vhost_frontend_send(frontend, request, acked ? FRONTEND_FLAG_NEED_REPLY : 0,
                                    payload, size, fds, fd_count);

    if (error < 0 || !acked) {
        return error;
    }
    error = receive_u64(frontend, request, &status);
    if (error < 0) {
        return error;
    }
    return status == 0 ? 0 : -EREMOTEIO;
}

int vhost_frontend_query(struct vhost_frontend *frontend, uint32_t request, const void *payload,
                         uint32_t size, struct frontend_reply *reply)
{
    int error = vhost_frontend_send(frontend, request, 0, payload, size, NULL, 0);

    return error < 0 ? error : receive_answer(frontend, request, reply);
}

int vhost_frontend_get_u64(struct vhost_frontend *frontend, uint32_t request, uint64_t *value)
{
    int error = vhost_frontend_send(frontend, request, 0, NULL, 0, NULL, 0);

    return error < 0 ? error : receive_u64(frontend, request, value);
}

int vhost_frontend_set_u64(struct vhost_frontend *frontend, uint32_t request, uint64_t value)
{
    return vhost_frontend_command(frontend, request, &value, sizeof(value), NULL, 0);
}

int vhost_frontend_sync(struct vhost_frontend *frontend)
{
    uint64_t features;

    return vhost_frontend_get_u64(frontend, FRONTEND_GET_FEATURES, &features);
}

static int negotiate_protocol(struct vhost_frontend *frontend, uint64_t protocol_features)
{
    int error = vhost_frontend_get_u64(frontend, FRONTEND_GET_PROTOCOL_FEATURES,
                                       &frontend->protocol_offered);

    if (error < 0) {
        return error;
    }
    protocol_features &= frontend->protocol_offered;
    error = vhost_frontend_set_u64(frontend, FRONTEND_SET_PROTOCOL_FEATURES, protocol_features);
    frontend->protocol_acked = protocol_features;
    return error;
}

int vhost_frontend_negotiate(struct vhost_frontend *frontend, uint64_t features,
                             uint64_t protocol_features)
{
    int error = vhost_frontend_get_u64(frontend, FRONTEND_GET_FEATURES, &frontend->offered);

    if (error < 0) {
        return error;
    }
    frontend->acked = features & frontend->offered;
    if (vhost_frontend_has(frontend, FRONTEND_F_PROTOCOL_FEATURES)) {
        error = negotiate_protocol(frontend, protocol_features);
        if (error < 0) {
            return error;
        }
    }
    error = vhost_frontend_command(frontend, FRONTEND_SET_OWNER, NULL, 0, NULL, 0);
    if (error < 0) {
        return error;
    }
    return vhost_frontend_set_u64(frontend, FRONTEND_SET_FEATURES, frontend->acked);
}

bool vhost_frontend_has(const struct vhost_frontend *frontend, uint32_t feature)
{
    return (frontend->acked & FRONTEND_BIT(feature)) != 0;
}

static struct frontend_mem_region describe(const struct guest_ram_region *region)
{
    return (struct frontend_mem_region){.gpa = region->gpa,
                                        .size = region->size,
                                        .uaddr = region->uaddr,
                                        .mmap_offset = region->file_offset};
}

int vhost_frontend_set_mem_table(struct vhost_frontend *frontend, const struct guest_ram *ram)
{
    struct frontend_mem_table table = {.region_count = ram->region_count};
    int fds[GUEST_RAM_REGIONS_MAX];

    for (uint32_t i = 0; i < ram->region_count; i++) {
        table.regions[i] = describe(&ram->regions[i]);
        fds[i] = ram->regions[i].fd;
    }
    return vhost_frontend_command(
        frontend, FRONTEND_SET_MEM_TABLE, &table,
        (uint32_t)(offsetof(struct frontend_mem_table, regions) +
                   ram->region_count * sizeof(struct frontend_mem_region)),
        fds, ram->region_count);
}

int vhost_frontend_add_mem_reg(struct vhost_frontend *frontend,
                               const struct guest_ram_region *region)
{
    struct frontend_single_region single = {.region = describe(region)};

    return vhost_frontend_command(frontend, FRONTEND_ADD_MEM_REG, &single, sizeof(single),
                                  &region->fd, 1);
}

int vhost_frontend_rem_mem_reg(struct vhost_frontend *frontend,
                               const struct guest_ram_region *region)
{
    struct frontend_single_region single = {.region = describe(region)};

    return vhost_frontend_command(frontend, FRONTEND_REM_MEM_REG, &single, sizeof(single), NULL, 0);
}

int vhost_frontend_share(struct vhost_frontend *frontend, const struct guest_ram *ram)
{
    if ((frontend->protocol_acked & FRONTEND_BIT(FRONTEND_PROTOCOL_MEM_SLOTS)) == 0) {
        return vhost_frontend_set_mem_table(frontend, ram);
    }
    for (uint32_t i = 0; i < ram->region_count; i++) {
        int error = vhost_frontend_add_mem_reg(frontend, &ram->regions[i]);

        if (error < 0) {
            return error;
        }
    }
    return 0;
}

int vhost_frontend_get_config(struct vhost_frontend *frontend, uint32_t offset, uint32_t size,
                              void *bytes)
{
    struct frontend_config config = {.offset = offset, .size = size};
    uint32_t head = offsetof(struct frontend_config, bytes);
    struct frontend_reply reply;
    int error;

    if (size > sizeof(config.bytes)) {
        return -EINVAL;
    }
    error = vhost_frontend_query(frontend, FRONTEND_GET_CONFIG, &config, head + size, &reply);
    if (error < 0) {
        return error;
    }
    if (reply.header.size == 0) {
        return -ENODATA;
    }
    memcpy(&config, reply.payload, head);
    if (reply.header.size != head + size || config.size != size || config.offset != offset) {
        return -EPROTO;
    }
    memcpy(bytes, reply.payload + head, size);
    return 0;
}

int vhost_frontend_set_config(struct vhost_frontend *frontend, uint32_t offset, uint32_t size,
                              const void *bytes)
{
    struct frontend_config config = {.offset = offset, .size = size};

    if (size > sizeof(config.bytes)) {
        return -EINVAL;
    }
    memcpy(config.bytes, bytes, size);
    return vhost_frontend_command(frontend, FRONTEND_SET_CONFIG, &config,
                                  (uint32_t)offsetof(struct frontend_config, bytes) + size, NULL,
                                  0);
}

int vhost_frontend_set_vring(struct vhost_frontend *frontend, uint32_t request, uint32_t index,
                             uint32_t num)
{
    struct frontend_vring_state state = {.index = index, .num = num};

    return vhost_frontend_command(frontend, request, &state, sizeof(state), NULL, 0);
}

int vhost_frontend_set_vring_addr(struct vhost_frontend *frontend, uint32_t index,
                                  uint64_t desc_uaddr, uint64_t avail_uaddr, uint64_t used_uaddr)
{
    struct frontend_vring_addr addr = {.index = index,
                                       .desc_uaddr = desc_uaddr,
                                       .used_uaddr = used_uaddr,
                                       .avail_uaddr = avail_uaddr};

    return vhost_frontend_command(frontend, FRONTEND_SET_VRING_ADDR, &addr, sizeof(addr), NULL, 0);
}

int vhost_frontend_set_vring_fd(struct vhost_frontend *frontend, uint32_t request, uint32_t index,
                                int fd)
{
    uint64_t value = index | (fd < 0 ? (uint64_t)FRONTEND_VRING_NO_FD : 0);

    return vhost_frontend_command(frontend, request, &value, sizeof(value), &fd, fd < 0 ? 0 : 1);
}

int vhost_frontend_get_vring_base(struct vhost_frontend *frontend, uint32_t index, uint32_t *base)
{
    struct frontend_vring_state state = {.index = index};
    struct frontend_reply reply;
    int error =
        vhost_frontend_query(frontend, FRONTEND_GET_VRING_BASE, &state, sizeof(state), &reply);

    if (error < 0) {
        return error;
    }
    if (reply.header.size != sizeof(state)) {
        return -EPROTO;
    }
    memcpy(&state, reply.payload, sizeof(state));
    *base = state.num;
    return state.index == index ? 0 : -EPROTO;
}
