/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * The engine on io_uring: everything its thread waits for is in one ring, and a batch costs one
 * io_uring_enter.
 *
 * Completions are as a rule worked off on this thread, and only when it asks (uring_ring.c). The
 * TASKRUN flag says, without a system call, that asking pays: liburing's peek looks at that flag,
 * and at the one for an overflown completion queue, and enters the kernel only for them.
 *
 * An op is in one of three places: a submission queue entry (written at prep, or in the kernel),
 * the list of waiting ops (no entry was free, or a short transfer goes on), the list of done ones.
 * Collecting completions never writes entries; it moves ops to one of the lists. Entries are
 * written at prep and by submit_all alone, so the two cannot recurse into each other however full
 * the queues are.
 *
 * user_data is the op's address, or a slot number with a tag in the low bits that an address has 0.
 *
 * A watch is one multishot poll. The kernel may end it at any time (a completion without F_MORE,
 * after an overflow for instance); then it is armed again, unless the fd is hung up or broken,
 * which would end it again at once, and so for ever.
 */
#include "io/uring_engine.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "io/deadline.h"
#include "io/io_engine_ops.h"
#include "io/op_list.h"
#include "io/op_progress.h"
#include "io/uring_ring.h"

enum { TAG_OP = 0, TAG_WATCH = 1, TAG_UNWATCH = 2, TAG_MASK = 7, TAG_BITS = 3 };

_Static_assert(_Alignof(struct io_op) > TAG_MASK, "the tag lies in bits that an address has 0");

/* How many completions one call collects: a front end that never stops kicking may not keep us. */
enum { COLLECT_BATCH = 32, COLLECT_BATCHES_MAX = 2 * IO_DEPTH_MAX / COLLECT_BATCH };

/* Pause before the kernel is asked again after it was short of something. */
enum { SHORTAGE_PAUSE_NS = 1000000 };

struct uring_watch {
    int fd;
    bool wanted; /* between watch and unwatch */
    bool armed;  /* a poll of it has been written and has not ended */
};

struct uring_engine {
    struct io_engine base;
    struct uring_ring uring;
    struct log *log;
    uint32_t depth;
    uint32_t fd_count;
    bool shortage_logged;
    int broken; /* 0, or the -errno that made the ring unusable */
    struct op_list waiting;
    struct op_list done;
    struct uring_watch watches[IO_WATCH_MAX];
    uint32_t to_arm; /* slots whose poll has to be written */
    uint32_t fired;
};

static struct uring_engine *from_base(struct io_engine *base)
{
    return (struct uring_engine *)base;
}

/* --- writing entries -------------------------------------------------------------------------- */

static void write_transfer(const struct uring_engine *engine, struct io_uring_sqe *sqe,
                           const struct io_op *op)
{
    uint64_t position = op_position(op);
    bool read = op->opcode == IO_READV;
    if (op->iov_count > 1) {
        (read ? io_uring_prep_readv : io_uring_prep_writev)(sqe, op->file, op->iov, op->iov_count,
                                                            position);
    } else if (op->buffer_index >= 0 && engine->uring.buffers_registered) {
        void *bytes = op->iov->iov_base;
        unsigned byte_len = (unsigned)op->iov->iov_len;
        if (read) {
            io_uring_prep_read_fixed(sqe, op->file, bytes, byte_len, position, op->buffer_index);
        } else {
            io_uring_prep_write_fixed(sqe, op->file, bytes, byte_len, position, op->buffer_index);
        }
    } else if (read) {
        io_uring_prep_read(sqe, op->file, op->iov->iov_base, (unsigned)op->iov->iov_len, position);
    } else {
        io_uring_prep_write(sqe, op->file, op->iov->iov_base, (unsigned)op->iov->iov_len, position);
    }
    sqe->rw_flags = (op->flags & IO_DSYNC) != 0 ? RWF_DSYNC : 0;
}

_Static_assert(sizeof(struct io_uring_sqe) - offsetof(struct io_uring_sqe, cmd) == IO_COMMAND_BYTES,
               "an entry of the ordinary size takes the whole argument");

static void write_command(struct io_uring_sqe *sqe, const struct io_op *op)
{
    io_uring_prep_rw(IORING_OP_URING_CMD, sqe, op->file, NULL, 0, 0);
    sqe->cmd_op = op->command;
    memcpy(sqe->cmd, op->argument, IO_COMMAND_BYTES);
}

static void write_op(const struct uring_engine *engine, struct io_uring_sqe *sqe, struct io_op *op)
{
    if (op->opcode == IO_FDATASYNC) {
        io_uring_prep_fsync(sqe, op->file, IORING_FSYNC_DATASYNC);
    } else if (op->opcode == IO_COMMAND) {
        write_command(sqe, op);
    } else {
        write_transfer(engine, sqe, op);
    }
    io_uring_sqe_set_flags(sqe, IOSQE_FIXED_FILE);
    io_uring_sqe_set_data64(sqe, (uint64_t)(uintptr_t)op);
}

static uint64_t slot_data(uint32_t slot, unsigned tag)
{
    return (uint64_t)slot << TAG_BITS | tag;
}

static void write_watch(struct uring_engine *engine, struct io_uring_sqe *sqe, uint32_t slot)
{
    struct uring_watch *watch = &engine->watches[slot];
    io_uring_prep_poll_multishot(sqe, watch->fd, POLLIN);
    io_uring_sqe_set_data64(sqe, slot_data(slot, TAG_WATCH));
    watch->armed = true;
    engine->to_arm &= ~(1u << slot);
}

static bool anything_waits(const struct uring_engine *engine)
{
    return !op_list_empty(&engine->waiting) || engine->to_arm != 0;
}

/* Writes entries for what waits for one, as far as there is room. */
static void write_waiting(struct uring_engine *engine)
{
    while (engine->to_arm != 0 && io_uring_sq_space_left(&engine->uring.ring) > 0) {
        uint32_t slot = (uint32_t)__builtin_ctz(engine->to_arm);
        write_watch(engine, io_uring_get_sqe(&engine->uring.ring), slot);
    }
    while (!op_list_empty(&engine->waiting) && io_uring_sq_space_left(&engine->uring.ring) > 0) {
        struct io_op *op = op_list_take(&engine->waiting);
        write_op(engine, io_uring_get_sqe(&engine->uring.ring), op);
    }
}

/* --- collecting completions ------------------------------------------------------------------- */

static void end_op(struct uring_engine *engine, struct io_op *op, int32_t result)
{
    op->result = result;
    op_list_append(&engine->done, op);
}

static void collect_op(struct uring_engine *engine, struct io_op *op, int32_t kernel_result)
{
    if (op_progress(op, kernel_result)) {
        op_list_append(&engine->done, op);
    } else if (engine->broken != 0) {
        end_op(engine, op, engine->broken);
    } else {
        op_list_append(&engine->waiting, op);
    }
}

static void collect_watch(struct uring_engine *engine, uint32_t slot, int32_t events,
                          uint32_t cqe_flags)
{
    struct uring_watch *watch = &engine->watches[slot];
    if (watch->wanted) {
        engine->fired |= 1u << slot;
    }
    if ((cqe_flags & IORING_CQE_F_MORE) != 0) {
        return;
    }
    watch->armed = false;
    if (watch->wanted && events >= 0 && (events & (POLLERR | POLLHUP | POLLNVAL)) == 0) {
        engine->to_arm |= 1u << slot;
    }
}

static void collect_cqe(struct uring_engine *engine, const struct io_uring_cqe *cqe)
{
    uint64_t data = cqe->user_data;
    switch (data & TAG_MASK) {
    case TAG_OP:
        collect_op(engine, (struct io_op *)(uintptr_t)data, cqe->res);
        break;
    case TAG_WATCH:
        collect_watch(engine, (uint32_t)(data >> TAG_BITS), cqe->res, cqe->flags);
        break;
    default: /* TAG_UNWATCH: the end of the watch itself is what counts */
        break;
    }
}

/* Moves what has completed to our lists. Enters the kernel only when its flags ask for it. */
static void collect(struct uring_engine *engine)
{
    for (int i = 0; i < COLLECT_BATCHES_MAX; i++) {
        struct io_uring_cqe *cqes[COLLECT_BATCH];
        unsigned count = io_uring_peek_batch_cqe(&engine->uring.ring, cqes, COLLECT_BATCH);
        for (unsigned j = 0; j < count; j++) {
            collect_cqe(engine, cqes[j]);
        }
        io_uring_cq_advance(&engine->uring.ring, count);
        if (count < COLLECT_BATCH) {
            return;
        }
    }
}

static bool has_news(const struct uring_engine *engine)
{
    return !op_list_empty(&engine->done) || engine->fired != 0;
}

/* --- submitting ------------------------------------------------------------------------------- */

/* Ends every op that the kernel has not taken; the others still come as completions. */
static void break_engine(struct uring_engine *engine, int ret)
{
    struct io_uring_sq *sq = &engine->uring.ring.sq;
    unsigned tail = sq->sqe_tail;
    log_write(engine->log, LOG_ERROR, "io_uring became unusable: %s", strerror(-ret));
    engine->broken = ret;
    engine->to_arm = 0;
    for (unsigned i = tail - io_uring_sq_ready(&engine->uring.ring); i != tail; i++) {
        uint64_t data = sq->sqes[i & *sq->kring_mask].user_data;
        if ((data & TAG_MASK) == TAG_OP) {
            end_op(engine, (struct io_op *)(uintptr_t)data, ret);
        } else if ((data & TAG_MASK) == TAG_WATCH) {
            engine->watches[data >> TAG_BITS].armed = false;
        }
    }
    while (!op_list_empty(&engine->waiting)) {
        end_op(engine, op_list_take(&engine->waiting), ret);
    }
}

static void pause_for_completion(struct uring_engine *engine)
{
    struct __kernel_timespec pause = {.tv_nsec = SHORTAGE_PAUSE_NS};
    struct io_uring_cqe *cqe;
    io_uring_wait_cqe_timeout(&engine->uring.ring, &cqe, &pause);
    collect(engine);
}

/* EINTR: nothing was taken. EAGAIN and ENOMEM: no memory for requests. EBUSY: completions that
 * found no room have to be collected first. All else means that the ring is of no use. */
static void handle_refusal(struct uring_engine *engine, int ret)
{
    switch (ret) {
    case -EINTR:
        break;
    case -EAGAIN:
    case -EBUSY:
    case -ENOMEM:
        if (!engine->shortage_logged) {
            engine->shortage_logged = true;
            log_write(engine->log, LOG_WARN, "io_uring is short of memory or room (%s): retrying",
                      strerror(-ret));
        }
        pause_for_completion(engine);
        break;
    default:
        break_engine(engine, ret);
        break;
    }
}

static int submit_all(struct uring_engine *engine)
{
    while (engine->broken == 0) {
        write_waiting(engine);
        if (io_uring_sq_ready(&engine->uring.ring) == 0) {
            return 0;
        }
        int ret = io_uring_submit(&engine->uring.ring);
        if (ret <= 0) {
            handle_refusal(engine, ret == 0 ? -EAGAIN : ret);
        }
    }
    return engine->broken;
}

/* Short transfers and watches that ended go on at once: the caller may only be polling. */
static void collect_and_continue(struct uring_engine *engine)
{
    collect(engine);
    if (anything_waits(engine)) {
        submit_all(engine);
    }
}

/* --- the engine's operations ------------------------------------------------------------------ */

static void uring_prep(struct io_engine *base, struct io_op *op)
{
    struct uring_engine *engine = from_base(base);
    assert(op->file < engine->fd_count);
    assert(base->in_flight <= engine->depth);
    if (engine->broken != 0) {
        end_op(engine, op, engine->broken);
        return;
    }
    struct io_uring_sqe *sqe = NULL;
    if (op_list_empty(&engine->waiting)) {
        sqe = io_uring_get_sqe(&engine->uring.ring);
    }
    if (sqe != NULL) {
        write_op(engine, sqe, op);
    } else {
        op_list_append(&engine->waiting, op);
    }
}

static int uring_submit(struct io_engine *base)
{
    return submit_all(from_base(base));
}

static uint32_t uring_reap(struct io_engine *base, struct io_op **ops, uint32_t max)
{
    struct uring_engine *engine = from_base(base);
    collect_and_continue(engine);
    return op_list_take_many(&engine->done, ops, max);
}

/* Submits and sleeps for one completion in one enter. */
static void submit_and_sleep(struct uring_engine *engine, uint64_t left_ns)
{
    struct __kernel_timespec left = {.tv_sec = (long long)(left_ns / 1000000000u),
                                     .tv_nsec = (long long)(left_ns % 1000000000u)};
    struct io_uring_cqe *cqe;
    int ret = io_uring_submit_and_wait_timeout(&engine->uring.ring, &cqe, 1,
                                               left_ns == UINT64_MAX ? NULL : &left, NULL);
    if (ret < 0 && ret != -ETIME) {
        handle_refusal(engine, ret);
    }
    collect(engine);
}

static int uring_wait(struct io_engine *base, uint64_t timeout_ns)
{
    struct uring_engine *engine = from_base(base);
    uint64_t deadline = deadline_after(timeout_ns);
    uint64_t left_ns = timeout_ns;
    if (io_uring_cq_ready(&engine->uring.ring) > 0) {
        collect(engine);
    }
    while (!has_news(engine)) {
        if (engine->broken != 0) {
            return engine->broken;
        }
        write_waiting(engine);
        if (anything_waits(engine) && submit_all(engine) != 0) { /* did not fit into one enter */
            continue;
        }
        submit_and_sleep(engine, left_ns);
        left_ns = deadline_left_ns(deadline);
        if (left_ns == 0 && !has_news(engine)) {
            return -ETIME;
        }
    }
    submit_all(engine);
    return 0;
}

/* epoll refuses what nobody can wait for (files, /dev/null); io_uring would report such a file as
 * readable without end. */
static int check_waitable(int fd)
{
    struct epoll_event event = {.events = EPOLLIN};
    int probe;
    if (fcntl(fd, F_GETFD) < 0 || (probe = epoll_create1(EPOLL_CLOEXEC)) < 0) {
        return -errno;
    }
    int ret = epoll_ctl(probe, EPOLL_CTL_ADD, fd, &event) == 0 ? 0 : -errno;
    close(probe);
    return ret;
}

static int uring_watch(struct io_engine *base, uint32_t slot, int fd)
{
    struct uring_engine *engine = from_base(base);
    int waitable = check_waitable(fd);
    if (waitable != 0) {
        return waitable;
    }
    engine->watches[slot] = (struct uring_watch){.fd = fd, .wanted = true};
    engine->to_arm |= 1u << slot;
    int ret = submit_all(engine);
    if (ret != 0) {
        engine->watches[slot].wanted = false;
    }
    return ret;
}

/* Asks the kernel to end the poll until its last completion is there: one that is about to report
 * cannot be found at that moment. */
static void uring_unwatch(struct io_engine *base, uint32_t slot)
{
    struct uring_engine *engine = from_base(base);
    struct uring_watch *watch = &engine->watches[slot];
    watch->wanted = false;
    engine->to_arm &= ~(1u << slot);
    engine->fired &= ~(1u << slot);
    while (watch->armed && submit_all(engine) == 0) {
        struct io_uring_sqe *sqe = io_uring_get_sqe(&engine->uring.ring);
        io_uring_prep_poll_remove(sqe, slot_data(slot, TAG_WATCH));
        io_uring_sqe_set_data64(sqe, slot_data(slot, TAG_UNWATCH));
        submit_all(engine);
        collect(engine);
        if (watch->armed) {
            pause_for_completion(engine);
        }
    }
}

static uint32_t uring_fired(struct io_engine *base)
{
    struct uring_engine *engine = from_base(base);
    collect_and_continue(engine);
    uint32_t fired = engine->fired;
    engine->fired = 0;
    return fired;
}

/* A kernel that cannot take a file out of the table keeps it until the ring ends. */
static void uring_drop_file(struct io_engine *base, uint8_t file)
{
    const int none = -1;
    struct uring_engine *engine = from_base(base);
    int ret = io_uring_register_files_update(&engine->uring.ring, file, (int *)(uintptr_t)&none, 1);
    if (ret < 0) {
        log_write(engine->log, LOG_WARN, "io_uring keeps a file open that is not needed: %s",
                  strerror(-ret));
    }
}

static void uring_destroy(struct io_engine *base)
{
    struct uring_engine *engine = from_base(base);
    uring_ring_deinit(&engine->uring, base->commands > 0);
    free(engine);
}

static const struct io_engine_ops uring_engine_ops = {
    .destroy = uring_destroy,
    .prep = uring_prep,
    .submit = uring_submit,
    .reap = uring_reap,
    .wait = uring_wait,
    .watch = uring_watch,
    .unwatch = uring_unwatch,
    .fired = uring_fired,
    .drop_file = uring_drop_file,
};

int uring_engine_create(const struct io_engine_params *params, struct io_engine **out,
                        struct error *error)
{
    struct uring_engine *engine = calloc(1, sizeof(*engine));
    if (engine == NULL) {
        return error_set_errno(error, -ENOMEM, "cannot create the io_uring engine");
    }
    int ret = uring_ring_init(&engine->uring, params, error);
    if (ret != 0) {
        free(engine);
        return ret;
    }
    engine->base.ops = &uring_engine_ops;
    engine->log = params->log;
    engine->depth = params->depth;
    engine->fd_count = params->fd_count;
    *out = &engine->base;
    return 0;
}
