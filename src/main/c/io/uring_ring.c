/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * The best that the kernel has to offer: from 6.1 a ring that belongs to one thread and works its
 * completions off only when that thread asks (SINGLE_ISSUER, DEFER_TASKRUN), with a flag that says
 * when asking pays (TASKRUN_FLAG); it starts disabled and belongs to the thread that enables it.
 * Older kernels refuse what they do not know, and get less.
 *
 * The kernel ends a ring some time after its last user let go. What the ring refers to is therefore
 * taken out of it by hand: the lock on a disk must not outlive us for longer than it has to. Up to
 * Linux 6.12 that waits for all that uses any of it, and so is not done while a command is at its
 * driver, which may keep it until the ring ends.
 */
#include "io/uring_ring.h"

#include <errno.h>
#include <string.h>

#include "base/log.h"

/* EXT_ARG: waiting with a timeout needs no entry. RSRC_TAGS: came with multishot poll, in 5.13. */
static const unsigned features_needed =
    IORING_FEAT_NODROP | IORING_FEAT_EXT_ARG | IORING_FEAT_RSRC_TAGS;

/* Best first; each is refused with EINVAL by a kernel that does not know a flag of it. */
static const unsigned setup_flags[] = {
    IORING_SETUP_R_DISABLED | IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN |
        IORING_SETUP_TASKRUN_FLAG | IORING_SETUP_SUBMIT_ALL,
    IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG | IORING_SETUP_SUBMIT_ALL,
    0,
};

static int set_up(struct uring_ring *uring, uint32_t depth, struct io_uring_params *ring_params)
{
    int ret = -EINVAL;
    for (size_t i = 0; ret == -EINVAL && i < sizeof(setup_flags) / sizeof(*setup_flags); i++) {
        *ring_params = (struct io_uring_params){
            .flags = setup_flags[i] | IORING_SETUP_CQSIZE,
            /* Room for every op and for some news of every watch. */
            .cq_entries = 2 * depth + 16 * IO_WATCH_MAX,
        };
        ret = io_uring_queue_init_params(depth, &uring->ring, ring_params);
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

static int register_buffers(struct uring_ring *uring, const struct io_engine_params *params)
{
    if (params->buffer_count == 0) {
        return 0;
    }
    int ret = io_uring_register_buffers(&uring->ring, params->buffers, params->buffer_count);
    if (ret == -ENOMEM || ret == -EPERM) {
        log_write(params->log, LOG_WARN,
                  "cannot register buffers with io_uring (%s): continuing without; more lockable "
                  "memory (RLIMIT_MEMLOCK) makes it faster",
                  strerror(-ret));
        return 0;
    }
    uring->buffers_registered = ret == 0;
    return ret;
}

static int register_all(struct uring_ring *uring, const struct io_engine_params *params)
{
    int ret = io_uring_register_files(&uring->ring, params->fds, params->fd_count);
    if (ret != 0) {
        return ret;
    }
    uring->files_registered = true;
    ret = register_buffers(uring, params);
    if (ret != 0) {
        return ret;
    }
    if ((uring->ring.flags & IORING_SETUP_R_DISABLED) != 0) {
        ret = io_uring_enable_rings(&uring->ring);
    }
    if (ret == 0) {
        io_uring_register_ring_fd(&uring->ring); /* saves a reference per enter; not needed */
    }
    return ret;
}

int uring_ring_init(struct uring_ring *uring, const struct io_engine_params *params,
                    struct error *error)
{
    struct io_uring_params ring_params;
    *uring = (struct uring_ring){0};
    int ret = set_up(uring, params->depth, &ring_params);
    if (ret != 0) {
        return refuse(ret, why_refused(ret), error);
    }
    if ((ring_params.features & features_needed) != features_needed) {
        uring_ring_deinit(uring, false);
        return refuse(-ENOSYS, "this kernel's is too old (5.13 or later is needed)", error);
    }
    ret = register_all(uring, params);
    if (ret != 0) {
        uring_ring_deinit(uring, false);
        return refuse(ret, why_refused(ret), error);
    }
    return 0;
}

void uring_ring_deinit(struct uring_ring *uring, bool commands)
{
    if (uring->buffers_registered && !commands) {
        io_uring_unregister_buffers(&uring->ring);
    }
    if (uring->files_registered && !commands) {
        io_uring_unregister_files(&uring->ring);
    }
    io_uring_queue_exit(&uring->ring);
}
