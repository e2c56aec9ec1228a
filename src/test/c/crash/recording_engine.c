/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Wraps every I/O engine that a queue makes, so that its writes and syncs are in the record. An op
 * that shall fail never reaches the real engine; it comes out of the next reap.
 */
#include <stdlib.h>

#include "crash_recorder.h"
#include "io/io_engine_ops.h"
#include "io/op_list.h"

enum { IDS_MAX = IO_DEPTH_MAX };

/* What is known of an op in flight: the ids of the record. */
struct recorded_op {
    const struct io_op *op; /* NULL: free */
    int64_t id;
    int fault; /* made to fail with this */
};

struct recording_engine {
    struct io_engine base;
    struct io_engine *inner;
    enum crash_file files[IO_FILE_MAX];
    struct recorded_op ops[IDS_MAX];
    struct op_list failed;
};

int __real_io_engine_create(const struct io_engine_params *params, struct io_engine **out,
                            struct error *error);
int __wrap_io_engine_create(const struct io_engine_params *params, struct io_engine **out,
                            struct error *error);

static struct recording_engine *from_base(struct io_engine *base)
{
    return (struct recording_engine *)base;
}

static void recording_destroy(struct io_engine *base)
{
    io_engine_destroy(from_base(base)->inner);
    free(base);
}

static void remember(struct recording_engine *engine, const struct io_op *op, int64_t id, int fault)
{
    struct recorded_op *entry = engine->ops;
    while (entry->op != NULL) {
        entry++;
    }
    *entry = (struct recorded_op){.op = op, .id = id, .fault = fault};
}

static void recording_prep(struct io_engine *base, struct io_op *op)
{
    struct recording_engine *engine = from_base(base);
    enum crash_file file = engine->files[op->file];
    int fault = 0;
    int64_t id = 0;
    if (op->opcode == IO_WRITEV) {
        id = crash_recorder_write_begins(file, op->iov, (int)op->iov_count, op->byte_offset,
                                         (op->flags & IO_DSYNC) != 0, &fault);
    } else if (op->opcode == IO_FDATASYNC) {
        id = crash_recorder_sync_begins(file, &fault);
    }
    remember(engine, op, id, fault);
    if (fault != 0) {
        op->result = op->opcode == IO_FDATASYNC ? crash_recorder_told(fault) : fault;
        op_list_append(&engine->failed, op);
    } else {
        crash_recorder_inside(true);
        io_engine_prep(engine->inner, op);
        crash_recorder_inside(false);
    }
}

static int recording_submit(struct io_engine *base)
{
    crash_recorder_inside(true);
    int result = io_engine_submit(from_base(base)->inner);
    crash_recorder_inside(false);
    return result;
}

static void ended(struct recording_engine *engine, const struct io_op *op)
{
    struct recorded_op *entry = engine->ops;
    while (entry->op != op) {
        entry++;
    }
    crash_recorder_ends(op->opcode == IO_FDATASYNC ? CRASH_SYNC_END : CRASH_WRITE_END,
                        engine->files[op->file], entry->id,
                        entry->fault != 0 ? entry->fault : op->result);
    entry->op = NULL;
}

static uint32_t recording_reap(struct io_engine *base, struct io_op **ops, uint32_t max)
{
    struct recording_engine *engine = from_base(base);
    uint32_t count = op_list_take_many(&engine->failed, ops, max);
    crash_recorder_inside(true);
    count += io_engine_reap(engine->inner, ops + count, max - count);
    crash_recorder_inside(false);
    for (uint32_t i = 0; i < count; i++) {
        ended(engine, ops[i]);
    }
    return count;
}

static int recording_wait(struct io_engine *base, uint64_t timeout_ns)
{
    struct recording_engine *engine = from_base(base);
    crash_recorder_inside(true);
    int result = op_list_empty(&engine->failed) ? io_engine_wait(engine->inner, timeout_ns)
                                                : io_engine_submit(engine->inner);
    crash_recorder_inside(false);
    return result;
}

static int recording_watch(struct io_engine *base, uint32_t slot, int fd)
{
    return io_engine_watch(from_base(base)->inner, slot, fd);
}

static void recording_unwatch(struct io_engine *base, uint32_t slot)
{
    io_engine_unwatch(from_base(base)->inner, slot);
}

static uint32_t recording_fired(struct io_engine *base)
{
    return io_engine_fired(from_base(base)->inner);
}

static void recording_drop_file(struct io_engine *base, uint8_t file)
{
    io_engine_drop_file(from_base(base)->inner, file);
}

static const struct io_engine_ops recording_ops = {
    .destroy = recording_destroy,
    .prep = recording_prep,
    .submit = recording_submit,
    .reap = recording_reap,
    .wait = recording_wait,
    .watch = recording_watch,
    .unwatch = recording_unwatch,
    .fired = recording_fired,
    .drop_file = recording_drop_file,
};

int __wrap_io_engine_create(const struct io_engine_params *params, struct io_engine **out,
                            struct error *error)
{
    struct recording_engine *engine = calloc(1, sizeof(*engine));
    if (engine == NULL) {
        abort();
    }
    int result = __real_io_engine_create(params, &engine->inner, error);
    if (result < 0) {
        free(engine);
        return result;
    }
    engine->base.ops = &recording_ops;
    for (uint32_t i = 0; i < params->fd_count; i++) {
        engine->files[i] = crash_recorder_file_of(params->fds[i]);
    }
    *out = &engine->base;
    return 0;
}
