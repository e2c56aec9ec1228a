/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * The engine on io_uring: everything its thread waits for is in one ring, and a batch costs one
 * io_uring_enter.
 *
 * Where the kernel can (6.1), the ring is set up so that completions are worked off on this thread
 * and only when it asks (SINGLE_ISSUER, DEFER_TASKRUN); the TASKRUN flag then says, without a
 * system call, that asking pays. liburing's peek looks at that flag, and at the one for an
 * overflown completion queue, and enters the kernel only for them.
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
#include <liburing.h>
#include <poll.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "io/deadline.h"
#include "io/io_engine_ops.h"
#include "io/op_list.h"
#include "io/op_progress.h"

enum { TAG_OP = 0, TAG_WATCH = 1, TAG_UNWATCH = 2, TAG_MASK = 7, TAG_BITS = 3 };

_Static_assert(_Alignof(struct io_op) > TAG_MASK, "the tag lies in bits that an address has 0");

/* How many completions one call collects: a front end that never stops kicking may not keep us. */
enum { COLLECT_BATCH = 32, COLLECT_BATCHES_MAX = 2 * IO_DEPTH_MAX / COLLECT_BATCH };

/* Pause before the kernel is asked again after it was short of something. */
enum { SHORTAGE_PAUSE_NS = 1000000 };

/* EXT_ARG: waiting with a timeout needs no entry. RSRC_TAGS: came with multishot poll, in 5.13. */
static const unsigned features_needed =
    IORING_FEAT_NODROP | IORING_FEAT_EXT_ARG | IORING_FEAT_RSRC_TAGS;

struct uring_watch {
    int fd;
    bool wanted; /* between watch and unwatch */
    bool armed;  /* a poll of it has been written and has not ended */
};

struct uring_engine {
    struct io_engine base;
    struct io_uring ring;
    struct log *log;
    uint32_t depth;
    uint32_t fd_count;
    bool files_registered;
    bool buffers_registered;
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

/* --- writing entries ---------------------------------------------------------------------------
 */

static void write_transfer(const struct uring_engine *engine, struct io_uring_sqe *sqe,
                           const struct io_op *op)
{
    uint64_t position = op_position(op);
    bool read = op->opcode == IO_READV;
    if (op->iov_count > 1) {
        (read ? io_uring_prep_readv : io_uring_prep_writev)(sqe, op->file, op->iov, op->iov_count,
                                                            position);
    } else if (op->buffer_index >= 0 && engine->buffers_registered) {
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

static void write_op(const struct uring_engine *engine, struct io_uring_sqe *sqe, struct io_op *op)
{
    if (op->opcode == IO_FDATASYNC) {
        io_uring_prep_fsync(sqe, op->file, IORING_FSYNC_DATASYNC);
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
    while (engine->to_arm != 0 && io_uring_sq_space_left(&engine->ring) > 0) {
        uint32_t slot = (uint32_t)__builtin_ctz(engine->to_arm);
        write_watch(engine, io_uring_get_sqe(&engine->ring), slot);
    }
    while (!op_list_empty(&engine->waiting) && io_uring_sq_space_left(&engine->ring) > 0) {
        struct io_op *op = op_list_take(&engine->waiting);
        write_op(engine, io_uring_get_sqe(&engine->ring), op);
    }
}

/* --- collecting completions --------------------------------------------------------------------
 */

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
        unsigned count = io_uring_peek_batch_cqe(&engine->ring, cqes, COLLECT_BATCH);
        for (unsigned j = 0; j < count; j++) {
            collect_cqe(engine, cqes[j]);
        }
        io_uring_cq_advance(&engine->ring, count);
        if (count < COLLECT_BATCH) {
            return;
        }
    }
}

static bool has_news(const struct uring_engine *engine)
{
    return !op_list_empty(&engine->done) || engine->fired != 0;
}

/* --- submitting --------------------------------------------------------------------------------
 */

/* Ends every op that the kernel has not taken; the others still come as completions. */
static void break_engine(struct uring_engine *engine, int ret)
{
    struct io_uring_sq *sq = &engine->ring.sq;
    unsigned tail = sq->sqe_tail;
    log_write(engine->log, LOG_ERROR, "io_uring became unusable: %s", strerror(-ret));
    engine->broken = ret;
    engine->to_arm = 0;
    for (unsigned i = tail - io_uring_sq_ready(&engine->ring); i != tail; i++) {
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
    io_uring_wait_cqe_timeout(&engine->ring, &cqe, &pause);
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
        if (io_uring_sq_ready(&engine->ring) == 0) {
            return 0;
        }
        int ret = io_uring_submit(&engine->ring);
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

/* --- the engine's operations -------------------------------------------------------------------
 */

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
        sqe = io_uring_get_sqe(&engine->ring);
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
    int ret = io_uring_submit_and_wait_timeout(&engine->ring, &cqe, 1,
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
    if (io_uring_cq_ready(&engine->ring) > 0) {
        collect(engine);
    }
    while (!has_news(engine)) {
        if (engine->broken != 0) {
            return engine->broken;
        }
        write_waiting(engine);
        if (anything_waits(engine)) { /* more than fits into one enter */
            submit_all(engine);
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

static int uring_watch(struct io_engine *base, uint32_t slot, int fd)
{
    struct uring_engine *engine = from_base(base);
    struct stat status;
    if (fstat(fd, &status) != 0) {
        return -errno;
    }
    if (S_ISREG(status.st_mode) || S_ISDIR(status.st_mode) || S_ISBLK(status.st_mode)) {
        return -EPERM;
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
        struct io_uring_sqe *sqe = io_uring_get_sqe(&engine->ring);
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

/* The kernel ends a ring some time after its last user let go. What the ring refers to is therefore
 * taken out of it by hand: the lock on a disk must not outlive us for longer than it has to. */
static void uring_destroy(struct io_engine *base)
{
    struct uring_engine *engine = from_base(base);
    if (engine->buffers_registered) {
        io_uring_unregister_buffers(&engine->ring);
    }
    if (engine->files_registered) {
        io_uring_unregister_files(&engine->ring);
    }
    io_uring_queue_exit(&engine->ring);
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
};

/* --- creation ----------------------------------------------------------------------------------
 */

/* Best first; each is refused with EINVAL by a kernel that does not know a flag of it. */
static const unsigned setup_flags[] = {
    IORING_SETUP_R_DISABLED | IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN |
        IORING_SETUP_TASKRUN_FLAG | IORING_SETUP_SUBMIT_ALL,
    IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG | IORING_SETUP_SUBMIT_ALL,
    0,
};

static int set_up_ring(struct uring_engine *engine, struct io_uring_params *ring_params)
{
    int ret = -EINVAL;
    for (size_t i = 0; ret == -EINVAL && i < sizeof(setup_flags) / sizeof(*setup_flags); i++) {
        *ring_params = (struct io_uring_params){
            .flags = setup_flags[i] | IORING_SETUP_CQSIZE,
            /* Room for every op and for some news of every watch. */
            .cq_entries = 2 * engine->depth + 16 * IO_WATCH_MAX,
        };
        ret = io_uring_queue_init_params(engine->depth, &engine->ring, ring_params);
    }
    return ret;
}

static const char *why_refused(int ret)
{
    switch (ret) {
    case -ENOSYS:
        return "this kernel has none";
    case -EPERM:
    case -EACCES:
        return "the host forbids it (sysctl kernel.io_uring_disabled, a seccomp filter or a "
               "security module)";
    case -ENOMEM:
        return "not enough memory, or not enough that may be locked (RLIMIT_MEMLOCK)";
    default:
        return strerror(-ret);
    }
}

static int refuse(int ret, const char *why, struct error *error)
{
    return error_set(error, ret, "cannot use io_uring: %s; io_engine: sync does without", why);
}

static int register_buffers(struct uring_engine *engine, const struct io_engine_params *params)
{
    if (params->buffer_count == 0) {
        return 0;
    }
    int ret = io_uring_register_buffers(&engine->ring, params->buffers, params->buffer_count);
    if (ret == -ENOMEM || ret == -EPERM) {
        log_write(engine->log, LOG_WARN,
                  "cannot register buffers with io_uring (%s): continuing without; more lockable "
                  "memory (RLIMIT_MEMLOCK) makes it faster",
                  strerror(-ret));
        return 0;
    }
    engine->buffers_registered = ret == 0;
    return ret;
}

static int register_all(struct uring_engine *engine, const struct io_engine_params *params)
{
    int ret = io_uring_register_files(&engine->ring, params->fds, params->fd_count);
    if (ret != 0) {
        return ret;
    }
    engine->files_registered = true;
    ret = register_buffers(engine, params);
    if (ret != 0) {
        return ret;
    }
    if ((engine->ring.flags & IORING_SETUP_R_DISABLED) != 0) {
        ret = io_uring_enable_rings(&engine->ring);
    }
    if (ret == 0) {
        io_uring_register_ring_fd(&engine->ring); /* saves a reference per enter; not needed */
    }
    return ret;
}

int uring_engine_create(const struct io_engine_params *params, struct io_engine **out,
                        struct error *error)
{
    struct io_uring_params ring_params;
    struct uring_engine *engine = calloc(1, sizeof(*engine));
    if (engine == NULL) {
        return error_set_errno(error, -ENOMEM, "cannot create the io_uring engine");
    }
    engine->base.ops = &uring_engine_ops;
    engine->log = params->log;
    engine->depth = params->depth;
    engine->fd_count = params->fd_count;
    int ret = set_up_ring(engine, &ring_params);
    if (ret != 0) {
        free(engine);
        return refuse(ret, why_refused(ret), error);
    }
    if ((ring_params.features & features_needed) != features_needed) {
        uring_destroy(&engine->base);
        return refuse(-ENOSYS, "this kernel's is too old (5.13 or later is needed)", error);
    }
    ret = register_all(engine, params);
    if (ret != 0) {
        uring_destroy(&engine->base);
        return refuse(ret, why_refused(ret), error);
    }
    *out = &engine->base;
    return 0;
}
