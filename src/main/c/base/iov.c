/* SPDX-License-Identifier: AGPL-3.0-only */
#include "iov.h"

#include <string.h>

#include "base/minmax.h"

void iov_cursor_advance(const struct iovec *iov, struct iov_cursor *cursor, uint64_t byte_len)
{
    cursor->offset += byte_len;
    while (cursor->offset > 0 && cursor->offset >= iov[cursor->index].iov_len) {
        cursor->offset -= iov[cursor->index].iov_len;
        cursor->index++;
    }
}

/* The next part of at most byte_len bytes that lies in one segment; passes over empty ones. */
static struct iovec next_part(const struct iovec *iov, struct iov_cursor *cursor, uint64_t byte_len)
{
    while (iov[cursor->index].iov_len == cursor->offset) { /* an empty segment */
        cursor->index++;
        cursor->offset = 0;
    }
    const struct iovec *segment = &iov[cursor->index];
    struct iovec part = {.iov_base = (uint8_t *)segment->iov_base + cursor->offset,
                         .iov_len = min_u64(segment->iov_len - cursor->offset, byte_len)};
    iov_cursor_advance(iov, cursor, part.iov_len);
    return part;
}

void iov_copy_from(const struct iovec *iov, struct iov_cursor cursor, void *to, uint64_t byte_len)
{
    uint8_t *at = to;
    while (byte_len > 0) {
        struct iovec part = next_part(iov, &cursor, byte_len);
        memcpy(at, part.iov_base, part.iov_len);
        at += part.iov_len;
        byte_len -= part.iov_len;
    }
}

void iov_copy_to(const struct iovec *iov, struct iov_cursor cursor, const void *from,
                 uint64_t byte_len)
{
    const uint8_t *at = from;
    while (byte_len > 0) {
        struct iovec part = next_part(iov, &cursor, byte_len);
        memcpy(part.iov_base, at, part.iov_len);
        at += part.iov_len;
        byte_len -= part.iov_len;
    }
}

void iov_clear(const struct iovec *iov, struct iov_cursor cursor, uint64_t byte_len)
{
    while (byte_len > 0) {
        struct iovec part = next_part(iov, &cursor, byte_len);
        memset(part.iov_base, 0, part.iov_len);
        byte_len -= part.iov_len;
    }
}
