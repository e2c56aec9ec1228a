/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * A vhost-user front end for tests and benchmarks: connects to a back end's socket, negotiates any
 * subset of features, hands over memory and rings, and can send any bytes whatever.
 *
 * The wire structs are this file's own, written after the vhost-user protocol text, so that a
 * mistake in the back end's is not repeated here.
 *
 * Returns are 0 or -errno. From a request that expects an answer:
 *   -ECONNRESET  the back end closed the connection (also EPIPE while sending)
 *   -ETIMEDOUT   no answer within timeout_ms
 *   -EPROTO      an answer that does not match the request
 *   -EREMOTEIO   the back end acknowledged with an error (REPLY_ACK)
 * A front end belongs to one thread.
 */
#ifndef UBIBLK_SUPPORT_VHOST_FRONTEND_H
#define UBIBLK_SUPPORT_VHOST_FRONTEND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "support/guest_ram.h"

enum {
    FRONTEND_FDS_MAX = 64,
    FRONTEND_PAYLOAD_MAX = 4096,
    FRONTEND_TIMEOUT_MS = 20000,
};

enum frontend_request {
    FRONTEND_GET_FEATURES = 1,
    FRONTEND_SET_FEATURES = 2,
    FRONTEND_SET_OWNER = 3,
    FRONTEND_RESET_OWNER = 4,
    FRONTEND_SET_MEM_TABLE = 5,
    FRONTEND_SET_LOG_BASE = 6,
    FRONTEND_SET_LOG_FD = 7,
    FRONTEND_SET_VRING_NUM = 8,
    FRONTEND_SET_VRING_ADDR = 9,
    FRONTEND_SET_VRING_BASE = 10,
    FRONTEND_GET_VRING_BASE = 11,
    FRONTEND_SET_VRING_KICK = 12,
    FRONTEND_SET_VRING_CALL = 13,
    FRONTEND_SET_VRING_ERR = 14,
    FRONTEND_GET_PROTOCOL_FEATURES = 15,
    FRONTEND_SET_PROTOCOL_FEATURES = 16,
    FRONTEND_GET_QUEUE_NUM = 17,
    FRONTEND_SET_VRING_ENABLE = 18,
    FRONTEND_GET_CONFIG = 24,
    FRONTEND_SET_CONFIG = 25,
    FRONTEND_GET_INFLIGHT_FD = 31,
    FRONTEND_SET_INFLIGHT_FD = 32,
    FRONTEND_RESET_DEVICE = 34,
    FRONTEND_GET_MAX_MEM_SLOTS = 36,
    FRONTEND_ADD_MEM_REG = 37,
    FRONTEND_REM_MEM_REG = 38,
};

enum {
    FRONTEND_VERSION = 1,
    FRONTEND_FLAG_REPLY = 1 << 2,
    FRONTEND_FLAG_NEED_REPLY = 1 << 3,
    FRONTEND_VRING_NO_FD = 1 << 8,
};

/* Bit numbers. */
enum frontend_protocol_feature {
    FRONTEND_PROTOCOL_MQ = 0,
    FRONTEND_PROTOCOL_REPLY_ACK = 3,
    FRONTEND_PROTOCOL_CONFIG = 9,
    FRONTEND_PROTOCOL_MEM_SLOTS = 15,
};

enum { FRONTEND_F_PROTOCOL_FEATURES = 30 };

#define FRONTEND_BIT(number) (UINT64_C(1) << (number))

struct frontend_header {
    uint32_t request;
    uint32_t flags;
    uint32_t size;
};

struct frontend_vring_state {
    uint32_t index;
    uint32_t num;
};

struct frontend_vring_addr {
    uint32_t index;
    uint32_t flags;
    uint64_t desc_uaddr;
    uint64_t used_uaddr;
    uint64_t avail_uaddr;
    uint64_t log_gpa;
};

struct frontend_mem_region {
    uint64_t gpa;
    uint64_t size;
    uint64_t uaddr;
    uint64_t mmap_offset;
};

struct frontend_mem_table {
    uint32_t region_count;
    uint32_t padding;
    struct frontend_mem_region regions[GUEST_RAM_REGIONS_MAX];
};

struct frontend_single_region {
    uint64_t padding;
    struct frontend_mem_region region;
};

struct frontend_config {
    uint32_t offset;
    uint32_t size;
    uint32_t flags;
    uint8_t bytes[256];
};

struct frontend_reply {
    struct frontend_header header;
    uint8_t payload[FRONTEND_PAYLOAD_MAX];
    int fds[FRONTEND_FDS_MAX]; /* owned by the receiver */
    uint32_t fd_count;
};

struct vhost_frontend {
    int fd; /* -1: not connected */
    int timeout_ms;
    uint64_t offered, acked;                   /* device features */
    uint64_t protocol_offered, protocol_acked; /* protocol features */
    bool need_reply; /* ask for an acknowledgement of every message once REPLY_ACK is acked */
};

/* Connects; while the path is missing or refuses, tries again until timeout_ms has passed. */
int vhost_frontend_connect(struct vhost_frontend *frontend, const char *path, int timeout_ms);

/* Closes the socket, as a front end that vanishes. Fine when not connected. */
void vhost_frontend_disconnect(struct vhost_frontend *frontend);

/* Waits until the back end closes the connection. 0, or -ETIMEDOUT while it is still open; what
 * arrives before the end is thrown away. */
int vhost_frontend_await_close(struct vhost_frontend *frontend, int timeout_ms);

/* --- any bytes -------------------------------------------------------------------------------- */

/* Sends bytes and descriptors (borrowed) just as they are. */
int vhost_frontend_send_raw(struct vhost_frontend *frontend, const void *bytes, size_t byte_len,
                            const int *fds, uint32_t fd_count);

/* Sends a header of this request with version 1, flags besides, and a payload. */
int vhost_frontend_send(struct vhost_frontend *frontend, uint32_t request, uint32_t flags,
                        const void *payload, uint32_t size, const int *fds, uint32_t fd_count);

/* Receives one whole message. */
int vhost_frontend_receive(struct vhost_frontend *frontend, struct frontend_reply *reply);

/*
 * Sends a message that has no answer of its own; with need_reply and REPLY_ACK it asks for the
 * acknowledgement and waits for it. Without, it returns once sent.
 */
int vhost_frontend_command(struct vhost_frontend *frontend, uint32_t request, const void *payload,
                           uint32_t size, const int *fds, uint32_t fd_count);

/* Sends a message that has an answer, and checks that the answer is for it. */
int vhost_frontend_query(struct vhost_frontend *frontend, uint32_t request, const void *payload,
                         uint32_t size, struct frontend_reply *reply);

int vhost_frontend_get_u64(struct vhost_frontend *frontend, uint32_t request, uint64_t *value);
int vhost_frontend_set_u64(struct vhost_frontend *frontend, uint32_t request, uint64_t value);

/* A round trip (GET_FEATURES): everything sent before has been handled when it returns. */
int vhost_frontend_sync(struct vhost_frontend *frontend);

/* --- negotiation, memory, configuration ------------------------------------------------------- */

/*
 * GET_FEATURES, the protocol features if offered, SET_OWNER, SET_FEATURES. Acks features and
 * protocol_features as far as they are offered (both sets in frontend->acked, protocol_acked);
 * VHOST_USER_F_PROTOCOL_FEATURES only if it is in features.
 */
int vhost_frontend_negotiate(struct vhost_frontend *frontend, uint64_t features,
                             uint64_t protocol_features);

bool vhost_frontend_has(const struct vhost_frontend *frontend, uint32_t feature);

int vhost_frontend_set_mem_table(struct vhost_frontend *frontend, const struct guest_ram *ram);
int vhost_frontend_add_mem_reg(struct vhost_frontend *frontend,
                               const struct guest_ram_region *region);
int vhost_frontend_rem_mem_reg(struct vhost_frontend *frontend,
                               const struct guest_ram_region *region);

/* ADD_MEM_REG for each region if CONFIGURE_MEM_SLOTS was acked, else SET_MEM_TABLE. */
int vhost_frontend_share(struct vhost_frontend *frontend, const struct guest_ram *ram);

/* GET_CONFIG: -ENODATA when the back end answers with no payload (its way to refuse). */
int vhost_frontend_get_config(struct vhost_frontend *frontend, uint32_t offset, uint32_t size,
                              void *bytes);
int vhost_frontend_set_config(struct vhost_frontend *frontend, uint32_t offset, uint32_t size,
                              const void *bytes);

/* --- virtqueues ------------------------------------------------------------------------------- */

int vhost_frontend_set_vring(struct vhost_frontend *frontend, uint32_t request, uint32_t index,
                             uint32_t num);
int vhost_frontend_set_vring_addr(struct vhost_frontend *frontend, uint32_t index,
                                  uint64_t desc_uaddr, uint64_t avail_uaddr, uint64_t used_uaddr);
/* request is SET_VRING_KICK, _CALL or _ERR; fd -1 sends none (polling). */
int vhost_frontend_set_vring_fd(struct vhost_frontend *frontend, uint32_t request, uint32_t index,
                                int fd);
int vhost_frontend_get_vring_base(struct vhost_frontend *frontend, uint32_t index, uint32_t *base);

#endif
