/* SPDX-License-Identifier: AGPL-3.0-only */
/* What a result of the kernel means for an op: ended, or to be issued again for the rest. */
#ifndef UBIBLK_IO_OP_PROGRESS_H
#define UBIBLK_IO_OP_PROGRESS_H

#include <stdbool.h>

#include "io/io_engine.h"

/* How often in a row a transfer that was interrupted, or refused for the moment, is tried again. */
enum { OP_RETRY_MAX = 100 };

/* Where the next transfer of the op begins in its file. */
static inline uint64_t op_position(const struct io_op *op)
{
    return op->byte_offset + op->done_bytes;
}

/*
 * Takes note of a result: bytes transferred, or -errno. Returns true when the op has ended with
 * op->result set, false when it has to be issued again with the iovecs as they are left here.
 */
bool op_progress(struct io_op *op, int32_t kernel_result);

#endif
