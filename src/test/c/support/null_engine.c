/* SPDX-License-Identifier: AGPL-3.0-only */
/* Ops go from prep to submitted to done; reads leave memory as it is. */
#include "support/null_engine.h"

#include <stdlib.h>

#include "io/op_list.h"

struct null_engine {
    struct io_engine base;
    struct io_engine *inner;
    struct op_list prepared;
    struct op_list done;
};

static struct null_engine *from_base(struct io_engine *base)
{
    return (struct null_engine *)base;
}

static void null_destroy(struct io_engine *base)
{
    struct null_engine *engine = from_base(base);
    io_engine_destroy(engine->inner);
    free(engine);
}

static void null_prep(struct io_engine *base, struct io_op *op)
{
    op_list_append(&from_base(base)->prepared, op);
}

static int null_submit(struct io_engine *base)
{
    struct null_engine *engine = from_base(base);
    struct io_op *op;
    while ((op = op_list_take(&engine->prepared)) != NULL) {
        op->result = 0;
        op->done_bytes = op->byte_len;
        op_list_append(&engine->done, op);
    }
    return 0;
}

static uint32_t null_reap(struct io_engine *base, struct io_op **ops, uint32_t max)
{
    return op_list_take_many(&from_base(base)->done, ops, max);
}

static int null_wait(struct io_engine *base, uint64_t timeout_ns)
{
    struct null_engine *engine = from_base(base);
    null_submit(base);
    return op_list_empty(&engine->done) ? io_engine_wait(engine->inner, timeout_ns) : 0;
}

static int null_watch(struct io_engine *base, uint32_t slot, int fd)
{
    return io_engine_watch(from_base(base)->inner, slot, fd);
}

static void null_unwatch(struct io_engine *base, uint32_t slot)
{
    io_engine_unwatch(from_base(base)->inner, slot);
}

static uint32_t null_fired(struct io_engine *base)
{
    return io_engine_fired(from_base(base)->inner);
}

static void null_drop_file(struct io_engine *base, uint8_t file)
{
    io_engine_drop_file(from_base(base)->inner, file);
}

static const struct io_engine_ops null_engine_ops = {
    .destroy = null_destroy,
    .prep = null_prep,
    .submit = null_submit,
    .reap = null_reap,
    .wait = null_wait,
    .watch = null_watch,
    .unwatch = null_unwatch,
    .fired = null_fired,
    .drop_file = null_drop_file,
};

struct io_engine *null_engine_create(struct io_engine *inner)
{
    struct null_engine *engine = calloc(1, sizeof(*engine));
    if (engine == NULL) {
        abort();
    }
    engine->base.ops = &null_engine_ops;
    engine->inner = inner;
    return &engine->base;
}
