/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * One area, mapped once: first the large buffers, then the small ones, a free list for each size.
 *
 * A quarter of the area goes to small buffers. Guests send 4 KiB requests by the hundred and large
 * ones by the dozen, and the quarter gives about five small buffers for each large one.
 *
 * A small request takes a large buffer when the small ones are out. That wastes memory for the time
 * of one transfer, and is better than the alternatives: it uses what lies idle, and a queue can
 * have more small transfers in flight than a fixed share would allow. It cannot deadlock, because a
 * piece of a request holds one buffer at most, waits for nothing else while it holds it, and gives
 * it back when the transfer ends. Callers that wait do so first come, first served, so a large
 * request at the head of the line is served as soon as one large buffer is given back; small ones
 * behind it do not overtake it.
 *
 * Free lists are last in, first out: what was used last is still in the cache.
 */
#include "mem/buffer_pool.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/align.h"

_Static_assert(BUFFER_POOL_PIECE_BYTES_MAX % BUFFER_POOL_SMALL_BYTES == 0,
               "a large buffer is a whole number of small ones");

/* One part in so many is carved into small buffers. */
enum { SMALL_SHARE = 4 };

struct buffer_pool {
    struct iovec area;
    uint32_t lent;
    struct bounce_buffer *free_small;
    struct bounce_buffer *free_large;
    struct bounce_buffer buffers[];
};

static uint32_t large_count(uint64_t bytes)
{
    uint64_t small_bytes = align_up(bytes / SMALL_SHARE, BUFFER_POOL_PIECE_BYTES_MAX);
    return (uint32_t)((bytes - small_bytes) / BUFFER_POOL_PIECE_BYTES_MAX);
}

static void carve(struct buffer_pool *pool, uint32_t large, uint32_t small)
{
    char *bytes = pool->area.iov_base;
    for (uint32_t i = 0; i < large + small; i++) {
        struct bounce_buffer *buffer = &pool->buffers[i];
        buffer->bytes = bytes;
        buffer->byte_len = i < large ? BUFFER_POOL_PIECE_BYTES_MAX : BUFFER_POOL_SMALL_BYTES;
        buffer->buffer_index = 0;
        bytes += buffer->byte_len;
        struct bounce_buffer **list = i < large ? &pool->free_large : &pool->free_small;
        buffer->next = *list;
        *list = buffer;
    }
    assert(bytes == (char *)pool->area.iov_base + pool->area.iov_len);
}

void buffer_pool_protect(const struct iovec *area, const char *what, struct log *log)
{
    /* Both are precautions: buffers work without them. */
    madvise(area->iov_base, area->iov_len, MADV_DONTDUMP);
    if (mlock(area->iov_base, area->iov_len) != 0) {
        log_write(log, LOG_WARN,
                  "cannot lock %zu bytes of %s in memory (%s): they may be swapped out; raise "
                  "RLIMIT_MEMLOCK",
                  area->iov_len, what, strerror(errno));
    }
}

int buffer_pool_create(uint64_t bytes, struct log *log, struct buffer_pool **out,
                       struct error *error)
{
    if (bytes < BUFFER_POOL_BYTES_MIN || bytes > BUFFER_POOL_BYTES_MAX) {
        return error_set(error, -EINVAL,
                         "%" PRIu64 " bytes of bounce buffers for one queue: must be %d to %d",
                         bytes, BUFFER_POOL_BYTES_MIN, BUFFER_POOL_BYTES_MAX);
    }
    bytes &= ~(uint64_t)(BUFFER_POOL_PIECE_BYTES_MAX - 1);
    uint32_t large = large_count(bytes);
    uint32_t small = (uint32_t)((bytes - (uint64_t)large * BUFFER_POOL_PIECE_BYTES_MAX) /
                                BUFFER_POOL_SMALL_BYTES);
    struct buffer_pool *pool =
        calloc(1, sizeof(*pool) + (large + small) * sizeof(pool->buffers[0]));
    void *area = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (pool == NULL || area == MAP_FAILED) {
        if (area != MAP_FAILED) {
            munmap(area, bytes);
        }
        free(pool);
        return error_set_errno(error, -ENOMEM,
                               "cannot allocate %" PRIu64 " bytes of bounce buffers", bytes);
    }
    pool->area = (struct iovec){area, bytes};
    buffer_pool_protect(&pool->area, "bounce buffers", log);
    carve(pool, large, small);
    *out = pool;
    return 0;
}

void buffer_pool_destroy(struct buffer_pool *pool)
{
    if (pool == NULL) {
        return;
    }
    assert(pool->lent == 0);
    munmap(pool->area.iov_base, pool->area.iov_len);
    free(pool);
}

const struct iovec *buffer_pool_areas(const struct buffer_pool *pool, uint32_t *area_count)
{
    *area_count = 1;
    return &pool->area;
}

struct bounce_buffer *buffer_pool_take(struct buffer_pool *pool, uint32_t byte_len)
{
    assert(byte_len >= 1);
    assert(byte_len <= BUFFER_POOL_PIECE_BYTES_MAX);
    struct bounce_buffer **list = &pool->free_large;
    if (byte_len <= BUFFER_POOL_SMALL_BYTES && pool->free_small != NULL) {
        list = &pool->free_small;
    }
    struct bounce_buffer *buffer = *list;
    if (buffer != NULL) {
        *list = buffer->next;
        buffer->next = NULL;
        pool->lent++;
    }
    return buffer;
}

void buffer_pool_give(struct buffer_pool *pool, struct bounce_buffer *buffer)
{
    assert(pool->lent > 0);
    struct bounce_buffer **list =
        buffer->byte_len == BUFFER_POOL_SMALL_BYTES ? &pool->free_small : &pool->free_large;
    buffer->next = *list;
    *list = buffer;
    pool->lent--;
}

uint32_t buffer_pool_lent(const struct buffer_pool *pool)
{
    return pool->lent;
}
