/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * The seam in front of the engines: what every engine would have to check is checked here, once.
 * What fails here is a mistake of our own code, so it asserts.
 */
#include "io/io_engine.h"

#include <assert.h>
#include <limits.h>
#include <stddef.h>

#include "io/io_engine_ops.h"
#include "io/sync_engine.h"
#include "io/uring_engine.h"

int io_engine_create(const struct io_engine_params *params, struct io_engine **out,
                     struct error *error)
{
    assert(params->depth >= 1);
    assert(params->depth <= IO_DEPTH_MAX);
    assert(params->fd_count >= 1);
    assert(params->fd_count <= IO_FILE_MAX);
    return params->kind == IO_ENGINE_URING ? uring_engine_create(params, out, error)
                                           : sync_engine_create(params, out, error);
}

void io_engine_destroy(struct io_engine *engine)
{
    if (engine == NULL) {
        return;
    }
    assert(engine->in_flight == engine->commands);
    for (uint32_t slot = 0; slot < IO_WATCH_MAX; slot++) {
        io_engine_unwatch(engine, slot);
    }
    engine->ops->destroy(engine);
}

static void assert_transfer(const struct io_op *op)
{
    assert(op->iov_count >= 1);
    assert(op->iov_count <= IOV_MAX);
    assert(op->byte_len >= 1);
    assert(op->byte_len <= IO_TRANSFER_BYTES_MAX);
    assert(op->byte_offset <= INT64_MAX - op->byte_len);
    assert(op->buffer_index < 0 || op->iov_count == 1);
    assert((op->flags & IO_DSYNC) == 0 || op->opcode == IO_WRITEV);
}

void io_engine_prep(struct io_engine *engine, struct io_op *op)
{
    assert(op->opcode <= IO_COMMAND);
    if (op->opcode == IO_READV || op->opcode == IO_WRITEV) {
        assert_transfer(op);
    }
    op->retries = 0;
    op->done_bytes = 0;
    op->next = NULL;
    engine->in_flight++;
    engine->commands += op->opcode == IO_COMMAND;
    engine->ops->prep(engine, op);
}

int io_engine_submit(struct io_engine *engine)
{
    return engine->ops->submit(engine);
}

uint32_t io_engine_reap(struct io_engine *engine, struct io_op **ops, uint32_t max)
{
    uint32_t count = engine->ops->reap(engine, ops, max);
    assert(count <= max);
    assert(count <= engine->in_flight);
    engine->in_flight -= count;
    for (uint32_t i = 0; i < count; i++) {
        engine->commands -= ops[i]->opcode == IO_COMMAND;
    }
    return count;
}

int io_engine_wait(struct io_engine *engine, uint64_t timeout_ns)
{
    return engine->ops->wait(engine, timeout_ns);
}

int io_engine_watch(struct io_engine *engine, uint32_t slot, int fd)
{
    assert(slot < IO_WATCH_MAX);
    assert((engine->watched & 1u << slot) == 0);
    int ret = engine->ops->watch(engine, slot, fd);
    if (ret == 0) {
        engine->watched |= 1u << slot;
    }
    return ret;
}

void io_engine_unwatch(struct io_engine *engine, uint32_t slot)
{
    assert(slot < IO_WATCH_MAX);
    if ((engine->watched & 1u << slot) != 0) {
        engine->watched &= ~(1u << slot);
        engine->ops->unwatch(engine, slot);
    }
}

uint32_t io_engine_fired(struct io_engine *engine)
{
    return engine->ops->fired(engine);
}

void io_engine_drop_file(struct io_engine *engine, uint8_t file)
{
    engine->ops->drop_file(engine, file);
}

uint32_t io_engine_in_flight(const struct io_engine *engine)
{
    return engine->in_flight;
}
