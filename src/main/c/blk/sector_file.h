/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * A small file of whole sectors, enciphered like the disk that it belongs to: the metadata file.
 *
 * Sector n of the file has tweak n. Goes through the page cache, with plain system calls that may
 * sleep: control plane threads, any of them; never a queue thread. Reads and writes of different
 * sectors may overlap in time.
 */
#ifndef UBIBLK_BLK_SECTOR_FILE_H
#define UBIBLK_BLK_SECTOR_FILE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/log.h"
#include "crypt/xts.h"

/*
 * READ: no lock, never changed. UPDATE: read and written, under a write lock (OFD) on the whole
 * file. CREATE: the same, and the file is made (mode 0600, symbolic links not followed) when it is
 * not there.
 */
enum sector_file_mode { SECTOR_FILE_READ, SECTOR_FILE_UPDATE, SECTOR_FILE_CREATE };

/* Owned by the caller; ended by sector_file_close. */
struct sector_file {
    int fd;
    struct xts *xts; /* kept; NULL: plain */
    enum sector_file_mode mode;
    bool created; /* by this open; CREATE only */
};

/*
 * Opens path, which must be a regular file. Takes the lock as disk_lock_take does, for up to
 * lock_timeout_ms. xts is kept until close. Returns 0 with *out filled, or -errno with a sentence.
 */
int sector_file_open(const char *path, enum sector_file_mode mode, uint32_t lock_timeout_ms,
                     struct xts *xts, struct log *log, struct sector_file *out,
                     struct error *error);

/* The file's length at this moment, in bytes, or -errno. Need not be whole sectors. */
int64_t sector_file_byte_len(const struct sector_file *file);

/* Reads sector_count sectors from sector on and deciphers them. Returns 0, -ENODATA beyond the end,
 * or -errno. */
int sector_file_read(const struct sector_file *file, uint64_t sector, void *bytes,
                     uint32_t sector_count);

/* Writes sectors; bytes is left as it is. The file grows where that is beyond its end. Returns 0 or
 * -errno; after a failure any of the sectors may have been written. */
int sector_file_write(const struct sector_file *file, uint64_t sector, const void *bytes,
                      uint32_t sector_count);

/* Makes every completed write durable, length included. Returns 0 or -errno, and then nothing is
 * known of what was written since the last success. */
int sector_file_sync(const struct sector_file *file);

/* Makes the name of a created file durable: syncs the directory of path. Returns 0 or -errno. */
int sector_file_sync_directory(const char *path);

void sector_file_close(struct sector_file *file);

#endif
