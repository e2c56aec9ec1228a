/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * A plain virtio-blk client of a vhost-user back end: connects, shares memory, starts queues, and
 * keeps up to depth requests in flight on each. For tools, benchmarks and the simple parts of
 * tests; what a guest can do beyond that is made with virtq_driver directly.
 *
 * Request memory (header, status, data, indirect table) is made when the client opens; submitting
 * and reaping allocate nothing. A slot is one request's place; the caller picks a free one. The
 * data of a slot is page aligned. A client belongs to one thread; with several threads, each uses
 * queues of its own.
 */
#ifndef UBIBLK_SUPPORT_BLK_CLIENT_H
#define UBIBLK_SUPPORT_BLK_CLIENT_H

#include <linux/virtio_blk.h>
#include <stdbool.h>
#include <stdint.h>

#include "support/frontend_queue.h"
#include "support/guest_ram.h"
#include "support/vhost_frontend.h"

enum { BLK_CLIENT_QUEUES_MAX = 16 };

/* All features that this client can make use of. */
#define BLK_CLIENT_FEATURES                                                                        \
    (FRONTEND_BIT(VIRTIO_BLK_F_SIZE_MAX) | FRONTEND_BIT(VIRTIO_BLK_F_SEG_MAX) |                    \
     FRONTEND_BIT(VIRTIO_BLK_F_BLK_SIZE) | FRONTEND_BIT(VIRTIO_BLK_F_FLUSH) |                      \
     FRONTEND_BIT(VIRTIO_BLK_F_TOPOLOGY) | FRONTEND_BIT(VIRTIO_BLK_F_CONFIG_WCE) |                 \
     FRONTEND_BIT(VIRTIO_BLK_F_MQ) | FRONTEND_BIT(VIRTIO_RING_F_INDIRECT_DESC) |                   \
     FRONTEND_BIT(VIRTIO_RING_F_EVENT_IDX) | FRONTEND_BIT(FRONTEND_F_PROTOCOL_FEATURES) |          \
     FRONTEND_BIT(32 /* VIRTIO_F_VERSION_1 */))

#define BLK_CLIENT_PROTOCOL_FEATURES                                                               \
    (FRONTEND_BIT(FRONTEND_PROTOCOL_MQ) | FRONTEND_BIT(FRONTEND_PROTOCOL_REPLY_ACK) |              \
     FRONTEND_BIT(FRONTEND_PROTOCOL_CONFIG) | FRONTEND_BIT(FRONTEND_PROTOCOL_MEM_SLOTS))

/* Borrowed by blk_client_open. */
struct blk_client_params {
    const char *socket_path;
    uint64_t features;          /* wanted, as far as offered */
    uint64_t protocol_features; /* wanted, as far as offered */
    uint32_t queue_count;       /* 1 to BLK_CLIENT_QUEUES_MAX */
    uint16_t queue_size;        /* a power of two */
    uint16_t depth;             /* slots per queue; without INDIRECT, 3 · depth ≤ queue_size */
    uint32_t slot_bytes;        /* data of a slot */
    int connect_timeout_ms;
    bool unsealed; /* the memory's file can be shrunk */
};

/* Where the parts of one request lie. */
struct blk_client_slot {
    struct virtio_blk_outhdr *header;
    uint8_t *status;
    uint8_t *data;
    struct vring_desc *table;
    uint64_t header_gpa, status_gpa, data_gpa, table_gpa;
    uint32_t used_len; /* what the device must report when it succeeds */
};

struct blk_client_done {
    uint16_t slot;
    uint8_t status; /* VIRTIO_BLK_S_… */
};

struct blk_client {
    struct vhost_frontend frontend;
    struct guest_ram ram;
    struct frontend_queue queues[BLK_CLIENT_QUEUES_MAX];
    struct blk_client_slot *slots; /* depth per queue, owned */
    uint32_t queue_count;
    uint16_t depth;
    uint32_t slot_bytes;
    bool indirect;
};

/*
 * 0 or -errno (nothing is left behind then). Uses indirect tables and EVENT_IDX if acked.
 */
int blk_client_open(struct blk_client *client, const struct blk_client_params *params);

/* Stops all queues in order (GET_VRING_BASE) and closes; requests should have been reaped. */
void blk_client_close(struct blk_client *client);

/* Closes the socket and frees everything, without a word to the back end. */
void blk_client_vanish(struct blk_client *client);

/* The parts of a slot; its data may be filled and read while it is not in flight. */
struct blk_client_slot *blk_client_slot(struct blk_client *client, uint32_t queue, uint16_t slot);

/*
 * Makes a request of byte_len bytes of the slot's data available: IN, OUT, FLUSH (byte_len 0) or
 * GET_ID (byte_len 20). Shown to the device by blk_client_publish. 0 or -ENOSPC.
 */
int blk_client_submit(struct blk_client *client, uint32_t queue, uint16_t slot, uint32_t type,
                      uint64_t sector, uint32_t byte_len);

/* Shows what was submitted and kicks if the device wants it. */
void blk_client_publish(struct blk_client *client, uint32_t queue);

/* Takes up to max (≤ 64 at a time) ended requests, their count or -EPROTO: a ring fault, or a used
 * length other than the bytes written. */
int blk_client_reap(struct blk_client *client, uint32_t queue, struct blk_client_done *done,
                    uint32_t max);

/*
 * One request from beginning to end, in slot 0, with data copied in or out (slot_bytes at most).
 * Returns the status byte (0: OK) or -errno.
 */
int blk_client_execute(struct blk_client *client, uint32_t queue, uint32_t type, uint64_t sector,
                       void *data, uint32_t byte_len);

#endif
