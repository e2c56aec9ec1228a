/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * A disk of the host, a regular file or a block device, opened and locked for us alone.
 *
 * Start-up only; any thread. One struct disk_file is one open file description. All engines that do
 * I/O on the disk share its fd, because the lock belongs to that description: after a kill it is
 * held until the last transfer that the kernel still had in hand is over.
 */
#ifndef UBIBLK_IO_DISK_FILE_H
#define UBIBLK_IO_DISK_FILE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/log.h"

/*
 * AUTO: O_DIRECT, unless the file system has none or wants offsets above 512 bytes (above
 * logical_block_size when that is larger); then one warning and the page cache.
 * TRUE: refuses to open where AUTO would use the page cache. FALSE: the page cache.
 */
enum direct_io { DIRECT_IO_AUTO, DIRECT_IO_TRUE, DIRECT_IO_FALSE };

enum { DISK_LOCK_TIMEOUT_MS = 10000 };

/* Borrowed by disk_file_open. */
struct disk_file_params {
    const char *path; /* may be a symbolic link */
    enum direct_io direct_io;
    uint32_t logical_block_size; /* what the guest is shown: 512 or 4096 */
    uint32_t lock_timeout_ms;    /* DISK_LOCK_TIMEOUT_MS as a rule; 0: one attempt */
};

/* Owned by the caller; ended by disk_file_close. */
struct disk_file {
    int fd;
    uint64_t byte_len; /* a multiple of 512 and of logical_block_size, not 0 */
    uint32_t
        offset_align; /* what offsets and lengths of transfers must be multiples of; buffered: 1 */
    uint32_t
        memory_align; /* what addresses and lengths of iovecs must be multiples of; buffered: 1 */
    bool direct;
    bool block_device;
};

/*
 * Opens for reading and writing, takes the write lock (OFD) on the whole file, retrying until
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

/* Closes the fd; the lock goes with the last reference to the description. */
void disk_file_close(struct disk_file *file);

#endif
