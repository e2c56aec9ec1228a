/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Messages of the vhost-user protocol as they are on the wire (vhost-user specification, "Message
 * Specification"), in the order of the specification; little-endian. Only what this back end
 * speaks.
 */
#ifndef UBIBLK_VHOST_VHOST_MSG_H
#define UBIBLK_VHOST_VHOST_MSG_H

#include <assert.h>
#include <stdint.h>

enum vhost_request {
    VHOST_USER_GET_FEATURES = 1,
    VHOST_USER_SET_FEATURES = 2,
    VHOST_USER_SET_OWNER = 3,
    VHOST_USER_RESET_OWNER = 4,
    VHOST_USER_SET_MEM_TABLE = 5,
    VHOST_USER_SET_VRING_NUM = 8,
    VHOST_USER_SET_VRING_ADDR = 9,
    VHOST_USER_SET_VRING_BASE = 10,
    VHOST_USER_GET_VRING_BASE = 11,
    VHOST_USER_SET_VRING_KICK = 12,
    VHOST_USER_SET_VRING_CALL = 13,
    VHOST_USER_SET_VRING_ERR = 14,
    VHOST_USER_GET_PROTOCOL_FEATURES = 15,
    VHOST_USER_SET_PROTOCOL_FEATURES = 16,
    VHOST_USER_GET_QUEUE_NUM = 17,
    VHOST_USER_SET_VRING_ENABLE = 18,
    VHOST_USER_GET_CONFIG = 24,
    VHOST_USER_SET_CONFIG = 25,
    VHOST_USER_GET_MAX_MEM_SLOTS = 36,
    VHOST_USER_ADD_MEM_REG = 37,
    VHOST_USER_REM_MEM_REG = 38,
};

/* Transport feature bits (virtio 1.2, 6) and the vhost-user one. */
enum {
    VIRTIO_F_INDIRECT_DESC = 28,
    VIRTIO_F_EVENT_IDX = 29,
    VHOST_USER_F_PROTOCOL_FEATURES = 30,
    VIRTIO_F_VERSION_1 = 32
};

enum {
    VHOST_USER_PROTOCOL_F_MQ = 0,
    VHOST_USER_PROTOCOL_F_REPLY_ACK = 3,
    VHOST_USER_PROTOCOL_F_CONFIG = 9,
    VHOST_USER_PROTOCOL_F_CONFIGURE_MEM_SLOTS = 15,
};

enum {
    VHOST_FLAGS_VERSION_MASK = 3,
    VHOST_FLAGS_VERSION = 1,
    VHOST_FLAGS_REPLY = 1 << 2,
    VHOST_FLAGS_NEED_REPLY = 1 << 3,
};

/* SET_VRING_KICK, _CALL and _ERR: the ring's index, and a bit that says that no fd comes with it.
 */
enum { VHOST_VRING_INDEX_MASK = 0xff, VHOST_VRING_NOFD = 1 << 8 };

enum {
    VHOST_TABLE_REGIONS_MAX = 32,
    VHOST_CONFIG_BYTES_MAX = 256,
    VHOST_FDS_MAX = VHOST_TABLE_REGIONS_MAX
};

struct vhost_header {
    uint32_t request;
    uint32_t flags;
    uint32_t byte_len; /* of the payload */
};

struct vhost_vring_state {
    uint32_t index;
    uint32_t value;
};

struct vhost_vring_addr {
    uint32_t index;
    uint32_t flags;
    uint64_t desc_uaddr;
    uint64_t used_uaddr;
    uint64_t avail_uaddr;
    uint64_t log_gpa;
};

struct vhost_region {
    uint64_t gpa;
    uint64_t byte_len;
    uint64_t uaddr;
    uint64_t mmap_offset;
};

struct vhost_mem_table {
    uint32_t count;
    uint32_t padding;
    struct vhost_region regions[VHOST_TABLE_REGIONS_MAX];
};

struct vhost_mem_reg {
    uint64_t padding;
    struct vhost_region region;
};

struct vhost_config {
    uint32_t offset;
    uint32_t byte_len;
    uint32_t flags;
    uint8_t bytes[VHOST_CONFIG_BYTES_MAX];
};

enum { VHOST_CONFIG_HEADER_BYTES = 12, VHOST_MEM_TABLE_HEADER_BYTES = 8 };

union vhost_payload {
    uint64_t u64;
    struct vhost_vring_state state;
    struct vhost_vring_addr addr;
    struct vhost_mem_table table;
    struct vhost_mem_reg mem_reg;
    struct vhost_config config;
};

static_assert(sizeof(struct vhost_header) == 12, "vhost-user: header");
static_assert(sizeof(struct vhost_vring_state) == 8, "vhost-user: vring state");
static_assert(sizeof(struct vhost_vring_addr) == 40, "vhost-user: vring address");
static_assert(sizeof(struct vhost_region) == 32, "vhost-user: memory region");
static_assert(sizeof(struct vhost_mem_reg) == 40, "vhost-user: single memory region");
static_assert(sizeof(struct vhost_config) == VHOST_CONFIG_HEADER_BYTES + VHOST_CONFIG_BYTES_MAX,
              "vhost-user: config");

/* One message and the descriptors that came with it. */
struct vhost_message {
    struct vhost_header header;
    union vhost_payload payload;
    int fds[VHOST_FDS_MAX];
    uint32_t fd_count;
};

#endif
