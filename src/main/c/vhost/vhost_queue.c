/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Which memory a request points into: each popped request counts as a user of the view, the queue's
 * own handle on a memory table, under which it was translated. A changed table brings a new view;
 * the old one goes with its last request. The counts belong to this thread, so they cost no atomic
 * operation.
 *
 * Ring faults: an available index that jumped too far, a head out of range, a head that is still in
 * use. Nothing that follows in such a ring means anything, so popping ends, the front end's error
 * fd is signalled, and what was popped before ends as usual. The front end may stop and start the
 * ring.
 */
#include "vhost_queue.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/cpu_relax.h"
#include "base/minmax.h"
#include "base/thread.h"
#include "blk/blk_queue.h"
#include "blk/virtio_blk.h"
#include "virtq/desc_chain.h"

enum { POP_BATCH = 64 };

struct memory_view {
    struct guest_memory *memory;
    uint32_t users;
};

/* What the transport keeps of a request, by head. */
struct vhost_slot {
    uint8_t *status; /* NULL: the chain has none */
    struct memory_view *view;
};

struct vhost_queue {
    struct blk_device *device;
    uint32_t index;
    int cpu;
    int wake_fd;
    int done_fd;
    pthread_t thread;
    sem_t created;
    int create_result;
    struct error create_error;
    _Atomic(struct vhost_command *) command;

    /* The rest belongs to the queue thread. */
    struct vhost_command *active; /* begun, not done */
    struct blk_queue *blk;
    struct vhost_slot *slots;
    struct virtq virtq;
    struct memory_view *view;
    int kick_fd;
    int call_fd;
    int err_fd;
    bool started;
    bool enabled;
    bool broken;
    bool engine_failed;
    uint64_t idle_since_ns;
};

static void event_signal(int fd)
{
    uint64_t one = 1;
    /* EAGAIN: the counter is full, so the other side has more than one signal waiting. */
    if (fd >= 0 && write(fd, &one, sizeof(one)) < 0)
        return;
}

static struct memory_view *view_create(struct guest_memory *memory)
{
    struct memory_view *view = malloc(sizeof(*view));
    if (view)
        *view = (struct memory_view){.memory = guest_memory_ref(memory)};
    return view;
}

/* The queue itself is a user of its current view. */
static void view_release(struct memory_view *view)
{
    if (--view->users > 0)
        return;
    guest_memory_unref(view->memory);
    free(view);
}

static void view_drop(struct vhost_queue *queue)
{
    if (queue->view)
        view_release(queue->view);
    queue->view = NULL;
}

static int view_replace(struct vhost_queue *queue, struct guest_memory *memory)
{
    struct memory_view *view = view_create(memory);
    if (!view)
        return -ENOMEM;
    view->users = 1;
    view_drop(queue);
    queue->view = view;
    return 0;
}

static void ring_fault(struct vhost_queue *queue, const char *what, unsigned value)
{
    queue->broken = true;
    log_write(queue->device->log, LOG_WARN,
              "queue %u: %s %u (ring of %u); no more requests until it restarts", queue->index,
              what, value, queue->virtq.size);
    event_signal(queue->err_fd);
}

static bool accepts(const struct vhost_queue *queue)
{
    return queue->started && queue->enabled && !queue->broken &&
           !(queue->active && queue->active->kind == VHOST_COMMAND_STOP);
}

static void pop_one(struct vhost_queue *queue, uint64_t now_ns)
{
    uint16_t head = virtq_pop(&queue->virtq);
    if (head >= queue->virtq.size) {
        ring_fault(queue, "head out of range:", head);
        return;
    }
    struct blk_request *request = blk_queue_slot(queue->blk, head);
    if (request->state != BLK_REQUEST_FREE) {
        ring_fault(queue, "head that is in use:", head);
        return;
    }
    const struct desc_chain_storage storage = {
        .small = request->inline_iov,
        .small_count = BLK_REQUEST_SEGMENTS_INLINE,
        .large = blk_queue_arena(queue->blk, head),
        .large_count = BLK_QUEUE_ARENA_SEGMENTS,
    };
    struct desc_chain chain;
    int result = desc_chain_walk(&queue->virtq, queue->view->memory, head, &storage, &chain);
    struct vhost_slot *slot = &queue->slots[head];
    slot->status = chain.last_in_byte;
    slot->view = queue->view;
    queue->view->users++;
    if (result == 0)
        result =
            virtio_blk_parse(queue->device, chain.iov, chain.out_count, chain.in_count, request);
    else
        virtio_blk_malformed(request);
    if (result == 0)
        blk_queue_start(queue->blk, request, now_ns);
    else
        blk_queue_finish(queue->blk, request, result < 0 ? result : 0, now_ns);
}

static uint32_t pop_batch(struct vhost_queue *queue, uint64_t now_ns)
{
    int available = virtq_avail_count(&queue->virtq);
    if (available < 0) {
        ring_fault(queue, "available index is too far ahead of", queue->virtq.next_avail);
        return 0;
    }
    uint32_t count = min_u32((uint32_t)available, POP_BATCH);
    for (uint32_t i = 0; i < count && !queue->broken; i++)
        pop_one(queue, now_ns);
    return count;
}

static uint32_t used_len(const struct blk_request *request, const struct vhost_slot *slot)
{
    if (!slot->status)
        return 0;
    bool wrote_data =
        request->result == 0 && (request->op == QUEUE_OP_READ || request->op == QUEUE_OP_OTHER);
    return 1 + (wrote_data ? (uint32_t)min_u64(request->byte_len, UINT32_MAX - 1) : 0);
}

/* Status bytes, used elements and at most one signal for everything that ended. */
static uint32_t answer(struct vhost_queue *queue)
{
    uint32_t count = 0;
    struct blk_request *request;
    while ((request = blk_queue_next_done(queue->blk))) {
        struct vhost_slot *slot = &queue->slots[request->slot];
        if (slot->status)
            *slot->status = virtio_blk_status(request->result);
        virtq_push(&queue->virtq, (uint16_t)request->slot, used_len(request, slot));
        view_release(slot->view);
        blk_queue_release(queue->blk, request);
        count++;
    }
    if (count > 0 && virtq_publish(&queue->virtq))
        event_signal(queue->call_fd);
    return count;
}

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
    assert(!queue->started && command->size <= queue->device->queue_size);
    int result = view_replace(queue, command->memory);
    if (result < 0)
        return result;
    result = watch_kick(queue, command->kick_fd);
    if (result < 0) {
        view_drop(queue);
        return result;
    }
    virtq_init(&queue->virtq, &command->parts, command->size, command->base, command->event_idx);
    queue->call_fd = command->call_fd;
    queue->err_fd = command->err_fd;
    queue->enabled = command->enabled;
    queue->broken = false;
    queue->started = true;
    return 0;
}

static void ring_stopped(struct vhost_queue *queue)
{
    blk_queue_unwatch(queue->blk, BLK_QUEUE_WATCH_KICK);
    queue->kick_fd = queue->call_fd = queue->err_fd = -1;
    queue->started = false;
    queue->active->next_avail = queue->virtq.next_avail;
    view_drop(queue);
}

/* Requests in flight keep the old view; the ring goes on at its new place, and is signalled in case
 * a signal was lost. */
static int ring_move(struct vhost_queue *queue, const struct vhost_command *command)
{
    int result = view_replace(queue, command->memory);
    if (result < 0)
        return result;
    virtq_move(&queue->virtq, &command->parts);
    event_signal(queue->call_fd);
    return 0;
}

static int ring_change_fds(struct vhost_queue *queue, const struct vhost_command *command)
{
    queue->call_fd = command->call_fd;
    queue->err_fd = command->err_fd;
    return command->kick_fd == queue->kick_fd ? 0 : watch_kick(queue, command->kick_fd);
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
        queue->enabled = command->enabled;
        command_done(queue, 0);
        return;
    case VHOST_COMMAND_FDS:
        command_done(queue, ring_change_fds(queue, command));
        return;
    case VHOST_COMMAND_MEMORY:
        command_done(queue, ring_move(queue, command));
        return;
    case VHOST_COMMAND_STOP:
    case VHOST_COMMAND_DRAIN_WRITES:
    case VHOST_COMMAND_EXIT:
        return;
    }
}

/* Ends a command that waits for requests once they have ended. */
static void command_continue(struct vhost_queue *queue)
{
    switch (queue->active->kind) {
    case VHOST_COMMAND_STOP:
        if (blk_queue_busy(queue->blk) == 0) {
            ring_stopped(queue);
            command_done(queue, 0);
        }
        return;
    case VHOST_COMMAND_DRAIN_WRITES:
        if (blk_queue_volatile_writes(queue->blk) == 0)
            command_done(queue, 0);
        return;
    default:
        return;
    }
}

static void event_drain(int fd)
{
    uint64_t count;
    if (fd >= 0 && read(fd, &count, sizeof(count)) < 0)
        return; /* EAGAIN: somebody else read it */
}

/* The engine is unusable: requests come back from it with errors at once, so only these two are
 * left to wait for. */
static void sleep_without_engine(struct vhost_queue *queue)
{
    struct pollfd events[2] = {{.fd = queue->wake_fd, .events = POLLIN},
                               {.fd = queue->kick_fd, .events = POLLIN}};
    if (poll(events, 2, -1) < 0)
        return;
    if (events[0].revents)
        event_drain(queue->wake_fd);
    if (events[1].revents)
        event_drain(queue->kick_fd);
}

static void sleep_until_event(struct vhost_queue *queue)
{
    if (queue->started && virtq_notify_enable(&queue->virtq) && accepts(queue)) {
        virtq_notify_disable(&queue->virtq);
        return;
    }
    if (queue->engine_failed) {
        sleep_without_engine(queue);
    } else {
        int result = blk_queue_wait(queue->blk, UINT64_MAX);
        if (result < 0) {
            queue->engine_failed = true;
            log_write(queue->device->log, LOG_ERROR,
                      "queue %u: the I/O engine failed with errno %d", queue->index, -result);
        } else {
            blk_queue_fired(queue->blk);
        }
    }
    if (queue->started)
        virtq_notify_disable(&queue->virtq);
}

/* Nothing was there to do: poll for a while, then sleep. */
static void idle(struct vhost_queue *queue, uint64_t now_ns)
{
    bool may_poll = accepts(queue) && !queue->active && blk_queue_busy(queue->blk) == 0;
    if (may_poll) {
        if (queue->idle_since_ns == 0)
            queue->idle_since_ns = now_ns;
        if (now_ns - queue->idle_since_ns < (uint64_t)queue->device->poll_timeout_us * 1000) {
            cpu_relax();
            return;
        }
    }
    sleep_until_event(queue);
    queue->idle_since_ns = 0;
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
        uint32_t worked = accepts(queue) ? pop_batch(queue, now_ns) : 0;
        blk_queue_submit(queue->blk);
        worked += blk_queue_reap(queue->blk, worked ? clock_now_ns() : now_ns);
        worked += answer(queue);
        if (queue->active) {
            if (queue->active->kind == VHOST_COMMAND_EXIT)
                return;
            command_continue(queue);
            worked += !queue->active;
        }
        if (worked > 0)
            queue->idle_since_ns = 0;
        else
            idle(queue, now_ns);
    }
}

static void pin_thread(const struct vhost_queue *queue)
{
    if (queue->cpu < 0)
        return;
    cpu_set_t cpus;
    CPU_ZERO(&cpus);
    CPU_SET((size_t)queue->cpu, &cpus);
    int failure = pthread_setaffinity_np(pthread_self(), sizeof(cpus), &cpus);
    if (failure)
        log_write(queue->device->log, LOG_WARN, "queue %u cannot be pinned to CPU %d: errno %d",
                  queue->index, queue->cpu, failure);
}

static void *queue_main(void *argument)
{
    struct vhost_queue *queue = argument;
    pin_thread(queue);
    queue->create_result =
        blk_queue_create(queue->device, queue->index, &queue->blk, &queue->create_error);
    if (queue->create_result == 0) {
        queue->create_result = blk_queue_watch(queue->blk, BLK_QUEUE_WATCH_WAKE, queue->wake_fd);
        if (queue->create_result < 0)
            error_set_errno(&queue->create_error, queue->create_result,
                            "queue %u: watching its eventfd", queue->index);
    }
    int result = queue->create_result;
    sem_post(&queue->created);
    if (result == 0) {
        queue_loop(queue);
        command_done(queue, 0);
    }
    blk_queue_destroy(queue->blk);
    return NULL;
}

static int queue_thread_start(struct vhost_queue *queue)
{
    char name[16];
    snprintf(name, sizeof(name), "queue-%u", queue->index);
    return thread_start(&queue->thread, name, queue_main, queue);
}

static void queue_free(struct vhost_queue *queue)
{
    if (queue->wake_fd >= 0)
        close(queue->wake_fd);
    sem_destroy(&queue->created);
    free(queue->slots);
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
    queue->cpu = cpu;
    queue->done_fd = done_fd;
    queue->kick_fd = queue->call_fd = queue->err_fd = -1;
    sem_init(&queue->created, 0, 0);
    queue->slots = calloc(device->queue_size, sizeof(*queue->slots));
    queue->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    int result = 0;
    if (!queue->slots)
        result = error_set(error, -ENOMEM, "no memory for queue %u", index);
    else if (queue->wake_fd < 0)
        result = error_set_errno(error, -errno, "queue %u: eventfd", index);
    else if ((result = queue_thread_start(queue)) < 0)
        result = error_set_errno(error, result, "queue %u: cannot start its thread", index);
    if (result < 0) {
        queue_free(queue);
        return result;
    }
    while (sem_wait(&queue->created) < 0 && errno == EINTR)
        continue;
    if (queue->create_result < 0) {
        result = queue->create_result;
        if (error)
            *error = queue->create_error;
        pthread_join(queue->thread, NULL);
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
    pthread_join(queue->thread, NULL);
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
