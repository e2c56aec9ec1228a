/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Data takes one pass: ciphers work while copying between guest memory and bounce buffer, and plain
 * data that lies as the kernel wants it is not copied at all. In private memory they work in place.
 * A library cipher that cannot decrypt while copying does it in the bounce buffer, so nothing but
 * final bytes reaches the guest.
 *
 * Where a read finds its bytes is decided extent by extent, when a piece is about to be made: a
 * stripe may have reached the base disk since the request came, and both places have the same then.
 */
#include "blk_transfer.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "base/minmax.h"
#include "base/sector.h"
#include "blk/blk_lazy.h"
#include "crypt/xts.h"

enum { PIECES_MIN = 64 };

/* So much of a read is looked at to find where it lies, each time. */
enum { EXTENT_BYTES_MAX = 64 << 20 };

struct blk_piece {
    struct io_op op; /* first, so that an op leads back to its piece */
    struct blk_request *request;
    struct bounce_buffer *buffer; /* NULL: straight on guest memory */
    bool in_place;                /* the cipher works there */
    struct iov_cursor cursor;     /* where the piece lies in the request's segments */
    uint64_t request_offset;
    struct iovec iov; /* of a piece that is one segment */
    struct blk_piece *next;
};

uint32_t blk_transfer_depth(const struct blk_device *device)
{
    return min_u32(device->queue_size < PIECES_MIN ? PIECES_MIN : device->queue_size,
                   BLK_PIECES_MAX);
}

/* Whether some request may have to go through a bounce buffer. In private memory a piece begins at
 * a sector's edge of an aligned segment. */
static bool may_bounce(const struct blk_device *device)
{
    if (device->private_memory && device->file.memory_align <= SECTOR_BYTES)
        return false;
    return device->xts || device->file.memory_align != 1 || device->file.offset_align != 1;
}

int blk_transfer_init(struct blk_transfer *transfer, const struct blk_device *device,
                      struct error *error)
{
    uint32_t count = blk_transfer_depth(device);
    *transfer = (struct blk_transfer){.device = device};
    transfer->pieces = calloc(count, sizeof(*transfer->pieces));
    if (!transfer->pieces)
        return error_set(error, -ENOMEM, "no memory for %u transfers", count);
    for (uint32_t i = 0; i < count; i++) {
        transfer->pieces[i].next = transfer->free_pieces;
        transfer->free_pieces = &transfer->pieces[i];
    }
    if (!may_bounce(device))
        return 0;
    uint64_t share = device->bounce_bytes / device->queue_count;
    if (share < BUFFER_POOL_BYTES_MIN)
        share = BUFFER_POOL_BYTES_MIN;
    return buffer_pool_create(share, device->log, &transfer->buffers, error);
}

void blk_transfer_deinit(struct blk_transfer *transfer)
{
    buffer_pool_destroy(transfer->buffers);
    free(transfer->pieces);
}

/* Bytes of a request that lie in one place. */
struct extent {
    enum { EXTENT_BASE, EXTENT_IMAGE, EXTENT_ZEROS } place;
    uint64_t byte_len;
};

static struct blk_piece *piece_take(struct blk_transfer *transfer, struct blk_request *request)
{
    struct blk_piece *piece = transfer->free_pieces;
    if (!piece)
        return NULL;
    transfer->free_pieces = piece->next;
    piece->request = request;
    piece->buffer = NULL;
    piece->in_place = false;
    piece->cursor = request->issued;
    piece->request_offset = request->issued_bytes;
    piece->op.file = FILE_DISK;
    piece->op.flags = 0;
    piece->op.buffer_index = -1;
    return piece;
}

static void piece_give(struct blk_transfer *transfer, struct blk_piece *piece)
{
    if (piece->buffer)
        buffer_pool_give(transfer->buffers, piece->buffer);
    piece->next = transfer->free_pieces;
    transfer->free_pieces = piece;
}

static uint64_t piece_sector(const struct blk_piece *piece)
{
    return piece->request->sector + bytes_to_sectors(piece->request_offset);
}

/* Whether O_DIRECT takes the segments: addresses as the device's memory access wants them, lengths
 * of whole blocks, since a segment that ends within a block is refused. Page-cache files want 1. */
static bool segments_aligned(const struct blk_device *device, const struct blk_request *request)
{
    uint64_t length_mask = max_u64(device->file.memory_align, device->file.offset_align) - 1;
    if (length_mask == 0)
        return true;
    uint64_t addresses = 0, lengths = 0;
    for (uint32_t i = 0; i < request->iov_count; i++) {
        addresses |= (uintptr_t)request->iov[i].iov_base;
        lengths |= request->iov[i].iov_len;
    }
    return ((addresses & (device->file.memory_align - 1)) | (lengths & length_mask)) == 0;
}

/* Whole segments up to limit bytes, or a part of one that alone is longer. Returns the bytes
 * covered. */
static uint64_t piece_cover_direct(struct blk_piece *piece, uint64_t limit)
{
    struct blk_request *request = piece->request;
    while (request->iov[piece->cursor.index].iov_len == 0)
        piece->cursor.index++;
    struct iovec *iov = &request->iov[piece->cursor.index];
    uint64_t first = iov->iov_len - piece->cursor.offset;
    if (piece->cursor.offset > 0 || first > limit) {
        piece->iov.iov_base = (uint8_t *)iov->iov_base + piece->cursor.offset;
        piece->iov.iov_len = min_u64(first, limit);
        piece->op.iov = &piece->iov;
        piece->op.iov_count = 1;
        return piece->iov.iov_len;
    }
    uint64_t bytes = 0;
    uint32_t count = 0;
    while (piece->cursor.index + count < request->iov_count && bytes + iov[count].iov_len <= limit)
        bytes += iov[count++].iov_len;
    piece->op.iov = iov;
    piece->op.iov_count = count;
    return bytes;
}

/* The engine may consume the segments that it was lent, so the copies are made from the cursor
 * before it gets them. */
static void bounce_fill(const struct blk_transfer *transfer, struct blk_piece *piece,
                        uint64_t byte_len)
{
    const struct blk_request *request = piece->request;
    const struct iovec *iov = &request->iov[piece->cursor.index];
    uint32_t count = request->iov_count - piece->cursor.index;
    if (transfer->device->xts) {
        xts_encrypt_from_iov(transfer->device->xts, piece_sector(piece), iov, count,
                             piece->cursor.offset, piece->buffer->bytes,
                             bytes_to_sectors(byte_len));
    } else {
        iov_copy_from(request->iov, piece->cursor, piece->buffer->bytes, byte_len);
    }
}

static void bounce_drain(const struct blk_transfer *transfer, struct blk_piece *piece,
                         uint64_t byte_len)
{
    const struct blk_request *request = piece->request;
    const struct iovec *iov = &request->iov[piece->cursor.index];
    uint32_t count = request->iov_count - piece->cursor.index;
    if (transfer->device->xts) {
        xts_decrypt_to_iov(transfer->device->xts, piece_sector(piece), piece->buffer->bytes, iov,
                           count, piece->cursor.offset, bytes_to_sectors(byte_len));
    } else {
        iov_copy_to(request->iov, piece->cursor, piece->buffer->bytes, byte_len);
    }
}

static void piece_prep(struct blk_transfer *transfer, struct blk_piece *piece, uint64_t byte_len)
{
    struct blk_request *request = piece->request;
    struct io_op *op = &piece->op;
    op->opcode = request->op == QUEUE_OP_READ ? IO_READV : IO_WRITEV;
    op->flags = request->durable && transfer->device->file.direct ? IO_DSYNC : 0;
    op->byte_offset = sectors_to_bytes(request->sector) + request->issued_bytes;
    op->byte_len = byte_len;
    iov_cursor_advance(request->iov, &request->issued, byte_len);
    request->issued_bytes += byte_len;
    request->pieces++;
    io_engine_prep(transfer->engine, op);
}

/* Straight on guest memory, up to byte_len bytes. */
static bool issue_direct(struct blk_transfer *transfer, struct blk_request *request, uint8_t file,
                         uint64_t byte_len)
{
    struct blk_piece *piece = piece_take(transfer, request);
    if (!piece)
        return false;
    piece->op.file = file;
    piece_prep(transfer, piece,
               piece_cover_direct(piece, min_u64(byte_len, IO_TRANSFER_BYTES_MAX)));
    return true;
}

/* Through a bounce buffer, up to extent_bytes bytes. */
static bool issue_bounced(struct blk_transfer *transfer, struct blk_request *request,
                          uint64_t extent_bytes)
{
    uint32_t byte_len = (uint32_t)min_u64(extent_bytes, BUFFER_POOL_PIECE_BYTES_MAX);
    struct blk_piece *piece = piece_take(transfer, request);
    if (!piece)
        return false;
    piece->buffer = buffer_pool_take(transfer->buffers, byte_len);
    if (!piece->buffer) {
        piece_give(transfer, piece);
        return false;
    }
    if (request->op == QUEUE_OP_WRITE)
        bounce_fill(transfer, piece, byte_len);
    piece->iov = (struct iovec){.iov_base = piece->buffer->bytes, .iov_len = byte_len};
    piece->op.iov = &piece->iov;
    piece->op.iov_count = 1;
    piece->op.buffer_index = piece->buffer->buffer_index;
    piece_prep(transfer, piece, byte_len);
    return true;
}

/* Where an in-place piece's bytes lie; its own iovec may have been stepped over by the engine. */
static uint8_t *piece_bytes(const struct blk_piece *piece)
{
    return (uint8_t *)piece->request->iov->iov_base + piece->cursor.offset;
}

/* In place, up to byte_len bytes. */
static bool issue_in_place(struct blk_transfer *transfer, struct blk_request *request,
                           uint64_t byte_len)
{
    assert(request->iov_count == 1);
    struct blk_piece *piece = piece_take(transfer, request);
    if (!piece)
        return false;
    byte_len = min_u64(byte_len, IO_TRANSFER_BYTES_MAX);
    piece->in_place = true;
    if (request->op == QUEUE_OP_WRITE)
        xts_encrypt(transfer->device->xts, piece_sector(piece), piece_bytes(piece),
                    piece_bytes(piece), bytes_to_sectors(byte_len));
    piece->iov = (struct iovec){.iov_base = piece_bytes(piece), .iov_len = byte_len};
    piece->op.iov = &piece->iov;
    piece->op.iov_count = 1;
    piece_prep(transfer, piece, byte_len);
    return true;
}

static bool issue_sync(struct blk_transfer *transfer, struct blk_request *request)
{
    struct blk_piece *piece = piece_take(transfer, request);
    if (!piece)
        return false;
    piece->op.opcode = IO_FDATASYNC;
    piece->op.file = transfer->sync_file;
    piece->op.iov = NULL;
    piece->op.iov_count = 0;
    piece->op.byte_offset = 0;
    piece->op.byte_len = 0;
    request->pieces++;
    io_engine_prep(transfer->engine, &piece->op);
    return true;
}

static void issue_zeros(struct blk_request *request, uint64_t byte_len)
{
    iov_clear(request->iov, request->issued, byte_len);
    iov_cursor_advance(request->iov, &request->issued, byte_len);
    request->issued_bytes += byte_len;
}

/* Bytes from position on, up to byte_len, whose stripes are all on the base disk, or all not. */
static uint64_t uniform_bytes(const struct stripe_map *map, uint64_t position, uint64_t byte_len,
                              bool on_base)
{
    uint64_t end = position + byte_len;
    uint64_t at = position;
    do {
        uint64_t stripe = stripe_map_stripe_of(map, at >> SECTOR_SHIFT);
        if (stripe_on_base(stripe_map_flags(map, (uint32_t)stripe)) != on_base)
            return at - position;
        at = sectors_to_bytes((stripe + 1) << map->sector_count_shift);
    } while (at < end);
    return byte_len;
}

static struct extent image_extent(const struct blk_lazy *lazy, uint64_t position, uint64_t byte_len)
{
    if (position >= lazy->image_byte_len)
        return (struct extent){EXTENT_ZEROS, byte_len};
    return (struct extent){EXTENT_IMAGE, min_u64(byte_len, lazy->image_byte_len - position)};
}

/* Bytes in which the base disk can be read: whole sectors where they are enciphered. */
static uint64_t base_unit(const struct blk_device *device)
{
    return max_u64(device->file.offset_align, device->xts ? SECTOR_BYTES : 1);
}

static struct extent next_extent(const struct blk_transfer *transfer,
                                 const struct blk_request *request)
{
    const struct blk_lazy *lazy = transfer->device->lazy;
    uint64_t byte_len = request->byte_len - request->issued_bytes;
    if (!request->read_through)
        return (struct extent){EXTENT_BASE, byte_len};
    uint64_t position = sectors_to_bytes(request->sector) + request->issued_bytes;
    uint64_t unit = base_unit(transfer->device);
    uint64_t into_unit = position & (unit - 1);
    if (into_unit != 0) /* begun with the image, which ended, or a segment did */
        return image_extent(lazy, position, min_u64(byte_len, unit - into_unit));
    uint32_t stripe = stripe_map_stripe_of(lazy->map, position >> SECTOR_SHIFT);
    bool on_base = stripe_on_base(stripe_map_flags(lazy->map, stripe));
    byte_len = min_u64(byte_len, EXTENT_BYTES_MAX);
    byte_len = uniform_bytes(lazy->map, position, byte_len, on_base);
    return on_base ? (struct extent){EXTENT_BASE, byte_len}
                   : image_extent(lazy, position, byte_len);
}

/* An extent's edge may cut a segment where O_DIRECT cannot begin. */
static bool needs_bounce(const struct blk_transfer *transfer, const struct blk_request *request)
{
    return request->bounced ||
           (request->issued.offset & (transfer->device->file.memory_align - 1)) != 0;
}

static bool issue_data(struct blk_transfer *transfer, struct blk_request *request)
{
    struct extent extent = next_extent(transfer, request);
    switch (extent.place) {
    case EXTENT_ZEROS:
        issue_zeros(request, extent.byte_len);
        return true;
    case EXTENT_IMAGE:
        return issue_direct(transfer, request, FILE_IMAGE, extent.byte_len);
    case EXTENT_BASE:
        break;
    }
    if (needs_bounce(transfer, request))
        return issue_bounced(transfer, request, extent.byte_len);
    return transfer->device->xts ? issue_in_place(transfer, request, extent.byte_len)
                                 : issue_direct(transfer, request, FILE_DISK, extent.byte_len);
}

bool blk_transfer_issue(struct blk_transfer *transfer, struct blk_request *request)
{
    if (request->syncs)
        return request->pieces > 0 || issue_sync(transfer, request);
    while (request->issued_bytes < request->byte_len) {
        if (!issue_data(transfer, request))
            return false;
    }
    return true;
}

void blk_transfer_begin(const struct blk_transfer *transfer, struct blk_request *request)
{
    request->issued = (struct iov_cursor){0};
    request->issued_bytes = 0;
    request->pieces = 0;
    request->syncs = false;
    const struct blk_device *device = transfer->device;
    request->bounced =
        (device->xts && !device->private_memory) || !segments_aligned(device, request);
}

struct blk_request *blk_transfer_end(struct blk_transfer *transfer, struct io_op *op, int *result)
{
    struct blk_piece *piece = (struct blk_piece *)op;
    struct blk_request *request = piece->request;
    *result = op->result;
    if (op->result == 0 && piece->buffer && request->op == QUEUE_OP_READ)
        bounce_drain(transfer, piece, op->byte_len);
    if (op->result == 0 && piece->in_place && request->op == QUEUE_OP_READ)
        xts_decrypt(transfer->device->xts, piece_sector(piece), piece_bytes(piece),
                    piece_bytes(piece), bytes_to_sectors(op->byte_len));
    piece_give(transfer, piece);
    if (op->result < 0) {
        if (request->result == 0)
            request->result = op->result;
        request->issued_bytes = request->byte_len;
    }
    request->pieces--;
    return request;
}
