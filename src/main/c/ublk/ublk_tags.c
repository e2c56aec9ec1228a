/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * The driver writes a tag's descriptor before it completes the tag's command, and leaves it alone
 * until the commit; it is copied here once all the same.
 *
 * What it does with a result: negative, an error, by errno; a read or write of fewer bytes than
 * asked for is asked for again; of other requests everything else is success. Errnos that mean
 * something to the driver itself, or to no block device, become EIO.
 *
 * The buffers hold plain text, and requests come when the host writes memory back for want of it:
 * they are real memory from the beginning.
 */
#include "ublk_tags.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/sector.h"
#include "mem/buffer_pool.h"

static uint32_t tag_of(const struct ublk_tags *tags, const struct io_op *op)
{
    return (uint32_t)(op - tags->ops);
}

static uint8_t *buffer_of(const struct ublk_tags *tags, uint32_t tag)
{
    return tags->buffers + (size_t)tag * tags->params.buffer_bytes;
}

static size_t buffers_bytes(const struct ublk_tags *tags)
{
    return (size_t)tags->params.q_depth * tags->params.buffer_bytes;
}

int ublk_tags_init(struct ublk_tags *tags, const struct ublk_tags_params *params,
                   struct error *error)
{
    *tags = (struct ublk_tags){.params = *params};
    tags->ops = calloc(params->q_depth, sizeof(*tags->ops));
    void *buffers = mmap(NULL, buffers_bytes(tags), PROT_READ | PROT_WRITE,
                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    tags->buffers = buffers == MAP_FAILED ? NULL : buffers;
    if (!tags->ops || !tags->buffers) {
        ublk_tags_deinit(tags);
        return error_set(error, -ENOMEM, "queue %u: no memory for %u buffers of %u bytes",
                         params->q_id, params->q_depth, params->buffer_bytes);
    }
    buffer_pool_protect(&(struct iovec){buffers, buffers_bytes(tags)}, "request buffers",
                        params->log);
    return 0;
}

void ublk_tags_deinit(struct ublk_tags *tags)
{
    if (tags->buffers)
        munmap(tags->buffers, buffers_bytes(tags));
    free(tags->ops);
    *tags = (struct ublk_tags){0};
}

static void send(struct ublk_tags *tags, uint32_t tag, uint32_t command, int32_t result)
{
    const struct ublksrv_io_cmd argument = {
        .q_id = (uint16_t)tags->params.q_id,
        .tag = (uint16_t)tag,
        .result = result,
        .addr = (uint64_t)(uintptr_t)buffer_of(tags, tag),
    };
    struct io_op *op = &tags->ops[tag];
    _Static_assert(sizeof(argument) == sizeof(op->argument), "all of it travels");
    op->command = tags->params.encoded ? command : _IOC_NR(command);
    memcpy(op->argument, &argument, sizeof(argument));
    blk_queue_command(tags->params.blk, op);
}

void ublk_tags_fetch(struct ublk_tags *tags)
{
    for (uint32_t tag = 0; tag < tags->params.q_depth; tag++)
        send(tags, tag, UBLK_U_IO_FETCH_REQ, 0);
}

static enum queue_op op_of(const struct ublksrv_io_desc *iod)
{
    switch (iod->op_flags & 0xff) {
    case UBLK_IO_OP_READ:
        return QUEUE_OP_READ;
    case UBLK_IO_OP_WRITE:
        return QUEUE_OP_WRITE;
    case UBLK_IO_OP_FLUSH:
        return QUEUE_OP_FLUSH;
    default:
        return QUEUE_OP_OTHER;
    }
}

static void take_request(struct ublk_tags *tags, uint32_t tag, uint64_t now_ns)
{
    struct blk_queue *blk = tags->params.blk;
    const struct ublksrv_io_desc iod = tags->params.iods[tag];
    struct blk_request *request = blk_queue_slot(blk, tag);
    request->op = op_of(&iod);
    bool data = request->op == QUEUE_OP_READ || request->op == QUEUE_OP_WRITE;
    request->sector = data ? iod.start_sector : 0;
    request->sector_count = data ? iod.nr_sectors : 0;
    request->byte_len = sectors_to_bytes(request->sector_count);
    request->fua = (iod.op_flags & UBLK_IO_F_FUA) != 0;
    request->iov = request->inline_iov;
    request->iov_count = data ? 1 : 0;
    request->inline_iov[0] =
        (struct iovec){.iov_base = buffer_of(tags, tag), .iov_len = request->byte_len};
    if (request->op == QUEUE_OP_OTHER)
        blk_queue_finish(blk, request, -EOPNOTSUPP, now_ns);
    else if (request->byte_len > tags->params.buffer_bytes)
        blk_queue_finish(blk, request, -EIO, now_ns);
    else
        blk_queue_start(blk, request, now_ns);
}

uint32_t ublk_tags_take(struct ublk_tags *tags, uint64_t now_ns)
{
    uint32_t count = 0;
    struct io_op *op;
    while ((op = blk_queue_next_command(tags->params.blk))) {
        count++;
        if (op->result == UBLK_IO_RES_OK) {
            take_request(tags, tag_of(tags, op), now_ns);
            continue;
        }
        tags->gone++;
        if (op->result != UBLK_IO_RES_ABORT && tags->failure == 0)
            tags->failure = op->result < 0 ? op->result : -EPROTO;
    }
    return count;
}

static int32_t driver_result(const struct blk_request *request)
{
    switch (request->result) {
    case 0:
        return (int32_t)request->byte_len;
    case -EOPNOTSUPP:
    case -ENOSPC:
        return request->result;
    default:
        return -EIO;
    }
}

uint32_t ublk_tags_answer(struct ublk_tags *tags)
{
    uint32_t count = 0;
    struct blk_request *request;
    while ((request = blk_queue_next_done(tags->params.blk))) {
        uint32_t tag = request->slot;
        int32_t result = driver_result(request);
        blk_queue_release(tags->params.blk, request);
        send(tags, tag, UBLK_U_IO_COMMIT_AND_FETCH_REQ, result);
        count++;
    }
    return count;
}

uint32_t ublk_tags_drop(struct ublk_tags *tags)
{
    uint32_t count = 0;
    struct blk_request *request;
    while ((request = blk_queue_next_done(tags->params.blk))) {
        blk_queue_release(tags->params.blk, request);
        tags->gone++;
        count++;
    }
    return count;
}

bool ublk_tags_over(const struct ublk_tags *tags)
{
    return tags->gone == tags->params.q_depth;
}
