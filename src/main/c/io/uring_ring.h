/* SPDX-License-Identifier: AGPL-3.0-only */
/* A ring as the io_uring engine wants it: made, given its files and buffers, ended. */
#ifndef UBIBLK_IO_URING_RING_H
#define UBIBLK_IO_URING_RING_H

#include <liburing.h>
#include <stdbool.h>

#include "base/error.h"
#include "io/io_engine.h"

/* Owned by the caller. */
struct uring_ring {
    struct io_uring ring;
    bool files_registered;
    bool buffers_registered;
};

/*
 * Makes a ring for params->depth ops that belongs to the calling thread. Borrows params. Returns 0,
 * or -errno with a sentence that names the engine that does without io_uring. Buffers that cannot
 * be registered for want of lockable memory cost one warning.
 */
int uring_ring_init(struct uring_ring *uring, const struct io_engine_params *params,
                    struct error *error);

/* Lets go of files and buffers at once (with commands still at their driver: soon) and ends the
 * ring. Same thread. */
void uring_ring_deinit(struct uring_ring *uring, bool commands);

#endif
