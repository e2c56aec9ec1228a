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

void iov_copy_from(const struct iovec *iov, struct iov_cursor cursor, void *to, uint64_t byte_len)
{
    uint8_t *at = to;
    while (byte_len > 0) {
        const struct iovec *segment = &iov[cursor.index];
        uint64_t part = min_u64(segment->iov_len - cursor.offset, byte_len);
        if (part == 0) { /* an empty segment */
            cursor.index++;
            continue;
        }
        memcpy(at, (const uint8_t *)segment->iov_base + cursor.offset, part);
        iov_cursor_advance(iov, &cursor, part);
        at += part;
        byte_len -= part;
    }
}

void iov_copy_to(const struct iovec *iov, struct iov_cursor cursor, const void *from,
                 uint64_t byte_len)
{
    const uint8_t *at = from;
    while (byte_len > 0) {
        const struct iovec *segment = &iov[cursor.index];
        uint64_t part = min_u64(segment->iov_len - cursor.offset, byte_len);
        if (part == 0) { /* an empty segment */
            cursor.index++;
            continue;
        }
        memcpy((uint8_t *)segment->iov_base + cursor.offset, at, part);
        iov_cursor_advance(iov, &cursor, part);
        at += part;
        byte_len -= part;
    }
}
