/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * The ring on which commands go to /dev/ublk-control, one at a time: where ublk_ctrl meets the
 * kernel, and tests take its place.
 *
 * ublk/ holds the ublk front end: the device's life (ublk_device, ublk_provide), its control
 * commands (ublk_ctrl) and its queues (ublk_queue, ublk_tags). Requests themselves are blk's.
 */
#ifndef UBIBLK_UBLK_UBLK_RING_H
#define UBIBLK_UBLK_UBLK_RING_H

#include <liburing.h>
#include <stdint.h>

#include "base/error.h"
#include "ublk/ublk_uapi.h"

/* Owned by the caller; one thread at a time. */
struct ublk_ring {
    struct io_uring ring;
    int fd; /* of the control device */
};

/* Returns 0, or -errno with a sentence that says what is missing. */
int ublk_ring_open(struct ublk_ring *ring, struct error *error);

/* Ends a command that is still under way. */
void ublk_ring_close(struct ublk_ring *ring);

/* Hands a command (borrowed) to the kernel. What its addr points to stays until it has ended. None
 * may be under way. Returns 0 or -errno. */
int ublk_ring_begin(struct ublk_ring *ring, uint32_t command,
                    const struct ublksrv_ctrl_cmd *argument);

/*
 * Waits until the command has ended, or one of count fds (borrowed; up to UBLK_RING_FDS_MAX; -1 is
 * passed over) is readable. Returns -1 with *result what the kernel said, else the index of that
 * fd: the command is still under way then.
 */
enum { UBLK_RING_FDS_MAX = 4 };
int ublk_ring_wait(struct ublk_ring *ring, const int *fds, uint32_t count, int32_t *result);

#endif
