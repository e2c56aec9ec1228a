/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * One virtqueue of a front end: ring memory, the driver on it, eventfds, and the messages that
 * start and stop it. Belongs to the front end's thread.
 */
#ifndef UBIBLK_SUPPORT_FRONTEND_QUEUE_H
#define UBIBLK_SUPPORT_FRONTEND_QUEUE_H

#include <stdbool.h>
#include <stdint.h>

#include "support/guest_ram.h"
#include "support/vhost_frontend.h"
#include "support/virtq_driver.h"

/* One virtqueue in guest memory with its driver and eventfds. */
struct frontend_queue {
    uint32_t index;
    uint64_t desc_gpa, avail_gpa, used_gpa;
    struct virtq_driver driver;
    int kick_fd, call_fd; /* owned */
};

/* Takes ring memory of region and makes the eventfds; nothing is sent. */
int frontend_queue_init(struct frontend_queue *queue, struct guest_ram *ram, uint32_t region,
                        uint32_t index, uint16_t size, bool event_idx);
void frontend_queue_deinit(struct frontend_queue *queue);

/*
 * Starts the queue: NUM, BASE, ADDR, CALL, KICK, and ENABLE if protocol features are acked. The
 * ring keeps its state, so this resumes a queue as well; base is what GET_VRING_BASE returned, or
 * a stale value.
 */
int frontend_queue_start(struct vhost_frontend *frontend, const struct guest_ram *ram,
                         struct frontend_queue *queue, uint32_t base);

/* ENABLE 0 (with protocol features) and GET_VRING_BASE. */
int frontend_queue_stop(struct vhost_frontend *frontend, struct frontend_queue *queue,
                        uint32_t *base);

#endif
