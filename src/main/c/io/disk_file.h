/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * A disk of the host, a regular file or a block device, opened and, to be written, locked for us
 * alone.
 *
 * Start-up and tools only; any thread. One struct disk_file is one open file description. All
 * engines that do I/O on the disk share its fd, because the lock belongs to that description: after
 * a kill it is held until the last transfer that the kernel still had in hand is over.
 */
#ifndef UBIBLK_IO_DISK_FILE_H
#define UBIBLK_IO_DISK_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/log.h"

/*
 * AUTO: O_DIRECT, unless the file system has none or wants offsets above 512 bytes (above
 * logical_block_size when that is larger); then one warning and the page cache.
 * TRUE: refuses to open where AUTO would use the page cache. FALSE: the page cache.
 */
enum direct_io { DIRECT_IO_AUTO, DIRECT_IO_TRUE, DIRECT_IO_FALSE };

/*
 * UPDATE: read and written, under the lock. READ: only read, without the lock, whoever uses it.
 * CREATE: as UPDATE, but a file is made (mode 0600) when it is not there, and once it is locked all
 * that it holds is replaced by create_byte_len zero bytes; of a block device, which must have as
 * many at least, nothing is changed.
 */
enum disk_access { DISK_UPDATE, DISK_READ, DISK_CREATE };

enum { DISK_LOCK_TIMEOUT_MS = 10000 };

/* Borrowed by disk_file_open. */
struct disk_file_params {
    const char *path; /* may be a symbolic link */
    enum direct_io direct_io;
    uint32_t logical_block_size; /* what the guest is shown: 512 or 4096 */
    uint32_t lock_timeout_ms;    /* DISK_LOCK_TIMEOUT_MS as a rule; 0: one attempt */
    enum disk_access access;
    uint64_t create_byte_len; /* CREATE only; a multiple of 512 */
};

/* Owned by the caller; ended by disk_file_close. */
struct disk_file {
    int fd;
    uint64_t byte_len; /* a multiple of 512 and of logical_block_size; 0 only as created */
    uint32_t
        offset_align; /* what offsets and lengths of transfers must be multiples of; buffered: 1 */
    uint32_t
        memory_align; /* what addresses and lengths of iovecs must be multiples of; buffered: 1 */
    bool direct;
    bool block_device;
};

/*
 * Opens, takes the write lock (OFD) on the whole file unless it is only read, retrying until
 * lock_timeout_ms have passed, and learns size and alignment. Returns 0 with *out filled, or -errno
 * with a sentence; -EBUSY names who holds the disk, when that can be found out.
 */
int disk_file_open(const struct disk_file_params *params, struct log *log, struct disk_file *out,
                   struct error *error);

/*
 * A further description of the same file, for reading and syncing: the kernel tells of data that
 * it could not write once per description, so whoever syncs through one of its own misses nothing
 * that somebody else was told. Never written through, since the lock does not cover it. Any thread.
 * Returns the fd (owned by the caller) or -errno with a sentence.
 */
int disk_file_open_for_sync(const struct disk_file *file, struct error *error);

/*
 * Reads or writes a range within byte_len, aligned as the file wants it, on the calling thread.
 * Returns 0 or -errno: -ENODATA where the file ends before. After a failed write any of the bytes
 * may have been written. Any threads at once.
 */
int disk_file_read(const struct disk_file *file, uint64_t offset, void *bytes, size_t byte_len);
int disk_file_write(const struct disk_file *file, uint64_t offset, const void *bytes,
                    size_t byte_len);

/* Makes every completed write durable. Returns 0 or -errno, and then nothing is known of what was
 * written since the last success. */
int disk_file_sync(const struct disk_file *file);

/*
 * Where, from offset (below byte_len) on, the next byte lies that is allocated, or that is not;
 * byte_len: nowhere. What keeps no account of it has no holes. Returns -errno on failure. One
 * thread at a time.
 */
int64_t disk_file_next_data(const struct disk_file *file, uint64_t offset);
int64_t disk_file_next_hole(const struct disk_file *file, uint64_t offset);

/* Closes the fd; the lock goes with the last reference to the description. */
void disk_file_close(struct disk_file *file);

#endif
