/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * The engine for hosts without io_uring: submit carries the ops out, one after the other, in the
 * order of prep.
 *
 * Watched fds hang in an edge-triggered epoll set, and sleeping is a ppoll on that set: every write
 * to an eventfd is an edge whether or not anybody read the ones before, so the engine never reads
 * from an fd that a front end shares with us and that it might have drained or made blocking. An
 * fd that is hung up is one edge and then silence.
 */
#include "io/sync_engine.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/uio.h>
#include <unistd.h>

#include "io/deadline.h"
#include "io/io_engine_ops.h"
#include "io/op_list.h"
#include "io/op_progress.h"

struct sync_engine {
    struct io_engine base;
    uint32_t depth;
    uint32_t fd_count;
    int fds[IO_FILE_MAX];
    int epoll_fd;
    int watched_fds[IO_WATCH_MAX];
    uint32_t fired;
    struct op_list prepared;
    struct op_list done;
};

static struct sync_engine *from_base(struct io_engine *base)
{
    return (struct sync_engine *)base;
}

static void sync_destroy(struct io_engine *base)
{
    struct sync_engine *engine = from_base(base);
    close(engine->epoll_fd);
    free(engine);
}

static void sync_prep(struct io_engine *base, struct io_op *op)
{
    struct sync_engine *engine = from_base(base);
    assert(op->file < engine->fd_count);
    assert(op->opcode != IO_COMMAND); /* nobody starts a queue with commands on this engine */
    assert(base->in_flight <= engine->depth);
    op_list_append(&engine->prepared, op);
}

static int32_t issue(int fd, const struct io_op *op)
{
    ssize_t ret;
    if (op->opcode == IO_READV) {
        ret = preadv2(fd, op->iov, (int)op->iov_count, (off_t)op_position(op), 0);
    } else if (op->opcode == IO_WRITEV) {
        int flags = (op->flags & IO_DSYNC) != 0 ? RWF_DSYNC : 0;
        ret = pwritev2(fd, op->iov, (int)op->iov_count, (off_t)op_position(op), flags);
    } else {
        ret = fdatasync(fd);
    }
    return ret < 0 ? -errno : (int32_t)ret;
}

static int sync_submit(struct io_engine *base)
{
    struct sync_engine *engine = from_base(base);
    struct io_op *op;
    while ((op = op_list_take(&engine->prepared)) != NULL) {
        int fd = engine->fds[op->file];
        while (!op_progress(op, issue(fd, op))) {
        }
        op_list_append(&engine->done, op);
    }
    return 0;
}

static uint32_t sync_reap(struct io_engine *base, struct io_op **ops, uint32_t max)
{
    return op_list_take_many(&from_base(base)->done, ops, max);
}

static void collect_fired(struct sync_engine *engine)
{
    struct epoll_event events[IO_WATCH_MAX];
    int count = epoll_wait(engine->epoll_fd, events, IO_WATCH_MAX, 0);
    for (int i = 0; i < count; i++) {
        engine->fired |= 1u << events[i].data.u32;
    }
}

static bool has_news(const struct sync_engine *engine)
{
    return !op_list_empty(&engine->done) || engine->fired != 0;
}

static int sleep_until_fired(struct sync_engine *engine, uint64_t left_ns)
{
    struct pollfd set = {.fd = engine->epoll_fd, .events = POLLIN};
    struct timespec left = {.tv_sec = (time_t)(left_ns / 1000000000u),
                            .tv_nsec = (long)(left_ns % 1000000000u)};
    int ret = ppoll(&set, 1, left_ns == UINT64_MAX ? NULL : &left, NULL);
    if (ret < 0 && errno != EINTR) {
        return -errno;
    }
    collect_fired(engine);
    return 0;
}

static int sync_wait(struct io_engine *base, uint64_t timeout_ns)
{
    struct sync_engine *engine = from_base(base);
    uint64_t deadline = deadline_after(timeout_ns);
    uint64_t left_ns = timeout_ns;
    sync_submit(base);
    while (!has_news(engine)) {
        int ret = sleep_until_fired(engine, left_ns);
        if (ret != 0) {
            return ret;
        }
        left_ns = deadline_left_ns(deadline);
        if (left_ns == 0 && !has_news(engine)) {
            return -ETIME;
        }
    }
    return 0;
}

static int sync_watch(struct io_engine *base, uint32_t slot, int fd)
{
    struct sync_engine *engine = from_base(base);
    struct epoll_event event = {.events = EPOLLIN | EPOLLET, .data.u32 = slot};
    if (epoll_ctl(engine->epoll_fd, EPOLL_CTL_ADD, fd, &event) != 0) {
        return -errno;
    }
    engine->watched_fds[slot] = fd;
    return 0;
}

static void sync_unwatch(struct io_engine *base, uint32_t slot)
{
    struct sync_engine *engine = from_base(base);
    epoll_ctl(engine->epoll_fd, EPOLL_CTL_DEL, engine->watched_fds[slot], NULL);
    engine->fired &= ~(1u << slot);
}

static uint32_t sync_fired(struct io_engine *base)
{
    struct sync_engine *engine = from_base(base);
    collect_fired(engine);
    uint32_t fired = engine->fired;
    engine->fired = 0;
    return fired;
}

static void sync_drop_file(struct io_engine *base, uint8_t file)
{
    from_base(base)->fds[file] = -1;
}

static const struct io_engine_ops sync_engine_ops = {
    .destroy = sync_destroy,
    .prep = sync_prep,
    .submit = sync_submit,
    .reap = sync_reap,
    .wait = sync_wait,
    .watch = sync_watch,
    .unwatch = sync_unwatch,
    .fired = sync_fired,
    .drop_file = sync_drop_file,
};

int sync_engine_create(const struct io_engine_params *params, struct io_engine **out,
                       struct error *error)
{
    struct sync_engine *engine = calloc(1, sizeof(*engine));
    if (engine == NULL) {
        return error_set_errno(error, -ENOMEM, "cannot create the sync I/O engine");
    }
    engine->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (engine->epoll_fd < 0) {
        int ret = -errno;
        free(engine);
        return error_set_errno(error, ret, "cannot create the sync I/O engine");
    }
    engine->base.ops = &sync_engine_ops;
    engine->depth = params->depth;
    engine->fd_count = params->fd_count;
    for (uint32_t i = 0; i < params->fd_count; i++) {
        engine->fds[i] = params->fds[i];
    }
    *out = &engine->base;
    return 0;
}
