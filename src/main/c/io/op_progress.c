/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * The kernel may transfer less than it was asked to, and that is neither success nor failure. Both
 * engines go on from there by stepping the op's own iovecs forward, so that the next call needs no
 * copy of them. Only a transfer of nothing ends the op early: the end of the file for a read, a
 * full device that did not say so for a write.
 *
 * A sync is never issued twice: once it has failed, the pages that it was about may be marked clean
 * although they never reached the disk, and a second one would succeed for nothing. What a command
 * means is between its caller and the driver.
 */
#include "io/op_progress.h"

#include <assert.h>
#include <errno.h>

static bool worth_a_retry(const struct io_op *op, int32_t kernel_result)
{
    return (kernel_result == -EINTR || kernel_result == -EAGAIN) && op->opcode != IO_FDATASYNC &&
           op->retries < OP_RETRY_MAX;
}

static bool end(struct io_op *op, int32_t result)
{
    op->result = result;
    return true;
}

static void step_over(struct io_op *op, size_t byte_len)
{
    while (byte_len >= op->iov->iov_len) {
        byte_len -= op->iov->iov_len;
        op->iov++;
        op->iov_count--;
        assert(op->iov_count > 0);
    }
    op->iov->iov_base = (char *)op->iov->iov_base + byte_len;
    op->iov->iov_len -= byte_len;
}

bool op_progress(struct io_op *op, int32_t kernel_result)
{
    if (op->opcode == IO_COMMAND) {
        return end(op, kernel_result);
    }
    if (kernel_result < 0) {
        if (worth_a_retry(op, kernel_result)) {
            op->retries++;
            return false;
        }
        return end(op, kernel_result);
    }
    if (op->opcode == IO_FDATASYNC) {
        return end(op, 0);
    }
    if (kernel_result == 0) {
        return end(op, op->opcode == IO_READV ? -ENODATA : -EIO);
    }
    assert((uint64_t)kernel_result <= op->byte_len - op->done_bytes);
    op->retries = 0;
    op->done_bytes += (uint64_t)kernel_result;
    if (op->done_bytes == op->byte_len) {
        return end(op, 0);
    }
    step_over(op, (size_t)kernel_result);
    return false;
}
