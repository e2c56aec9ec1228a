/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * The bounce buffers of one queue: page-aligned memory in two sizes, carved once from one area.
 *
 * mem/ holds memory with special needs. A pool belongs to one thread. Take and give are O(1) and
 * allocate nothing. The memory may hold decrypted guest data: it is kept out of core dumps, and out
 * of swap where the limit for locked memory allows.
 */
#ifndef UBIBLK_MEM_BUFFER_POOL_H
#define UBIBLK_MEM_BUFFER_POOL_H

#include <stdint.h>
#include <sys/uio.h>

#include "base/error.h"
#include "base/log.h"

enum {
    BUFFER_POOL_SMALL_BYTES = 4096,
    BUFFER_POOL_PIECE_BYTES_MAX = 65536,
    BUFFER_POOL_BYTES_MIN = 2 * BUFFER_POOL_PIECE_BYTES_MAX,
    BUFFER_POOL_BYTES_MAX = 1 << 30
};

/* Owned by the pool, lent to whoever took it. */
struct bounce_buffer {
    void *bytes;                /* page-aligned */
    uint32_t byte_len;          /* BUFFER_POOL_SMALL_BYTES or BUFFER_POOL_PIECE_BYTES_MAX */
    int32_t buffer_index;       /* of buffer_pool_areas, which is what io_op.buffer_index wants */
    struct bounce_buffer *next; /* the pool's while it is free, the borrower's while it is lent */
};

struct buffer_pool;

/*
 * bytes is BUFFER_POOL_BYTES_MIN to BUFFER_POOL_BYTES_MAX (else -EINVAL) and is rounded down to a
 * multiple of BUFFER_POOL_PIECE_BYTES_MAX. Memory that cannot be locked costs one warning to log,
 * which may be NULL. Returns 0 with *out owned, or -errno with a sentence.
 */
int buffer_pool_create(uint64_t bytes, struct log *log, struct buffer_pool **out,
                       struct error *error);

/* Everything must have been given back (asserted). NULL is fine. */
void buffer_pool_destroy(struct buffer_pool *pool);

/* The memory to register with an engine (io_engine_params.buffers); kept by the pool. */
const struct iovec *buffer_pool_areas(const struct buffer_pool *pool, uint32_t *area_count);

/*
 * Lends a buffer of at least byte_len (1 to BUFFER_POOL_PIECE_BYTES_MAX) bytes, or returns NULL
 * when none that fits is left. The smallest size that fits is tried first; a small request takes a
 * large buffer rather than wait.
 */
struct bounce_buffer *buffer_pool_take(struct buffer_pool *pool, uint32_t byte_len);

/* Takes the buffer back. */
void buffer_pool_give(struct buffer_pool *pool, struct bounce_buffer *buffer);

/* Buffers lent at the moment. */
uint32_t buffer_pool_lent(const struct buffer_pool *pool);

/*
 * Does for buffers of another owner what is done for a pool's: keeps whole pages out of core dumps,
 * makes them real memory at once and locks them. Where they cannot be locked, log (may be NULL)
 * gets one warning that calls them what.
 */
void buffer_pool_protect(const struct iovec *area, const char *what, struct log *log);

#endif
