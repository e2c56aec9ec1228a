/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Requests that cannot go on (no piece, no buffer) wait in one list, first in first out, and each
 * piece that ends lets the first one go on. So neither a request larger than the pool nor a full
 * pool can block for ever, and memory does not depend on what a guest sends.
 *
 * Syncs go through a description of the disk of the queue's own. The kernel tells of data that it
 * could not write once per description; on a shared one, the sync of another queue could be told,
 * and ours succeed before anybody here knows. For the same reason one sync at a time is with the
 * engine, and requests that come to need one meanwhile share the next, which begins after all of
 * them came: flushes, and durable writes to the page cache, which would be told of each other's
 * losses through the description that they share. Direct I/O is told of its own failures, so there
 * a durable write is durable by itself.
 *
 * Before that list comes the stripe gate of a lazy disk: a request to a stripe that is not there
 * yet is held by it, without having taken anything, so that it can be taken back. What may change
 * while it is held (the cache mode, the sticky error) is looked at when it goes.
 */
#include "blk_queue.h"

#include <assert.h>
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/checked.h"
#include "base/sector.h"
#include "blk/blk_lazy.h"
#include "blk/blk_transfer.h"
#include "io/op_list.h"
#include "stripe/stripe_gate.h"

enum { REAP_BATCH = 64 };

struct blk_queue {
    struct blk_device *device;
    struct queue_stats *stats;
    struct io_engine *engine;
    struct blk_transfer transfer;
    struct blk_request *requests;
    struct iovec *arena;
    size_t arena_bytes;
    int sync_fd;              /* -1: the engine is the caller's */
    int stripes_fd;           /* -1: no gate */
    struct stripe_gate *gate; /* NULL: every stripe is there */
    bool image_used;          /* the engine refers to the image */
    uint32_t read_through;    /* requests that may be read from it */
    struct blk_request_list waiting;
    struct blk_request *sync;              /* issued, or about to be, for all that share it */
    struct blk_request_list syncs;         /* the others of them */
    struct blk_request_list syncs_to_come; /* that share the next one */
    struct blk_request_list done;
    struct op_list commands; /* collected */
    uint32_t busy;
    uint32_t volatile_writes;
    uint64_t now_ns; /* of the caller's last call that said */
};

static int queue_allocate(struct blk_queue *queue, struct error *error)
{
    const struct blk_device *device = queue->device;
    queue->requests = calloc(device->queue_size, sizeof(*queue->requests));
    /* Reserved, not used: a page of it becomes real when a request has more segments than its slot
     * holds. */
    queue->arena_bytes =
        (size_t)device->queue_size * BLK_QUEUE_ARENA_SEGMENTS * sizeof(struct iovec);
    queue->arena = mmap(NULL, queue->arena_bytes, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (queue->arena == MAP_FAILED)
        queue->arena = NULL;
    if (!queue->requests || !queue->arena)
        return error_set(error, -ENOMEM, "no memory for %u request slots", device->queue_size);
    for (uint32_t i = 0; i < device->queue_size; i++)
        queue->requests[i].slot = i;
    return blk_transfer_init(&queue->transfer, device, error);
}

static int queue_make_engine(struct blk_queue *queue, int image_fd, int command_fd,
                             struct error *error)
{
    const struct blk_device *device = queue->device;
    uint32_t area_count = 0;
    const struct buffer_pool *buffers = queue->transfer.buffers;
    const struct iovec *areas = buffers ? buffer_pool_areas(buffers, &area_count) : NULL;
    queue->sync_fd = disk_file_open_for_sync(&device->file, error);
    if (queue->sync_fd < 0)
        return queue->sync_fd;
    const int fds[FILE_COUNT] = {
        [FILE_DISK] = device->file.fd,
        [FILE_SYNC] = queue->sync_fd,
        [FILE_IMAGE] = image_fd,
        [FILE_COMMAND] = command_fd,
    };
    bool commands = command_fd >= 0;
    queue->transfer.sync_file = FILE_SYNC;
    const struct io_engine_params params = {
        .kind = device->io_engine,
        .depth = blk_transfer_depth(device) + (commands ? device->queue_size : 0),
        .fds = fds,
        .fd_count = commands            ? FILE_COUNT
                    : queue->image_used ? FILE_COMMAND
                                        : FILE_IMAGE,
        .buffers = areas,
        .buffer_count = area_count,
        .log = device->log,
    };
    return io_engine_create(&params, &queue->engine, error);
}

static int queue_make_gate(struct blk_queue *queue, uint32_t index, struct error *error)
{
    struct blk_lazy *lazy = queue->device->lazy;
    if (!lazy)
        return 0;
    int result = stripe_gate_create(lazy->map, index, queue->device->queue_size, lazy->timeout_ns,
                                    &queue->gate, error);
    if (result < 0)
        return result;
    queue->stripes_fd = stripe_map_wake_fd(lazy->map, index);
    result = io_engine_watch(queue->engine, BLK_QUEUE_WATCH_STRIPES, queue->stripes_fd);
    return result < 0
               ? error_set_errno(error, result, "queue %u: watching for fetched stripes", index)
               : 0;
}

static int queue_create(struct blk_device *device, uint32_t index, struct io_engine *engine,
                        int command_fd, struct blk_queue **out, struct error *error)
{
    assert(index < device->queue_count);
    struct blk_queue *queue = calloc(1, sizeof(*queue));
    if (!queue)
        return error_set(error, -ENOMEM, "no memory for queue %u", index);
    queue->device = device;
    queue->sync_fd = queue->stripes_fd = -1;
    queue->stats = device->stats[index];
    int result = queue_allocate(queue, error);
    int image_fd = device->lazy ? blk_lazy_use_image(device->lazy) : -1;
    queue->image_used = image_fd >= 0;
    if (result == 0 && !engine)
        result = queue_make_engine(queue, image_fd, command_fd, error);
    else
        queue->engine = engine;
    if (result == 0)
        result = queue_make_gate(queue, index, error);
    if (result < 0) {
        if (engine)
            queue->engine = NULL;
        blk_queue_destroy(queue);
        return result;
    }
    queue->transfer.engine = queue->engine;
    *out = queue;
    return 0;
}

int blk_queue_create(struct blk_device *device, uint32_t index, struct blk_queue **out,
                     struct error *error)
{
    return queue_create(device, index, NULL, -1, out, error);
}

int blk_queue_create_with_commands(struct blk_device *device, uint32_t index, int command_fd,
                                   struct blk_queue **out, struct error *error)
{
    assert(command_fd >= 0);
    if (device->io_engine != IO_ENGINE_URING)
        return error_set(error, -ENOTSUP, "queue %u: commands to a driver need io_uring", index);
    return queue_create(device, index, NULL, command_fd, out, error);
}

int blk_queue_create_on(struct blk_device *device, uint32_t index, struct io_engine *engine,
                        struct blk_queue **out, struct error *error)
{
    assert(engine);
    return queue_create(device, index, engine, -1, out, error);
}

void blk_queue_destroy(struct blk_queue *queue)
{
    if (!queue)
        return;
    assert(queue->busy == 0);
    io_engine_destroy(queue->engine);
    stripe_gate_destroy(queue->gate);
    if (queue->image_used)
        blk_lazy_release_image(queue->device->lazy);
    blk_transfer_deinit(&queue->transfer);
    if (queue->sync_fd >= 0)
        close(queue->sync_fd);
    if (queue->arena)
        munmap(queue->arena, queue->arena_bytes);
    free(queue->requests);
    free(queue);
}

struct blk_request *blk_queue_slot(struct blk_queue *queue, uint32_t index)
{
    assert(index < queue->device->queue_size);
    return &queue->requests[index];
}

struct iovec *blk_queue_arena(struct blk_queue *queue, uint32_t index)
{
    assert(index < queue->device->queue_size);
    return &queue->arena[(size_t)index * BLK_QUEUE_ARENA_SEGMENTS];
}

static bool is_volatile_write(const struct blk_request *request)
{
    return request->op == QUEUE_OP_WRITE && !request->durable;
}

static void request_done(struct blk_queue *queue, struct blk_request *request)
{
    if (is_volatile_write(request))
        queue->volatile_writes--;
    queue->read_through -= request->read_through;
    blk_request_move(request, BLK_REQUEST_DONE);
    queue_stats_finished(queue->stats, request->slot, request->op, request->byte_len,
                         request->result, queue->now_ns - request->started_ns);
    blk_request_list_append(&queue->done, request);
}

static int request_check(const struct blk_device *device, const struct blk_request *request)
{
    if (request->op == QUEUE_OP_FLUSH)
        return -blk_device_sticky_errno(device);
    if (!range_within(request->sector, request->sector_count, device->capacity))
        return -EINVAL;
    uint64_t block_sectors = device->logical_block_size >> SECTOR_SHIFT;
    if (((request->sector | request->sector_count) & (block_sectors - 1)) != 0)
        return -EINVAL;
    return 0;
}

static void request_issued(struct blk_queue *queue, struct blk_request *request)
{
    blk_request_move(request, BLK_REQUEST_IN_FLIGHT);
    if (request->pieces == 0) /* only zeros, or a piece failed and the rest is left out */
        request_done(queue, request);
}

/* All of it to the engine, or as much as there are pieces and buffers and the rest later. */
static void request_issue(struct blk_queue *queue, struct blk_request *request)
{
    if (!queue->waiting.first && blk_transfer_issue(&queue->transfer, request)) {
        request_issued(queue, request);
        return;
    }
    if (request->state == BLK_REQUEST_PARSED)
        blk_request_move(request, BLK_REQUEST_WAITING);
    blk_request_list_append(&queue->waiting, request);
}

static void sync_go(struct blk_queue *queue, struct blk_request *request)
{
    request->syncs = true;
    blk_request_move(request, BLK_REQUEST_WAITING);
    if (queue->sync) {
        blk_request_list_append(&queue->syncs_to_come, request);
        return;
    }
    queue->sync = request;
    request_issue(queue, request);
}

static void syncs_done(struct blk_queue *queue, struct blk_request_list *syncs, int result)
{
    struct blk_request *request;
    while ((request = blk_request_list_take(syncs))) {
        request->result = result;
        request_done(queue, request);
    }
}

/* Answers those that shared the sync that ended, and begins the next one unless it would prove
 * nothing. */
static void sync_ended(struct blk_queue *queue, int result)
{
    syncs_done(queue, &queue->syncs, result);
    int sticky = blk_device_sticky_errno(queue->device);
    if (sticky)
        syncs_done(queue, &queue->syncs_to_come, -sticky);
    queue->sync = blk_request_list_take(&queue->syncs_to_come);
    queue->syncs = queue->syncs_to_come;
    queue->syncs_to_come = (struct blk_request_list){0};
    if (queue->sync)
        request_issue(queue, queue->sync);
}

/* Nothing else has to come first: on to the engine. */
static void request_go(struct blk_queue *queue, struct blk_request *request)
{
    blk_transfer_begin(&queue->transfer, request);
    if (request->op == QUEUE_OP_FLUSH) {
        sync_go(queue, request);
        return;
    }
    struct blk_device *device = queue->device;
    /* Acquire: pairs with the session's store; a request that goes after the cache was turned off
     * is durable. */
    request->durable =
        request->op == QUEUE_OP_WRITE &&
        (request->fua || !atomic_load_explicit(&device->write_back, memory_order_acquire));
    if (is_volatile_write(request))
        queue->volatile_writes++;
    if (request->durable)
        request->result = -blk_device_sticky_errno(device);
    if (request->result < 0) {
        request_done(queue, request);
        return;
    }
    /* Acquire: the image is dropped once every stripe was published as fetched. */
    request->read_through =
        queue->image_used && request->op == QUEUE_OP_READ &&
        !atomic_load_explicit(&device->lazy->image_dropping, memory_order_acquire);
    queue->read_through += request->read_through;
    request_issue(queue, request);
}

/* Whether the request has to wait for a stripe. */
static bool request_held(struct blk_queue *queue, struct blk_request *request, uint64_t now_ns)
{
    if (!queue->gate || stripe_gate_open(queue->gate) || request->op == QUEUE_OP_FLUSH)
        return false;
    request->waiter.sector = request->sector;
    request->waiter.sector_count = request->sector_count;
    request->waiter.write = request->op == QUEUE_OP_WRITE;
    return !stripe_gate_enter(queue->gate, &request->waiter, now_ns);
}

void blk_queue_start(struct blk_queue *queue, struct blk_request *request, uint64_t now_ns)
{
    blk_request_move(request, BLK_REQUEST_PARSED);
    queue->busy++;
    queue->now_ns = now_ns;
    request->started_ns = now_ns;
    request->durable = true; /* nothing volatile is written as long as it has not gone */
    request->read_through = false;
    queue_stats_started(queue->stats, request->slot, request->op, request->sector,
                        request->sector_count);
    request->result = request_check(queue->device, request);
    if (request->result < 0 || (request->op != QUEUE_OP_FLUSH && request->byte_len == 0))
        request_done(queue, request);
    else if (request_held(queue, request, now_ns))
        blk_request_move(request, BLK_REQUEST_WAITING);
    else
        request_go(queue, request);
}

void blk_queue_finish(struct blk_queue *queue, struct blk_request *request, int result,
                      uint64_t now_ns)
{
    blk_request_move(request, BLK_REQUEST_PARSED);
    queue->busy++;
    queue->now_ns = now_ns;
    request->started_ns = now_ns;
    request->result = result;
    request->durable = true;
    request->read_through = false;
    request_done(queue, request);
}

static void issue_waiting(struct blk_queue *queue)
{
    struct blk_request *request;
    while ((request = queue->waiting.first) && blk_transfer_issue(&queue->transfer, request)) {
        blk_request_list_take(&queue->waiting);
        request_issued(queue, request);
    }
}

static struct blk_request *request_of(struct stripe_waiter *waiter)
{
    return (struct blk_request *)((char *)waiter - offsetof(struct blk_request, waiter));
}

static void release_held(struct blk_queue *queue, uint64_t now_ns)
{
    struct stripe_waiter *waiter;
    queue->now_ns = now_ns;
    stripe_gate_look(queue->gate, now_ns);
    while ((waiter = stripe_gate_next(queue->gate))) {
        struct blk_request *request = request_of(waiter);
        if (waiter->expired) {
            request->result = -ETIMEDOUT;
            request_done(queue, request);
        } else {
            request_go(queue, request);
        }
    }
}

/* Lets go of the image once nobody needs it any more. */
static void release_image(struct blk_queue *queue)
{
    struct blk_lazy *lazy = queue->device->lazy;
    if (queue->read_through > 0 || !atomic_load(&lazy->image_dropping))
        return;
    io_engine_drop_file(queue->engine, FILE_IMAGE);
    queue->image_used = false;
    blk_lazy_release_image(lazy);
}

void blk_queue_issue(struct blk_queue *queue, uint64_t now_ns)
{
    if (queue->gate && !stripe_gate_idle(queue->gate))
        release_held(queue, now_ns);
    if (queue->image_used)
        release_image(queue);
    issue_waiting(queue);
}

int blk_queue_submit(struct blk_queue *queue, uint64_t now_ns)
{
    blk_queue_issue(queue, now_ns);
    return io_engine_submit(queue->engine);
}

void blk_queue_command(struct blk_queue *queue, struct io_op *op)
{
    op->opcode = IO_COMMAND;
    op->file = FILE_COMMAND;
    op->flags = 0;
    op->buffer_index = -1;
    op->iov = NULL;
    op->iov_count = 0;
    op->byte_offset = 0;
    op->byte_len = 0;
    io_engine_prep(queue->engine, op);
}

struct io_op *blk_queue_next_command(struct blk_queue *queue)
{
    return op_list_take(&queue->commands);
}

/* Whether a write failed before anything was written: at an address that the guest's side unmapped,
 * or in a file that finds no space for it. A device may find that of its cache, when it syncs. */
static bool failed_at_once(const struct blk_queue *queue, int result)
{
    bool full = result == -ENOSPC || result == -EDQUOT;
    return result == -EFAULT || (full && !queue->device->file.block_device);
}

/* A failed fsync, or a failed write that implied one, may have lost data of other writes: see
 * blk_device.c. */
static void note_failure(struct blk_queue *queue, const struct io_op *op, int result)
{
    bool durable_write = (op->flags & IO_DSYNC) != 0;
    if (op->opcode == IO_FDATASYNC || (durable_write && !failed_at_once(queue, result)))
        blk_device_fsync_failed(queue->device, -result);
}

static bool to_be_synced(const struct blk_queue *queue, const struct blk_request *request)
{
    return request->durable && !request->syncs && !queue->device->file.direct &&
           request->result == 0;
}

static void request_written(struct blk_queue *queue, struct blk_request *request)
{
    if (to_be_synced(queue, request)) {
        sync_go(queue, request);
        return;
    }
    request_done(queue, request);
    if (request == queue->sync)
        sync_ended(queue, request->result);
}

static void piece_ended(struct blk_queue *queue, struct io_op *op)
{
    int result;
    struct blk_request *request = blk_transfer_end(&queue->transfer, op, &result);
    if (result < 0) {
        note_failure(queue, op, result);
        /* The kernel tells of lost data once, so what ended well after that was told proves
         * nothing. */
    } else if ((request->syncs || request->durable) && request->result == 0) {
        request->result = -blk_device_sticky_errno(queue->device);
    }
    /* A waiting request ends when it leaves its list, which needs no removal from its middle. */
    if (request->pieces == 0 && request->state == BLK_REQUEST_IN_FLIGHT)
        request_written(queue, request);
}

uint32_t blk_queue_reap(struct blk_queue *queue, uint64_t now_ns)
{
    struct io_op *ops[REAP_BATCH];
    queue->now_ns = now_ns;
    uint32_t total = 0;
    uint32_t count;
    do {
        count = io_engine_reap(queue->engine, ops, REAP_BATCH);
        for (uint32_t i = 0; i < count; i++) {
            if (ops[i]->opcode == IO_COMMAND)
                op_list_append(&queue->commands, ops[i]);
            else
                piece_ended(queue, ops[i]);
        }
        total += count;
    } while (count == REAP_BATCH);
    return total;
}

struct blk_request *blk_queue_next_done(struct blk_queue *queue)
{
    return blk_request_list_take(&queue->done);
}

void blk_queue_release(struct blk_queue *queue, struct blk_request *request)
{
    blk_request_move(request, BLK_REQUEST_FREE);
    queue->busy--;
}

uint32_t blk_queue_busy(const struct blk_queue *queue)
{
    return queue->busy;
}

uint32_t blk_queue_held(const struct blk_queue *queue)
{
    return queue->gate ? stripe_gate_held(queue->gate) : 0;
}

bool blk_queue_withdraw(struct blk_queue *queue, struct blk_request *request)
{
    if (request->state != BLK_REQUEST_WAITING || !request->waiter.held)
        return false;
    stripe_gate_withdraw(queue->gate, &request->waiter);
    queue_stats_withdrawn(queue->stats, request->slot);
    blk_queue_release(queue, request);
    return true;
}

void blk_queue_expire_held(struct blk_queue *queue)
{
    if (queue->gate)
        stripe_gate_expire_all(queue->gate);
}

bool blk_queue_expire_oversized(struct blk_queue *queue)
{
    const struct blk_device *device = queue->device;
    uint64_t limit = (uint64_t)device->seg_size_max * device->seg_count_max;
    bool any = false;
    for (struct blk_request *request = queue->waiting.first; request; request = request->next) {
        if (request->syncs || request->byte_len - request->issued_bytes <= limit)
            continue;
        if (request->result == 0)
            request->result = -ETIMEDOUT;
        request->issued_bytes = request->byte_len;
        any = true;
    }
    return any;
}

uint64_t blk_queue_deadline_ns(const struct blk_queue *queue)
{
    return queue->gate ? stripe_gate_deadline_ns(queue->gate) : UINT64_MAX;
}

int blk_queue_stripes_fd(const struct blk_queue *queue)
{
    return queue->stripes_fd;
}

uint32_t blk_queue_volatile_writes(const struct blk_queue *queue)
{
    return queue->volatile_writes;
}

int blk_queue_watch(struct blk_queue *queue, uint32_t slot, int fd)
{
    return io_engine_watch(queue->engine, slot, fd);
}

void blk_queue_unwatch(struct blk_queue *queue, uint32_t slot)
{
    io_engine_unwatch(queue->engine, slot);
}

uint32_t blk_queue_fired(struct blk_queue *queue)
{
    return io_engine_fired(queue->engine);
}

int blk_queue_wait(struct blk_queue *queue, uint64_t timeout_ns)
{
    return io_engine_wait(queue->engine, timeout_ns);
}
