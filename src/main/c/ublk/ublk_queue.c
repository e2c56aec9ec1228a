/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * A round: collect, start what the driver sent, commit what has ended, then sleep. Sleeping submits
 * all of that in the same system call, so at depth 1 a request costs two: one that submits its
 * transfer and waits for it, one that commits it and waits for the next.
 *
 * The driver wants all commands of a queue from one thread, which is how the engine works anyway.
 */
#include "ublk_queue.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/event.h"
#include "base/minmax.h"
#include "blk/blk_queue.h"
#include "blk/queue_thread.h"
#include "ublk/ublk_tags.h"
#include "ublk/ublk_uapi.h"

#ifndef PR_GET_IO_FLUSHER
#define PR_GET_IO_FLUSHER 58
#endif

struct ublk_queue {
    struct ublk_queue_params params;
    int wake_fd;
    struct queue_thread thread;
    _Atomic uint64_t wait_ends_ns; /* for stripes; UINT64_MAX: never */
    _Atomic bool leaving;
    _Atomic bool ended;
    int failure; /* written before ended */

    /* The rest belongs to the queue thread. */
    struct blk_queue *blk;
    struct ublk_tags tags;
    void *iods;
    bool engine_failed;
};

static size_t page_bytes(void)
{
    return (size_t)sysconf(_SC_PAGESIZE);
}

static size_t iods_bytes(uint32_t depth)
{
    size_t page = page_bytes();
    return (depth * sizeof(struct ublksrv_io_desc) + page - 1) / page * page;
}

/*
 * The driver's descriptors of one queue lie at a multiple of what the deepest queue takes. From the
 * first mapping on a device is this process's: no other can take it over before a queue of ours
 * has fetched. So nothing that may fail comes between the two.
 */
static int map_iods(struct ublk_queue *queue, struct error *error)
{
    const struct ublk_queue_params *params = &queue->params;
    off_t offset =
        UBLKSRV_CMD_BUF_OFFSET + (off_t)(params->q_id * iods_bytes(UBLK_MAX_QUEUE_DEPTH));
    void *iods = mmap(NULL, iods_bytes(params->q_depth), PROT_READ, MAP_SHARED | MAP_POPULATE,
                      params->char_fd, offset);
    if (iods == MAP_FAILED)
        return error_set_errno(error, -errno, "queue %u: mapping the driver's requests",
                               params->q_id);
    queue->iods = iods;
    queue->tags.params.iods = iods;
    return 0;
}

/* Once for a disk: its queues' threads have inherited the same. */
static void check_io_flusher(const struct ublk_queue_params *params)
{
    if (params->q_id == 0 && prctl(PR_GET_IO_FLUSHER, 0, 0, 0, 0) != 1) {
        log_write(params->device->log, LOG_WARN,
                  "this process runs without PR_SET_IO_FLUSHER, and may wait for its own device "
                  "when memory is short: start it by bin/ublk-backend, with CAP_SYS_RESOURCE");
    }
}

static int queue_open(void *argument, struct error *error)
{
    struct ublk_queue *queue = argument;
    const struct ublk_queue_params *params = &queue->params;
    check_io_flusher(params);
    int result = blk_queue_create_with_commands(params->device, params->q_id, params->char_fd,
                                                &queue->blk, error);
    if (result < 0)
        return result;
    result = blk_queue_watch(queue->blk, BLK_QUEUE_WATCH_WAKE, queue->wake_fd);
    if (result < 0)
        return error_set_errno(error, result, "queue %u: watching its eventfd", params->q_id);
    const struct ublk_tags_params tags = {
        .blk = queue->blk,
        .log = params->device->log,
        .q_id = params->q_id,
        .q_depth = params->q_depth,
        .buffer_bytes = params->buffer_bytes,
        .encoded = params->encoded,
    };
    result = ublk_tags_init(&queue->tags, &tags, error);
    return result < 0 ? result : map_iods(queue, error);
}

/* Whether the driver is told nothing more: tags end, and it keeps their requests. */
static bool giving_up(const struct ublk_queue *queue)
{
    return queue->engine_failed || queue->tags.failure != 0 || atomic_load(&queue->leaving);
}

/* Fails what waits for a stripe once the time for that is over. */
static void expire(struct ublk_queue *queue, uint64_t now_ns)
{
    if (blk_queue_held(queue->blk) > 0 &&
        (now_ns >= atomic_load(&queue->wait_ends_ns) || giving_up(queue)))
        blk_queue_expire_held(queue->blk);
}

static uint64_t sleep_ns(const struct ublk_queue *queue, uint64_t now_ns)
{
    uint64_t deadline_ns = blk_queue_deadline_ns(queue->blk);
    if (blk_queue_held(queue->blk) > 0)
        deadline_ns = min_u64(deadline_ns, atomic_load(&queue->wait_ends_ns));
    if (deadline_ns == UINT64_MAX)
        return UINT64_MAX;
    return deadline_ns > now_ns ? deadline_ns - now_ns : 0;
}

static void sleep_until_event(struct ublk_queue *queue, uint64_t now_ns)
{
    int result = blk_queue_wait(queue->blk, sleep_ns(queue, now_ns));
    if (result == 0 || result == -ETIME) {
        blk_queue_fired(queue->blk);
        return;
    }
    if (!queue->engine_failed) {
        queue->engine_failed = true;
        queue->failure = result;
        log_write(queue->params.device->log, LOG_ERROR,
                  "queue %u: the I/O engine failed with errno %d", queue->params.q_id, -result);
    }
    poll(NULL, 0, BLK_QUEUE_FAILED_PAUSE_MS);
}

static void note_end(struct ublk_queue *queue)
{
    if (queue->failure == 0 && queue->tags.failure != 0) {
        queue->failure = queue->tags.failure;
        log_write(queue->params.device->log, LOG_ERROR,
                  "queue %u: the ublk driver refused a command with errno %d", queue->params.q_id,
                  -queue->failure);
    }
}

static void queue_loop(void *argument)
{
    struct ublk_queue *queue = argument;
    ublk_tags_fetch(&queue->tags);
    do {
        uint64_t now_ns = clock_now_ns();
        sleep_until_event(queue, now_ns);
        now_ns = clock_now_ns();
        blk_queue_reap(queue->blk, now_ns);
        ublk_tags_take(&queue->tags, now_ns);
        expire(queue, now_ns);
        blk_queue_issue(queue->blk, now_ns);
        if (giving_up(queue))
            ublk_tags_drop(&queue->tags);
        else
            ublk_tags_answer(&queue->tags);
        /* The driver may have tags left when we give up. */
    } while (!ublk_tags_over(&queue->tags) &&
             !(giving_up(queue) && blk_queue_busy(queue->blk) == 0));
    note_end(queue);
}

/* The engine first: with it the driver's last access to what the tags point to ends. */
static void queue_close(void *argument)
{
    struct ublk_queue *queue = argument;
    blk_queue_destroy(queue->blk);
    ublk_tags_deinit(&queue->tags);
    if (queue->iods)
        munmap(queue->iods, iods_bytes(queue->params.q_depth));
    /* Release: the reader of ended may look at failure. */
    atomic_store_explicit(&queue->ended, true, memory_order_release);
    event_signal(queue->params.ended_fd);
}

static void queue_free(struct ublk_queue *queue)
{
    if (queue->wake_fd >= 0)
        close(queue->wake_fd);
    free(queue);
}

static int queue_start(struct ublk_queue *queue, const cpu_set_t *cpus, struct error *error)
{
    uint32_t q_id = queue->params.q_id;
    queue->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (queue->wake_fd < 0)
        return error_set_errno(error, -errno, "queue %u: eventfd", q_id);
    const struct queue_thread_params params = {
        .index = q_id,
        .cpus = cpus,
        .log = queue->params.device->log,
        .open = queue_open,
        .run = queue_loop,
        .close = queue_close,
        .queue = queue,
    };
    return queue_thread_start(&queue->thread, &params, error);
}

int ublk_queue_create(const struct ublk_queue_params *params, struct ublk_queue **out,
                      struct error *error)
{
    assert(params->q_depth <= params->device->queue_size);
    struct ublk_queue *queue = calloc(1, sizeof(*queue));
    if (!queue)
        return error_set(error, -ENOMEM, "no memory for queue %u", params->q_id);
    queue->params = *params;
    queue->params.cpus = NULL; /* is the caller's */
    queue->wake_fd = -1;
    atomic_init(&queue->wait_ends_ns, UINT64_MAX);
    int result = queue_start(queue, params->cpus, error);
    if (result < 0) {
        queue_free(queue);
        return result;
    }
    *out = queue;
    return 0;
}

void ublk_queue_limit_waits(struct ublk_queue *queue, uint64_t deadline_ns)
{
    atomic_store(&queue->wait_ends_ns, deadline_ns);
    event_signal(queue->wake_fd);
}

bool ublk_queue_ended(const struct ublk_queue *queue)
{
    return atomic_load_explicit(&queue->ended, memory_order_acquire);
}

int ublk_queue_failure(const struct ublk_queue *queue)
{
    assert(ublk_queue_ended(queue));
    return queue->failure;
}

void ublk_queue_destroy(struct ublk_queue *queue)
{
    if (!queue)
        return;
    atomic_store(&queue->leaving, true);
    event_signal(queue->wake_fd);
    queue_thread_join(&queue->thread);
    queue_free(queue);
}
