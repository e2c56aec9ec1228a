/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * One front end's connection: negotiation, memory table, the messages about rings.
 *
 * A message that is malformed, out of order or not offered ends this connection and nothing else.
 * Session thread.
 */
#ifndef UBIBLK_VHOST_VHOST_SESSION_H
#define UBIBLK_VHOST_VHOST_SESSION_H

#include <stdint.h>

#include "base/error.h"
#include "vhost/vhost_rings.h"

struct vhost_session;

/* Takes the connection conn_fd on success. Returns owned, or NULL when out of memory. */
struct vhost_session *vhost_session_create(const struct vhost_rings_params *params, int conn_fd);

/*
 * Stops every ring (their requests end and reach the used rings first), lets go of the front end's
 * memory and descriptors, closes the connection. NULL is fine.
 */
void vhost_session_destroy(struct vhost_session *session);

/* To be polled for input. */
int vhost_session_fd(const struct vhost_session *session);

/*
 * Handles every message that is there. Returns 0, -ECONNRESET when the front end left, or another
 * -errno with a sentence when the connection must end.
 */
int vhost_session_handle(struct vhost_session *session, struct error *error);

#endif
