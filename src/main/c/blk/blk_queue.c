/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * A request is carried out in pieces, each one transfer of the engine:
 *   plain, aligned       one piece straight on guest memory (several above 1 GiB)
 *   plain, not aligned   pieces of up to 64 KiB through a bounce buffer, copied
 *   encrypted            the same, enciphered or deciphered while copying
 *   flush                one piece without data
 * A piece takes its buffer when it is about to be submitted and keeps it until it ended; nothing
 * holds a buffer while it waits for another one. Requests that cannot go on (no piece, no buffer)
 * wait in one list, first in first out, and each returned piece lets the first one go on. So
 * neither a request larger than the pool nor a full pool can block for ever, and memory does not
 * depend on what a guest sends.
 *
 * The stripe gate's place is in blk_queue_start, between the checks and request_issue: a request to
 * a stripe that is not there yet will wait at that point, before it takes anything.
 */
#include "blk_queue.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/checked.h"
#include "base/minmax.h"
#include "base/sector.h"
#include "crypt/xts.h"
#include "mem/buffer_pool.h"

enum { REAP_BATCH = 64, PIECES_MIN = 64, FILE_DISK = 0 };

/* One transfer of a request. */
struct blk_piece {
    struct io_op op; /* first, so that an op leads back to its piece */
    struct blk_request *request;
    struct bounce_buffer *buffer; /* NULL: straight on guest memory */
    struct iov_cursor cursor;     /* where the piece lies in the request's segments */
    uint64_t request_offset;
    struct iovec iov; /* of a piece that is one segment */
    struct blk_piece *next;
};

struct blk_queue {
    struct blk_device *device;
    struct queue_stats *stats;
    struct io_engine *engine;
    struct buffer_pool *pool; /* NULL: a plain disk without alignment rules */
    struct blk_request *requests;
    struct iovec *arena;
    size_t arena_bytes;
    struct blk_piece *pieces;
    struct blk_piece *free_pieces;
    struct blk_request_list waiting;
    struct blk_request_list done;
    uint32_t busy;
    uint32_t volatile_writes;
    uint64_t now_ns; /* of the caller's last call that said */
};

static uint32_t piece_count(const struct blk_device *device)
{
    return min_u32(device->queue_size < PIECES_MIN ? PIECES_MIN : device->queue_size, IO_DEPTH_MAX);
}

static bool bounce_needed(const struct blk_device *device)
{
    return device->xts || device->file.memory_align > 1;
}

static int queue_allocate(struct blk_queue *queue, struct error *error)
{
    const struct blk_device *device = queue->device;
    uint32_t pieces = piece_count(device);
    queue->requests = calloc(device->queue_size, sizeof(*queue->requests));
    queue->pieces = calloc(pieces, sizeof(*queue->pieces));
    /* Reserved, not used: a page of it becomes real when a request has more segments than its slot
     * holds. */
    queue->arena_bytes =
        (size_t)device->queue_size * BLK_QUEUE_ARENA_SEGMENTS * sizeof(struct iovec);
    queue->arena = mmap(NULL, queue->arena_bytes, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (queue->arena == MAP_FAILED)
        queue->arena = NULL;
    if (!queue->requests || !queue->pieces || !queue->arena)
        return error_set(error, -ENOMEM, "no memory for %u request slots", device->queue_size);
    for (uint32_t i = 0; i < device->queue_size; i++)
        queue->requests[i].slot = i;
    for (uint32_t i = 0; i < pieces; i++) {
        queue->pieces[i].next = queue->free_pieces;
        queue->free_pieces = &queue->pieces[i];
    }
    return 0;
}

static int queue_make_pool(struct blk_queue *queue, struct error *error)
{
    const struct blk_device *device = queue->device;
    if (!bounce_needed(device))
        return 0;
    uint64_t share = device->bounce_bytes / device->queue_count;
    if (share < BUFFER_POOL_BYTES_MIN)
        share = BUFFER_POOL_BYTES_MIN;
    return buffer_pool_create(share, device->log, &queue->pool, error);
}

static int queue_make_engine(struct blk_queue *queue, struct error *error)
{
    const struct blk_device *device = queue->device;
    uint32_t area_count = 0;
    const struct iovec *areas = queue->pool ? buffer_pool_areas(queue->pool, &area_count) : NULL;
    const struct io_engine_params params = {
        .kind = device->io_engine,
        .depth = piece_count(device),
        .fds = &device->file.fd,
        .fd_count = 1,
        .buffers = areas,
        .buffer_count = area_count,
        .log = device->log,
    };
    return io_engine_create(&params, &queue->engine, error);
}

static int queue_create(struct blk_device *device, uint32_t index, struct io_engine *engine,
                        struct blk_queue **out, struct error *error)
{
    assert(index < device->queue_count);
    struct blk_queue *queue = calloc(1, sizeof(*queue));
    if (!queue)
        return error_set(error, -ENOMEM, "no memory for queue %u", index);
    queue->device = device;
    queue->stats = device->stats[index];
    int result = queue_allocate(queue, error);
    if (result == 0)
        result = queue_make_pool(queue, error);
    if (result == 0 && !engine)
        result = queue_make_engine(queue, error);
    if (result < 0) {
        blk_queue_destroy(queue);
        return result;
    }
    if (engine)
        queue->engine = engine;
    *out = queue;
    return 0;
}

int blk_queue_create(struct blk_device *device, uint32_t index, struct blk_queue **out,
                     struct error *error)
{
    return queue_create(device, index, NULL, out, error);
}

int blk_queue_create_on(struct blk_device *device, uint32_t index, struct io_engine *engine,
                        struct blk_queue **out, struct error *error)
{
    assert(engine);
    return queue_create(device, index, engine, out, error);
}

void blk_queue_destroy(struct blk_queue *queue)
{
    if (!queue)
        return;
    assert(queue->busy == 0);
    io_engine_destroy(queue->engine);
    buffer_pool_destroy(queue->pool);
    if (queue->arena)
        munmap(queue->arena, queue->arena_bytes);
    free(queue->pieces);
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
    blk_request_move(request, BLK_REQUEST_DONE);
    queue_stats_finished(queue->stats, request->slot, request->op, request->byte_len,
                         request->result, queue->now_ns - request->started_ns);
    blk_request_list_append(&queue->done, request);
}

static struct blk_piece *piece_take(struct blk_queue *queue, struct blk_request *request)
{
    struct blk_piece *piece = queue->free_pieces;
    if (!piece)
        return NULL;
    queue->free_pieces = piece->next;
    piece->request = request;
    piece->buffer = NULL;
    piece->cursor = request->issued;
    piece->request_offset = request->issued_bytes;
    piece->op.file = FILE_DISK;
    piece->op.flags = 0;
    piece->op.buffer_index = -1;
    return piece;
}

static void piece_give(struct blk_queue *queue, struct blk_piece *piece)
{
    if (piece->buffer)
        buffer_pool_give(queue->pool, piece->buffer);
    piece->next = queue->free_pieces;
    queue->free_pieces = piece;
}

static uint64_t piece_sector(const struct blk_piece *piece)
{
    return piece->request->sector + bytes_to_sectors(piece->request_offset);
}

/* What the kernel demands of O_DIRECT; a page-cache file has alignments of 1. */
static bool segments_aligned(const struct blk_device *device, const struct blk_request *request)
{
    uint64_t mask = device->file.memory_align - 1;
    if (mask == 0)
        return true;
    uintptr_t bits = 0;
    for (uint32_t i = 0; i < request->iov_count; i++)
        bits |= (uintptr_t)request->iov[i].iov_base | request->iov[i].iov_len;
    return (bits & mask) == 0;
}

/* Whole segments up to the engine's limit, or a part of one that alone is larger. Returns the bytes
 * covered. */
static uint64_t piece_cover_direct(struct blk_piece *piece)
{
    struct blk_request *request = piece->request;
    struct iovec *iov = &request->iov[piece->cursor.index];
    uint64_t first = iov->iov_len - piece->cursor.offset;
    if (piece->cursor.offset > 0 || first > IO_TRANSFER_BYTES_MAX) {
        piece->iov.iov_base = (uint8_t *)iov->iov_base + piece->cursor.offset;
        piece->iov.iov_len = min_u64(first, IO_TRANSFER_BYTES_MAX);
        piece->op.iov = &piece->iov;
        piece->op.iov_count = 1;
        return piece->iov.iov_len;
    }
    uint64_t bytes = 0;
    uint32_t count = 0;
    while (piece->cursor.index + count < request->iov_count &&
           bytes + iov[count].iov_len <= IO_TRANSFER_BYTES_MAX)
        bytes += iov[count++].iov_len;
    piece->op.iov = iov;
    piece->op.iov_count = count;
    return bytes;
}

/* The engine may consume the segments that it was lent, so the copies are made from the cursor
 * before it gets them. */
static void bounce_fill(const struct blk_queue *queue, struct blk_piece *piece, uint64_t byte_len)
{
    const struct blk_request *request = piece->request;
    const struct iovec *iov = &request->iov[piece->cursor.index];
    uint32_t count = request->iov_count - piece->cursor.index;
    if (queue->device->xts)
        xts_encrypt_from_iov(queue->device->xts, piece_sector(piece), iov, count,
                             piece->cursor.offset, piece->buffer->bytes,
                             bytes_to_sectors(byte_len));
    else
        iov_copy_from(request->iov, piece->cursor, piece->buffer->bytes, byte_len);
}

static void bounce_drain(const struct blk_queue *queue, struct blk_piece *piece, uint64_t byte_len)
{
    const struct blk_request *request = piece->request;
    const struct iovec *iov = &request->iov[piece->cursor.index];
    uint32_t count = request->iov_count - piece->cursor.index;
    if (queue->device->xts)
        xts_decrypt_to_iov(queue->device->xts, piece_sector(piece), piece->buffer->bytes, iov,
                           count, piece->cursor.offset, bytes_to_sectors(byte_len));
    else
        iov_copy_to(request->iov, piece->cursor, piece->buffer->bytes, byte_len);
}

static void piece_prep(struct blk_queue *queue, struct blk_piece *piece, uint64_t byte_len)
{
    struct blk_request *request = piece->request;
    struct io_op *op = &piece->op;
    op->opcode = request->op == QUEUE_OP_READ ? IO_READV : IO_WRITEV;
    op->flags = request->durable ? IO_DSYNC : 0;
    op->byte_offset = sectors_to_bytes(request->sector) + request->issued_bytes;
    op->byte_len = byte_len;
    iov_cursor_advance(request->iov, &request->issued, byte_len);
    request->issued_bytes += byte_len;
    request->pieces++;
    io_engine_prep(queue->engine, op);
}

static bool issue_direct(struct blk_queue *queue, struct blk_request *request)
{
    struct blk_piece *piece = piece_take(queue, request);
    if (!piece)
        return false;
    piece_prep(queue, piece, piece_cover_direct(piece));
    return true;
}

static bool issue_bounced(struct blk_queue *queue, struct blk_request *request)
{
    uint32_t byte_len =
        (uint32_t)min_u64(request->byte_len - request->issued_bytes, BUFFER_POOL_PIECE_BYTES_MAX);
    struct blk_piece *piece = piece_take(queue, request);
    if (!piece)
        return false;
    piece->buffer = buffer_pool_take(queue->pool, byte_len);
    if (!piece->buffer) {
        piece_give(queue, piece);
        return false;
    }
    if (request->op == QUEUE_OP_WRITE)
        bounce_fill(queue, piece, byte_len);
    piece->iov = (struct iovec){.iov_base = piece->buffer->bytes, .iov_len = byte_len};
    piece->op.iov = &piece->iov;
    piece->op.iov_count = 1;
    piece->op.buffer_index = piece->buffer->buffer_index;
    piece_prep(queue, piece, byte_len);
    return true;
}

static bool issue_flush(struct blk_queue *queue, struct blk_request *request)
{
    struct blk_piece *piece = piece_take(queue, request);
    if (!piece)
        return false;
    piece->op.opcode = IO_FDATASYNC;
    piece->op.iov = NULL;
    piece->op.iov_count = 0;
    piece->op.byte_offset = 0;
    piece->op.byte_len = 0;
    request->pieces++;
    io_engine_prep(queue->engine, &piece->op);
    return true;
}

/* Gives the engine as much of the request as pieces and buffers allow; true when it has all of it.
 */
static bool request_issue(struct blk_queue *queue, struct blk_request *request)
{
    if (request->op == QUEUE_OP_FLUSH)
        return request->pieces > 0 || issue_flush(queue, request);
    while (request->issued_bytes < request->byte_len)
        if (!(request->bounced ? issue_bounced(queue, request) : issue_direct(queue, request)))
            return false;
    return true;
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
    return request->durable ? -blk_device_sticky_errno(device) : 0;
}

void blk_queue_start(struct blk_queue *queue, struct blk_request *request, uint64_t now_ns)
{
    struct blk_device *device = queue->device;
    blk_request_move(request, BLK_REQUEST_PARSED);
    queue->busy++;
    queue->now_ns = now_ns;
    request->started_ns = now_ns;
    request->issued = (struct iov_cursor){0};
    request->issued_bytes = 0;
    request->pieces = 0;
    /* Acquire: pairs with the session's store; a request popped after the cache was turned off is
     * durable. */
    request->durable = request->op == QUEUE_OP_WRITE &&
                       !atomic_load_explicit(&device->write_back, memory_order_acquire);
    if (is_volatile_write(request))
        queue->volatile_writes++;
    queue_stats_started(queue->stats, request->slot, request->op, request->sector,
                        request->sector_count);
    request->bounced = device->xts || !segments_aligned(device, request);
    request->result = request_check(device, request);
    if (request->result < 0 || (request->op != QUEUE_OP_FLUSH && request->byte_len == 0)) {
        request_done(queue, request);
        return;
    }
    if (!queue->waiting.first && request_issue(queue, request)) {
        blk_request_move(request, BLK_REQUEST_IN_FLIGHT);
        return;
    }
    blk_request_move(request, BLK_REQUEST_WAITING);
    blk_request_list_append(&queue->waiting, request);
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
    request_done(queue, request);
}

static void issue_waiting(struct blk_queue *queue)
{
    struct blk_request *request;
    while ((request = queue->waiting.first) && request_issue(queue, request)) {
        blk_request_list_take(&queue->waiting);
        blk_request_move(request, BLK_REQUEST_IN_FLIGHT);
        if (request->pieces == 0) /* a piece failed and the rest is left out */
            request_done(queue, request);
    }
}

int blk_queue_submit(struct blk_queue *queue)
{
    issue_waiting(queue);
    return io_engine_submit(queue->engine);
}

/* A failed fsync, or a failed write that implied one, may have lost data of other writes: see
 * blk_device.c. An address that the guest's side unmapped (EFAULT) fails before anything is
 * written. */
static void note_failure(struct blk_queue *queue, const struct blk_request *request, int result)
{
    if (request->op == QUEUE_OP_FLUSH || (request->durable && result != -EFAULT))
        blk_device_fsync_failed(queue->device, -result);
}

static void piece_ended(struct blk_queue *queue, struct blk_piece *piece)
{
    struct blk_request *request = piece->request;
    int result = piece->op.result;
    if (result == 0 && piece->buffer && request->op == QUEUE_OP_READ)
        bounce_drain(queue, piece, piece->op.byte_len);
    piece_give(queue, piece);
    if (result < 0) {
        note_failure(queue, request, result);
        if (request->result == 0)
            request->result = result;
        request->issued_bytes = request->byte_len; /* no further pieces */
    }
    request->pieces--;
    /* A waiting request ends when it leaves the list, so that the list needs no removal from its
     * middle. */
    if (request->pieces == 0 && request->state == BLK_REQUEST_IN_FLIGHT)
        request_done(queue, request);
}

uint32_t blk_queue_reap(struct blk_queue *queue, uint64_t now_ns)
{
    struct io_op *ops[REAP_BATCH];
    queue->now_ns = now_ns;
    uint32_t total = 0;
    uint32_t count;
    do {
        count = io_engine_reap(queue->engine, ops, REAP_BATCH);
        for (uint32_t i = 0; i < count; i++)
            piece_ended(queue, (struct blk_piece *)ops[i]);
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
