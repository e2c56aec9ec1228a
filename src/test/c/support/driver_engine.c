/* SPDX-License-Identifier: AGPL-3.0-only */
#include "support/driver_engine.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "base/event.h"
#include "io/io_engine_ops.h"

/* The slot that blk leaves free. */
enum { WATCH_DRIVER = 3, PATIENCE_S = 20 };

struct driver_engine {
    struct io_engine base;
    struct io_engine *inner;
    struct driver *driver;
};

static struct driver_engine *from_base(struct io_engine *base)
{
    return (struct driver_engine *)base;
}

void driver_init(struct driver *driver)
{
    *driver = (struct driver){.event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
    assert(driver->event_fd >= 0);
    pthread_mutex_init(&driver->lock, NULL);
    pthread_cond_init(&driver->changed, NULL);
}

void driver_deinit(struct driver *driver)
{
    close(driver->event_fd);
    pthread_mutex_destroy(&driver->lock);
    pthread_cond_destroy(&driver->changed);
}

static void engine_destroy(struct io_engine *base)
{
    io_engine_destroy(from_base(base)->inner);
    free(base);
}

static void engine_prep(struct io_engine *base, struct io_op *op)
{
    struct driver_engine *engine = from_base(base);
    struct driver *driver = engine->driver;
    if (op->opcode != IO_COMMAND) {
        io_engine_prep(engine->inner, op);
        return;
    }
    struct driver_tag tag = {.op = op, .command = op->command};
    memcpy(&tag.argument, op->argument, sizeof(tag.argument));
    assert(tag.argument.tag < DRIVER_TAGS);
    pthread_mutex_lock(&driver->lock);
    if (driver->refusal != 0) {
        op->result = driver->refusal;
        op_list_append(&driver->completed, op);
    } else {
        assert(!driver->tags[tag.argument.tag].op);
        driver->tags[tag.argument.tag] = tag;
    }
    pthread_cond_signal(&driver->changed);
    pthread_mutex_unlock(&driver->lock);
}

static int engine_submit(struct io_engine *base)
{
    return io_engine_submit(from_base(base)->inner);
}

static uint32_t engine_reap(struct io_engine *base, struct io_op **ops, uint32_t max)
{
    struct driver_engine *engine = from_base(base);
    pthread_mutex_lock(&engine->driver->lock);
    uint32_t count = op_list_take_many(&engine->driver->completed, ops, max);
    pthread_mutex_unlock(&engine->driver->lock);
    return count + io_engine_reap(engine->inner, ops + count, max - count);
}

static int engine_wait(struct io_engine *base, uint64_t timeout_ns)
{
    struct driver_engine *engine = from_base(base);
    pthread_mutex_lock(&engine->driver->lock);
    bool news = !op_list_empty(&engine->driver->completed);
    pthread_mutex_unlock(&engine->driver->lock);
    return news ? io_engine_submit(engine->inner) : io_engine_wait(engine->inner, timeout_ns);
}

static int engine_watch(struct io_engine *base, uint32_t slot, int fd)
{
    return io_engine_watch(from_base(base)->inner, slot, fd);
}

static void engine_unwatch(struct io_engine *base, uint32_t slot)
{
    io_engine_unwatch(from_base(base)->inner, slot);
}

static uint32_t engine_fired(struct io_engine *base)
{
    return io_engine_fired(from_base(base)->inner) & ~(1u << WATCH_DRIVER);
}

static void engine_drop_file(struct io_engine *base, uint8_t file)
{
    io_engine_drop_file(from_base(base)->inner, file);
}

static const struct io_engine_ops driver_engine_ops = {
    .destroy = engine_destroy,
    .prep = engine_prep,
    .submit = engine_submit,
    .reap = engine_reap,
    .wait = engine_wait,
    .watch = engine_watch,
    .unwatch = engine_unwatch,
    .fired = engine_fired,
    .drop_file = engine_drop_file,
};

struct io_engine *driver_engine_create(struct driver *driver, struct io_engine *inner)
{
    struct driver_engine *engine = calloc(1, sizeof(*engine));
    assert(engine);
    *engine = (struct driver_engine){
        .base = {.ops = &driver_engine_ops}, .inner = inner, .driver = driver};
    int result = io_engine_watch(inner, WATCH_DRIVER, driver->event_fd);
    assert(result == 0);
    return &engine->base;
}

struct driver_tag driver_await(struct driver *driver, uint32_t tag)
{
    struct timespec end;
    clock_gettime(CLOCK_REALTIME, &end);
    end.tv_sec += PATIENCE_S;
    pthread_mutex_lock(&driver->lock);
    int late = 0;
    while (!driver->tags[tag].op && late == 0)
        late = pthread_cond_timedwait(&driver->changed, &driver->lock, &end);
    struct driver_tag found = driver->tags[tag];
    pthread_mutex_unlock(&driver->lock);
    assert(found.op);
    return found;
}

void driver_complete(struct driver *driver, uint32_t tag, int32_t result)
{
    pthread_mutex_lock(&driver->lock);
    struct io_op *op = driver->tags[tag].op;
    assert(op);
    driver->tags[tag].op = NULL;
    op->result = result;
    op_list_append(&driver->completed, op);
    pthread_mutex_unlock(&driver->lock);
    event_signal(driver->event_fd);
}

bool driver_has(struct driver *driver, uint32_t tag)
{
    pthread_mutex_lock(&driver->lock);
    bool has = driver->tags[tag].op != NULL;
    pthread_mutex_unlock(&driver->lock);
    return has;
}
