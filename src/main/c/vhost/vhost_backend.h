/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * The vhost-user-blk back end of one device: a listening unix socket, one session thread, one
 * thread per queue.
 *
 * The socket stays in place from start to stop. One front end is served at a time; another one that
 * connects meanwhile is accepted and closed at once; while a departing one's requests drain, the
 * next waits in the backlog.
 */
#ifndef UBIBLK_VHOST_VHOST_BACKEND_H
#define UBIBLK_VHOST_VHOST_BACKEND_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/log.h"
#include "blk/blk_device.h"
#include "virtq/guest_guard.h"

struct vhost_backend;

/* Borrowed by vhost_backend_start. */
struct vhost_backend_params {
    const char *socket_path;
    const int *cpus;           /* one CPU number per queue, or NULL */
    struct guest_guard *guard; /* of the process's SIGBUS handler; kept until stop; NULL: none */
    uint32_t stop_timeout_ms;  /* how long a stopping ring may drain before a warning names what it
                                  waits for */
};

/*
 * Starts the queue threads, binds the socket (a leftover one is replaced; mode 0660) and listens.
 * The device and the log are kept until vhost_backend_stop returns. Returns 0 with *out owned, or
 * -errno with a sentence; nothing is left behind then. When it returns 0 the socket accepts
 * connections.
 */
int vhost_backend_start(struct blk_device *device, const struct vhost_backend_params *params,
                        struct log *log, struct vhost_backend **out, struct error *error);

/*
 * Stops in order: no new requests, those in flight end and reach the guest, the connection closes,
 * the disk is synced, the socket is removed if it is still ours, threads end. Returns 0, or -errno
 * when the last sync failed. Any thread, once.
 */
int vhost_backend_stop(struct vhost_backend *backend);

/* Whether a front end is connected. Any thread. */
bool vhost_backend_connected(const struct vhost_backend *backend);

#endif
