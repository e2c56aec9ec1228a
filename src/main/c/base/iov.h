/* SPDX-License-Identifier: AGPL-3.0-only */
/* Walking and copying lists of segments, some of which may be empty. */
#ifndef UBIBLK_BASE_IOV_H
#define UBIBLK_BASE_IOV_H

#include <stdint.h>
#include <sys/uio.h>

/* A place in a list of segments: byte offset within segment index. */
struct iov_cursor {
    uint32_t index;
    uint64_t offset;
};

/* Moves *cursor on by byte_len bytes, which must be there. At the end of a list index is its
 * length, or that of an empty segment there. */
void iov_cursor_advance(const struct iovec *iov, struct iov_cursor *cursor, uint64_t byte_len);

/* Copies byte_len bytes, which must be there, from or to the segments, beginning at cursor. */
void iov_copy_from(const struct iovec *iov, struct iov_cursor cursor, void *to, uint64_t byte_len);
void iov_copy_to(const struct iovec *iov, struct iov_cursor cursor, const void *from,
                 uint64_t byte_len);

/* Clears byte_len bytes, which must be there, beginning at cursor. */
void iov_clear(const struct iovec *iov, struct iov_cursor cursor, uint64_t byte_len);

#endif
