/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * One virtqueue and its thread: kick to call, virtqueue to block request and back.
 *
 * The thread lives as long as the back end; rings come and go on it. The session thread tells it
 * what to do by commands, one at a time per queue: it posts one, the queue thread carries it out
 * between two batches and notes the end on the eventfd given at creation. A stop ends only when
 * everything that was popped is in the used ring, or back in the available ring: there go the
 * requests that wait for a stripe, unless the driver has been answered a later one. Those get the
 * stop timeout, and then end with an error.
 *
 * After the last completion the thread polls the ring for the device's poll time, if that pays
 * (poll_pace.h), then sleeps in its engine until a kick, a command or a completion. While requests
 * are with the disk and nothing new arrives, it sleeps at once.
 */
#ifndef UBIBLK_VHOST_VHOST_QUEUE_H
#define UBIBLK_VHOST_VHOST_QUEUE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "blk/blk_device.h"
#include "vhost/vhost_virtq.h"

struct vhost_queue;

enum vhost_command_kind {
    VHOST_COMMAND_START,        /* setup, the fds, enabled */
    VHOST_COMMAND_STOP,         /* sets next_avail; drops all fds */
    VHOST_COMMAND_ENABLE,       /* enabled */
    VHOST_COMMAND_FDS,          /* the fds of a started ring; a new call fd is signalled */
    VHOST_COMMAND_MEMORY,       /* memory and parts of the setup of a started ring */
    VHOST_COMMAND_DRAIN_WRITES, /* ends when no write in progress is volatile */
    VHOST_COMMAND_EXIT,         /* of a stopped ring */
};

/* Owned by the session thread; lent to the queue from post until done. */
struct vhost_command {
    enum vhost_command_kind kind;
    struct vhost_virtq_setup setup;
    bool enabled;
    uint32_t
        stop_timeout_ms; /* STOP: how long requests may wait for a stripe that cannot be put back */
    int kick_fd; /* fds: borrowed by the ring until STOP, or a later FDS, is done; -1: none */
    int call_fd;
    int err_fd;
    uint16_t next_avail;
    int result; /* 0 or -errno */
};

/*
 * Starts the thread, pinned to cpu unless that is -1 (a failure to pin is logged), and waits until
 * its engine works. done_fd, an eventfd, is borrowed until destroy. Returns 0 with *out owned, or
 * -errno with a sentence.
 */
int vhost_queue_create(struct blk_device *device, uint32_t index, int cpu, int done_fd,
                       struct vhost_queue **out, struct error *error);

/* Ends the thread of a stopped ring. NULL is fine. */
void vhost_queue_destroy(struct vhost_queue *queue);

/* Session thread. The previous command is done. */
void vhost_queue_post(struct vhost_queue *queue, struct vhost_command *command);

/* Whether the posted command is done. */
bool vhost_queue_done(const struct vhost_queue *queue);

#endif
