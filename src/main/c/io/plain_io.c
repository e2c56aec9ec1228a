/* SPDX-License-Identifier: AGPL-3.0-only */
#include "io/plain_io.h"

#include <errno.h>
#include <sys/types.h>
#include <unistd.h>

int plain_read(int fd, void *bytes, size_t byte_len, uint64_t offset)
{
    char *into = bytes;
    while (byte_len > 0) {
        ssize_t done = pread(fd, into, byte_len, (off_t)offset);
        if (done < 0 && errno == EINTR) {
            continue;
        }
        if (done <= 0) {
            return done < 0 ? -errno : -ENODATA;
        }
        into += done;
        byte_len -= (size_t)done;
        offset += (uint64_t)done;
    }
    return 0;
}

int plain_write(int fd, const void *bytes, size_t byte_len, uint64_t offset)
{
    const char *from = bytes;
    while (byte_len > 0) {
        ssize_t done = pwrite(fd, from, byte_len, (off_t)offset);
        if (done < 0 && errno == EINTR) {
            continue;
        }
        if (done <= 0) {
            return done < 0 ? -errno : -EIO;
        }
        from += done;
        byte_len -= (size_t)done;
        offset += (uint64_t)done;
    }
    return 0;
}
