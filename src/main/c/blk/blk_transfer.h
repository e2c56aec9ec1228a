/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Requests carried out in pieces, each one transfer of the engine:
 *
 *   plain, aligned       one piece straight on guest memory (several above 1 GiB)
 *   plain, not aligned   pieces of up to 64 KiB through a bounce buffer, copied
 *   encrypted            the same, enciphered or deciphered while copying
 *   encrypted, private   enciphered or deciphered in place (blk_device.private_memory)
 *   from the image       reads of stripes that the base disk does not have: straight from the raw
 *                        image, never deciphered; zeros beyond its end
 *   sync                 one piece without data: a flush, and what follows a durable write that
 *                        went to the page cache
 *
 * A piece takes its buffer when it is about to be submitted and keeps it until it ended; nothing
 * holds a buffer while it waits for another one. Pieces and buffers are made once. Queue thread.
 */
#ifndef UBIBLK_BLK_BLK_TRANSFER_H
#define UBIBLK_BLK_BLK_TRANSFER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "blk/blk_device.h"
#include "blk/blk_request.h"
#include "io/io_engine.h"
#include "mem/buffer_pool.h"

/* The engine's files. */
enum { FILE_DISK, FILE_SYNC, FILE_IMAGE, FILE_COMMAND, FILE_COUNT };

/* The most pieces of a queue; as many commands fit into its engine besides. */
enum { BLK_PIECES_MAX = IO_DEPTH_MAX / 2 };

struct blk_piece;

/* Part of a queue. */
struct blk_transfer {
    const struct blk_device *device;
    struct io_engine *engine;    /* borrowed */
    uint8_t sync_file;           /* the engine's file that syncs go to; 0: the disk's own */
    struct buffer_pool *buffers; /* NULL: a plain disk without alignment rules */
    struct blk_piece *pieces;
    struct blk_piece *free_pieces;
};

/* Operations that the engine must be able to hold: the number of pieces. */
uint32_t blk_transfer_depth(const struct blk_device *device);

/* Makes pieces and bounce buffers; device is kept. The caller sets engine before the first issue.
 * Returns 0, or -errno with a sentence. */
int blk_transfer_init(struct blk_transfer *transfer, const struct blk_device *device,
                      struct error *error);

/* No piece may be with the engine. */
void blk_transfer_deinit(struct blk_transfer *transfer);

/* Prepares a request that is about to be issued for the first time. */
void blk_transfer_begin(const struct blk_transfer *transfer, struct blk_request *request);

/* Prepares as many pieces of the request as there are pieces and buffers; true when that was all of
 * it, which takes no piece at all where there are only zeros to read. Else the rest follows with a
 * later call. */
bool blk_transfer_issue(struct blk_transfer *transfer, struct blk_request *request);

/*
 * Ends the piece whose op the engine handed back; data that was read goes to the guest. Returns its
 * request, with pieces one lower; *result is the piece's 0 or -errno. After a failure no further
 * piece of the request is issued and request->result holds the first one.
 */
struct blk_request *blk_transfer_end(struct blk_transfer *transfer, struct io_op *op, int *result);

#endif
