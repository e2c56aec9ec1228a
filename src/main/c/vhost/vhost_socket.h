/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Messages in and out of one front end's connection, and the file descriptors that travel with
 * them.
 *
 * Every received descriptor is owned by exactly one place: the message until vhost_message_take_fd,
 * then the taker. Session thread.
 */
#ifndef UBIBLK_VHOST_VHOST_SOCKET_H
#define UBIBLK_VHOST_VHOST_SOCKET_H

#include <stdint.h>

#include "base/error.h"
#include "vhost/vhost_msg.h"

/* A message that arrives in parts, however small. */
struct vhost_receiver {
    struct vhost_message message;
    uint32_t received; /* bytes of header and payload so far */
};

/*
 * Listens at path with mode 0660; the path appears once connections are accepted. A socket that was
 * left there is replaced, one that a process listens on (-EADDRINUSE) and anything else (-EEXIST)
 * is refused. Returns the fd (owned by the
 * caller) or -errno with a sentence.
 */
int vhost_socket_listen(const char *path, struct error *error);

/*
 * Reads what is there without waiting. Returns 1 when a whole message is in receiver->message (its
 * fds are the caller's to take or to close with vhost_message_close_fds; then
 * vhost_receiver_reset), 0 when more must come, -ECONNRESET at the end of the connection, or
 * -EPROTO with a sentence for a header that cannot be one of ours.
 */
int vhost_receiver_read(struct vhost_receiver *receiver, int fd, struct error *error);

/* Ready for the next message; closes descriptors that are left. */
void vhost_receiver_reset(struct vhost_receiver *receiver);

/* The next descriptor, now the caller's, or -1. */
int vhost_message_take_fd(struct vhost_message *message);

/* Closes what nobody took. */
void vhost_message_close_fds(struct vhost_message *message);

/*
 * Sends a reply to request with byte_len payload bytes. A peer that does not read for 10 s is given
 * up. Returns 0 or -errno.
 */
int vhost_socket_reply(int fd, uint32_t request, const void *payload, uint32_t byte_len);

#endif
