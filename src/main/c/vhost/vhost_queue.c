/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * The loop does what there is to do, in the order of a request's life: a command, new heads, one
 * submit for all of them, completions, answers with one signal. Commands that must wait for
 * requests stay active meanwhile and are looked at after each round.
 */
#include "vhost_queue.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/cpu_relax.h"
#include "base/event.h"
#include "base/minmax.h"
#include "blk/blk_queue.h"
#include "blk/queue_thread.h"
#include "vhost/poll_pace.h"
#include "vhost/vhost_virtq.h"

struct vhost_queue {
    struct blk_device *device;
    uint32_t index;
    int wake_fd;
    int done_fd;
    struct queue_thread thread;
    _Atomic(struct vhost_command *) command;

    /* The rest belongs to the queue thread. */
    struct vhost_command *active; /* begun, not done */
    uint64_t stop_deadline_ns;    /* of an active STOP */
    struct blk_queue *blk;
    struct vhost_virtq vq;
    int kick_fd; /* -1 while the ring is stopped */
    bool engine_failed;
    struct poll_pace pace;
};

static void command_done(struct vhost_queue *queue, int result)
{
    struct vhost_command *command = queue->active;
    command->result = result;
    queue->active = NULL;
    /* Release: the session reads the command's results after vhost_queue_done. */
    atomic_store_explicit(&queue->command, NULL, memory_order_release);
    event_signal(queue->done_fd);
}

static int watch_kick(struct vhost_queue *queue, int kick_fd)
{
    blk_queue_unwatch(queue->blk, BLK_QUEUE_WATCH_KICK);
    queue->kick_fd = kick_fd;
    return blk_queue_watch(queue->blk, BLK_QUEUE_WATCH_KICK, kick_fd);
}

static int ring_start(struct vhost_queue *queue, const struct vhost_command *command)
{
    int result = vhost_virtq_start(&queue->vq, &command->setup);
    if (result < 0)
        return result;
    queue->vq.call_fd = command->call_fd;
    queue->vq.err_fd = command->err_fd;
    queue->vq.enabled = command->enabled;
    result = watch_kick(queue, command->kick_fd);
    if (result < 0) {
        queue->kick_fd = -1; /* the session closes it */
        vhost_virtq_stop(&queue->vq);
    }
    return result;
}

static void ring_stopped(struct vhost_queue *queue)
{
    blk_queue_unwatch(queue->blk, BLK_QUEUE_WATCH_KICK);
    queue->kick_fd = -1;
    queue->active->next_avail = vhost_virtq_stop(&queue->vq);
}

/* What was answered before was told to the other call descriptor, at which nobody may look any
 * more; with EVENT_IDX it would never be told again. A driver takes a signal that means nothing. */
static void change_call_fd(struct vhost_virtq *vq, int call_fd)
{
    if (call_fd == vq->call_fd)
        return;
    vq->call_fd = call_fd;
    event_signal(call_fd);
}

static int ring_change_fds(struct vhost_queue *queue, const struct vhost_command *command)
{
    change_call_fd(&queue->vq, command->call_fd);
    queue->vq.err_fd = command->err_fd;
    return command->kick_fd == queue->kick_fd ? 0 : watch_kick(queue, command->kick_fd);
}

/* Whether new heads may be taken. */
static bool accepts(const struct vhost_queue *queue)
{
    return vhost_virtq_open(&queue->vq) &&
           !(queue->active && queue->active->kind == VHOST_COMMAND_STOP);
}

/* Begins the command that was posted, and ends it unless it must wait for requests. */
static void command_begin(struct vhost_queue *queue, struct vhost_command *command)
{
    queue->active = command;
    switch (command->kind) {
    case VHOST_COMMAND_START:
        command_done(queue, ring_start(queue, command));
        return;
    case VHOST_COMMAND_ENABLE:
        queue->vq.enabled = command->enabled;
        command_done(queue, 0);
        return;
    case VHOST_COMMAND_FDS:
        command_done(queue, ring_change_fds(queue, command));
        return;
    case VHOST_COMMAND_MEMORY:
        command_done(queue, vhost_virtq_move(&queue->vq, &command->setup));
        return;
    case VHOST_COMMAND_STOP:
        queue->stop_deadline_ns = clock_now_ns() + command->stop_timeout_ms * UINT64_C(1000000);
        return;
    case VHOST_COMMAND_DRAIN_WRITES:
    case VHOST_COMMAND_EXIT:
        return;
    }
}

/* True when another round is worth it. */
static bool stop_continues(struct vhost_queue *queue, uint64_t now_ns)
{
    vhost_virtq_put_back(&queue->vq);
    if (blk_queue_busy(queue->blk) == 0) {
        ring_stopped(queue);
        command_done(queue, 0);
        return true;
    }
    if (now_ns < queue->stop_deadline_ns)
        return false;
    bool cut = blk_queue_expire_oversized(queue->blk);
    if (blk_queue_held(queue->blk) == 0)
        return cut;
    blk_queue_expire_held(queue->blk);
    return true;
}

/* Ends a command that waits for requests once they have ended. True when another round is worth
 * it. */
static bool command_continue(struct vhost_queue *queue, uint64_t now_ns)
{
    switch (queue->active->kind) {
    case VHOST_COMMAND_STOP:
        return stop_continues(queue, now_ns);
    case VHOST_COMMAND_DRAIN_WRITES:
        if (blk_queue_volatile_writes(queue->blk) > 0)
            return false;
        command_done(queue, 0);
        return true;
    default:
        return false;
    }
}

/* When something has to be done although nothing happened; UINT64_MAX: never. */
static uint64_t sleep_deadline_ns(const struct vhost_queue *queue)
{
    uint64_t deadline_ns = blk_queue_deadline_ns(queue->blk);
    bool stopping = queue->active && queue->active->kind == VHOST_COMMAND_STOP;
    if (stopping && blk_queue_held(queue->blk) > 0)
        deadline_ns = min_u64(deadline_ns, queue->stop_deadline_ns);
    return deadline_ns;
}

static uint64_t sleep_ns(const struct vhost_queue *queue)
{
    uint64_t deadline_ns = sleep_deadline_ns(queue);
    if (deadline_ns == UINT64_MAX)
        return UINT64_MAX;
    uint64_t now_ns = clock_now_ns();
    return deadline_ns > now_ns ? deadline_ns - now_ns : 0;
}

/* The engine is unusable, and nothing says that what the kernel has of it completed. Nor is the
 * kick descriptor waited for: it is the front end's, who may let a read of it block, and unread it
 * would end every sleep at once. So a started ring is looked at after a pause. */
static void sleep_without_engine(struct vhost_queue *queue)
{
    const int fds[] = {queue->wake_fd, blk_queue_stripes_fd(queue->blk)};
    struct pollfd events[2];
    for (int i = 0; i < 2; i++)
        events[i] = (struct pollfd){.fd = fds[i], .events = POLLIN};
    uint64_t timeout_ns = sleep_ns(queue);
    if (queue->vq.started)
        timeout_ns = min_u64(timeout_ns, BLK_QUEUE_FAILED_PAUSE_MS * UINT64_C(1000000));
    const struct timespec timeout = {.tv_sec = (time_t)(timeout_ns / 1000000000u),
                                     .tv_nsec = (long)(timeout_ns % 1000000000u)};
    if (ppoll(events, 2, timeout_ns == UINT64_MAX ? NULL : &timeout, NULL) < 0)
        return;
    for (int i = 0; i < 2; i++)
        if (events[i].revents)
            event_drain(fds[i]);
}

static void sleep_until_event(struct vhost_queue *queue)
{
    /* Put off for heads that are no longer taken, because the ring is about to stop. */
    vhost_virtq_signal_now(&queue->vq);
    if (queue->vq.started && virtq_notify_enable(&queue->vq.ring) && accepts(queue)) {
        virtq_notify_disable(&queue->vq.ring);
        return;
    }
    if (queue->engine_failed) {
        sleep_without_engine(queue);
    } else {
        int result = blk_queue_wait(queue->blk, sleep_ns(queue));
        if (result < 0 && result != -ETIME) {
            queue->engine_failed = true;
            log_write(queue->device->log, LOG_ERROR,
                      "queue %u: the I/O engine failed with errno %d", queue->index, -result);
        } else {
            blk_queue_fired(queue->blk);
        }
    }
    if (queue->vq.started)
        virtq_notify_disable(&queue->vq.ring);
}

/* Nothing was there to do: poll for a while, then sleep. */
static void idle(struct vhost_queue *queue, uint64_t now_ns)
{
    bool disk_busy = blk_queue_busy(queue->blk) > blk_queue_held(queue->blk);
    if (accepts(queue) && !queue->active && !disk_busy) {
        if (poll_pace_continues(&queue->pace, now_ns)) {
            cpu_relax();
            return;
        }
    } else {
        poll_pace_waits_otherwise(&queue->pace);
    }
    sleep_until_event(queue);
}

static void queue_loop(struct vhost_queue *queue)
{
    for (;;) {
        if (!queue->active) {
            /* Acquire: pairs with vhost_queue_post. */
            struct vhost_command *command =
                atomic_load_explicit(&queue->command, memory_order_acquire);
            if (command)
                command_begin(queue, command);
        }
        uint64_t now_ns = clock_now_ns();
        if (queue->vq.unsignalled)
            vhost_virtq_signal(&queue->vq, now_ns);
        uint32_t worked = accepts(queue) ? vhost_virtq_pop(&queue->vq, now_ns) : 0;
        blk_queue_submit(queue->blk, now_ns);
        worked += blk_queue_reap(queue->blk, worked ? clock_now_ns() : now_ns);
        worked += vhost_virtq_answer(&queue->vq, now_ns);
        if (queue->active) {
            if (queue->active->kind == VHOST_COMMAND_EXIT)
                return;
            worked += command_continue(queue, now_ns);
        }
        if (worked > 0)
            poll_pace_works(&queue->pace, now_ns);
        else
            idle(queue, now_ns);
    }
}

static int queue_open(void *argument, struct error *error)
{
    struct vhost_queue *queue = argument;
    int result = blk_queue_create(queue->device, queue->index, &queue->blk, error);
    if (result < 0)
        return result;
    queue->vq.blk = queue->blk;
    result = blk_queue_watch(queue->blk, BLK_QUEUE_WATCH_WAKE, queue->wake_fd);
    return result < 0
               ? error_set_errno(error, result, "queue %u: watching its eventfd", queue->index)
               : 0;
}

static void queue_run(void *argument)
{
    queue_loop(argument);
    command_done(argument, 0);
}

static void queue_close(void *argument)
{
    struct vhost_queue *queue = argument;
    blk_queue_destroy(queue->blk);
}

static int queue_start(struct vhost_queue *queue, int cpu, struct error *error)
{
    cpu_set_t cpus;
    CPU_ZERO(&cpus);
    if (cpu >= 0)
        CPU_SET((size_t)cpu, &cpus);
    const struct queue_thread_params params = {
        .index = queue->index,
        .cpus = cpu >= 0 ? &cpus : NULL,
        .log = queue->device->log,
        .open = queue_open,
        .run = queue_run,
        .close = queue_close,
        .queue = queue,
    };
    return queue_thread_start(&queue->thread, &params, error);
}

static void queue_free(struct vhost_queue *queue)
{
    if (queue->wake_fd >= 0)
        close(queue->wake_fd);
    vhost_virtq_deinit(&queue->vq);
    free(queue);
}

int vhost_queue_create(struct blk_device *device, uint32_t index, int cpu, int done_fd,
                       struct vhost_queue **out, struct error *error)
{
    struct vhost_queue *queue = calloc(1, sizeof(*queue));
    if (!queue)
        return error_set(error, -ENOMEM, "no memory for queue %u", index);
    queue->device = device;
    queue->index = index;
    queue->done_fd = done_fd;
    queue->kick_fd = -1;
    poll_pace_init(&queue->pace, (uint64_t)device->poll_timeout_us * 1000);
    queue->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    int result = 0;
    if (vhost_virtq_init(&queue->vq, device, index) < 0)
        result = error_set(error, -ENOMEM, "no memory for queue %u", index);
    else if (queue->wake_fd < 0)
        result = error_set_errno(error, -errno, "queue %u: eventfd", index);
    else
        result = queue_start(queue, cpu, error);
    if (result < 0) {
        queue_free(queue);
        return result;
    }
    *out = queue;
    return 0;
}

void vhost_queue_destroy(struct vhost_queue *queue)
{
    if (!queue)
        return;
    struct vhost_command command = {.kind = VHOST_COMMAND_EXIT};
    vhost_queue_post(queue, &command);
    queue_thread_join(&queue->thread);
    queue_free(queue);
}

void vhost_queue_post(struct vhost_queue *queue, struct vhost_command *command)
{
    assert(vhost_queue_done(queue));
    atomic_store_explicit(&queue->command, command, memory_order_release);
    event_signal(queue->wake_fd);
}

bool vhost_queue_done(const struct vhost_queue *queue)
{
    return atomic_load_explicit(&queue->command, memory_order_acquire) == NULL;
}
