/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Opening goes: look at the path, open, lock, learn the size, choose between O_DIRECT and the page
 * cache. The type is looked at before the open as well, because opening the wrong device node can
 * do things, and because a block device needs another flag: O_EXCL, which keeps mounts and other
 * such openers away.
 *
 * O_DIRECT is set on the description that holds the lock, not by opening again. What the file
 * demands then comes from statx (Linux 6.1 and file systems that fill it in); elsewhere reads of
 * growing alignment are tried. A read that the kernel refuses does no harm.
 */
#include "io/disk_file.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/fs.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/align.h"
#include "base/sector.h"
#include "io/deadline.h"
#include "io/disk_lock.h"
#include "io/plain_io.h"

enum { OPEN_RETRY_PAUSE_MS = 20 };

/* Alignments that are tried where the kernel does not say; and that of the memory tried with. */
enum { PROBE_ALIGN_MIN = SECTOR_BYTES, PROBE_ALIGN_MAX = 65536 };

struct dio_alignment {
    uint32_t memory; /* 0: no direct I/O */
    uint32_t offset;
};

/* --- opening ---------------------------------------------------------------------------------- */

static int check_type(const char *path, const struct stat *status, struct error *error)
{
    if (S_ISREG(status->st_mode) || S_ISBLK(status->st_mode)) {
        return 0;
    }
    return error_set(error, -EINVAL, "%s is neither a regular file nor a block device", path);
}

static int refuse_open(const struct disk_file_params *params, int ret, struct error *error)
{
    char holder[DISK_HOLDER_BYTES];
    if (ret != -EBUSY) {
        return error_set_errno(error, ret, "cannot open %s for %s", params->path,
                               params->access == DISK_READ ? "reading" : "reading and writing");
    }
    disk_lock_describe_holder(params->path, -1, holder, sizeof(holder));
    return error_set(error, ret, "%s is in use: mounted, part of another device, or opened by %s",
                     params->path, holder);
}

/* A device whose last user was killed stays claimed until that user's transfers have ended. */
static int open_patiently(const struct disk_file_params *params, int flags)
{
    uint64_t deadline = deadline_after((uint64_t)params->lock_timeout_ms * 1000000u);
    int fd;
    while ((fd = open(params->path, flags)) < 0 && errno == EBUSY &&
           deadline_left_ns(deadline) > 0) {
        poll(NULL, 0, OPEN_RETRY_PAUSE_MS);
    }
    return fd < 0 ? -errno : fd;
}

/* Only the user who makes a disk may read it, until somebody decides otherwise. */
static int make_file(const struct disk_file_params *params, struct disk_file *file,
                     struct error *error)
{
    file->fd = open(params->path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    return file->fd >= 0 ? 0 : error_set_errno(error, -errno, "cannot create %s", params->path);
}

static int open_flags(const struct disk_file_params *params, bool block_device)
{
    if (params->access == DISK_READ) {
        return O_RDONLY | O_CLOEXEC;
    }
    return O_RDWR | O_CLOEXEC | (block_device ? O_EXCL : 0);
}

static int open_disk(const struct disk_file_params *params, struct disk_file *file,
                     struct error *error)
{
    struct stat before;
    struct stat after;
    if (stat(params->path, &before) != 0) {
        if (errno == ENOENT && params->access == DISK_CREATE) {
            return make_file(params, file, error);
        }
        return error_set_errno(error, -errno, "cannot open %s", params->path);
    }
    int ret = check_type(params->path, &before, error);
    if (ret != 0) {
        return ret;
    }
    file->block_device = S_ISBLK(before.st_mode);
    file->fd = open_patiently(params, open_flags(params, file->block_device));
    if (file->fd < 0) {
        return refuse_open(params, file->fd, error);
    }
    if (fstat(file->fd, &after) != 0) {
        return error_set_errno(error, -errno, "cannot open %s", params->path);
    }
    if ((before.st_mode & S_IFMT) != (after.st_mode & S_IFMT)) {
        return error_set(error, -EAGAIN, "%s was replaced while it was opened", params->path);
    }
    return 0;
}

/* --- size ------------------------------------------------------------------------------------- */

static int look_at_file(const struct disk_file_params *params, struct disk_file *file,
                        struct error *error)
{
    struct stat status;
    if (fstat(file->fd, &status) != 0) {
        return error_set_errno(error, -errno, "cannot learn the size of %s", params->path);
    }
    file->byte_len = (uint64_t)status.st_size;
    return 0;
}

static int look_at_device(const struct disk_file_params *params, struct disk_file *file,
                          struct error *error)
{
    int sector_bytes = 0;
    if (ioctl(file->fd, BLKGETSIZE64, &file->byte_len) != 0 ||
        ioctl(file->fd, BLKSSZGET, &sector_bytes) != 0) {
        return error_set_errno(error, -errno, "cannot learn the size of %s", params->path);
    }
    /* Tools that read or write a device anew show it to no guest; the page cache serves them. */
    if (params->access == DISK_UPDATE && sector_bytes > 0 &&
        (uint32_t)sector_bytes > params->logical_block_size) {
        return error_set(error, -EINVAL,
                         "%s has logical sectors of %d bytes, more than the logical_block_size of "
                         "%u: set logical_block_size to %d",
                         params->path, sector_bytes, params->logical_block_size, sector_bytes);
    }
    return 0;
}

/* What was there goes as a whole: nobody should take an old tail for new content. */
static int set_length(const struct disk_file_params *params, struct disk_file *file,
                      struct error *error)
{
    uint64_t wanted = params->create_byte_len;
    if (file->block_device && file->byte_len < wanted) {
        return error_set(error, -ENOSPC, "%s has %" PRIu64 " bytes, of %" PRIu64 " to be written",
                         params->path, file->byte_len, wanted);
    }
    if (!file->block_device &&
        (ftruncate(file->fd, 0) != 0 || ftruncate(file->fd, (off_t)wanted) != 0)) {
        return error_set_errno(error, -errno, "cannot make %s %" PRIu64 " bytes long", params->path,
                               wanted);
    }
    file->byte_len = file->block_device ? file->byte_len : wanted;
    return 0;
}

static int check_size(const struct disk_file_params *params, const struct disk_file *file,
                      struct error *error)
{
    uint32_t unit = params->logical_block_size;
    if (file->byte_len == 0 && params->access != DISK_CREATE) {
        return error_set(error, -EINVAL, "%s is empty", params->path);
    }
    if (!is_aligned(file->byte_len, SECTOR_BYTES)) {
        unit = SECTOR_BYTES;
    } else if (is_aligned(file->byte_len, unit)) {
        return 0;
    }
    return error_set(error, -EINVAL, "the size of %s, %" PRIu64 " bytes, is not a multiple of %s%u",
                     params->path, file->byte_len,
                     unit == SECTOR_BYTES ? "" : "the logical_block_size of ", unit);
}

/* --- direct I/O ------------------------------------------------------------------------------- */

static int set_direct(int fd, bool direct)
{
    int flags = fcntl(fd, F_GETFL);
    if (flags < 0) {
        return -errno;
    }
    flags = direct ? flags | O_DIRECT : flags & ~O_DIRECT;
    return fcntl(fd, F_SETFL, flags) == 0 ? 0 : -errno;
}

/* The smallest length, at offset 0 and into memory aligned to memory_align only, that can be read;
 * 0: none. */
static uint32_t probe_length(int fd, char *memory, uint32_t memory_align)
{
    for (uint32_t byte_len = PROBE_ALIGN_MIN; byte_len <= PROBE_ALIGN_MAX; byte_len *= 2) {
        if (pread(fd, memory + memory_align, byte_len, 0) >= 0) {
            return byte_len;
        }
        if (errno != EINVAL) {
            return 0;
        }
    }
    return 0;
}

static int probe_alignment(int fd, struct dio_alignment *alignment)
{
    void *memory;
    *alignment = (struct dio_alignment){0};
    if (posix_memalign(&memory, 2 * PROBE_ALIGN_MAX, 2 * PROBE_ALIGN_MAX) != 0) {
        return -ENOMEM;
    }
    for (uint32_t align = PROBE_ALIGN_MIN; alignment->memory == 0 && align <= PROBE_ALIGN_MAX;
         align *= 2) {
        alignment->offset = probe_length(fd, memory, align);
        alignment->memory = alignment->offset != 0 ? align : 0;
    }
    free(memory);
    return 0;
}

/* Fills *alignment; memory is 0 where there is no direct I/O. O_DIRECT is set on return 0 with
 * memory not 0. */
static int learn_alignment(int fd, struct dio_alignment *alignment)
{
    struct statx status;
    *alignment = (struct dio_alignment){0};
    bool told = statx(fd, "", AT_EMPTY_PATH, STATX_DIOALIGN, &status) == 0 &&
                (status.stx_mask & STATX_DIOALIGN) != 0;
    if (told && (status.stx_dio_mem_align == 0 || status.stx_dio_offset_align == 0)) {
        return 0;
    }
    int ret = set_direct(fd, true);
    if (ret != 0) {
        return ret == -EINVAL ? 0 : ret;
    }
    if (!told) {
        return probe_alignment(fd, alignment);
    }
    alignment->memory = status.stx_dio_mem_align;
    alignment->offset = status.stx_dio_offset_align;
    return 0;
}

/* Page cache: for AUTO with a warning, for TRUE a refusal. why is a clause about the file. */
static int go_without(const struct disk_file_params *params, const char *why, struct log *log,
                      struct error *error)
{
    if (params->direct_io == DIRECT_IO_TRUE) {
        return error_set(error, -EOPNOTSUPP, "direct_io: true is impossible: %s %s", params->path,
                         why);
    }
    log_write(log, LOG_WARN, "%s %s: going through the page cache", params->path, why);
    return 0;
}

static int choose_direct(const struct disk_file_params *params, struct log *log,
                         struct disk_file *file, struct error *error)
{
    struct dio_alignment alignment;
    char why[128];
    if (params->direct_io == DIRECT_IO_FALSE) {
        return 0;
    }
    int ret = learn_alignment(file->fd, &alignment);
    if (ret != 0) {
        return error_set_errno(error, ret, "cannot learn about direct I/O on %s", params->path);
    }
    if (alignment.memory != 0 && alignment.offset <= params->logical_block_size) {
        file->direct = true;
        file->memory_align = alignment.memory;
        file->offset_align = alignment.offset;
        return 0;
    }
    ret = set_direct(file->fd, false);
    if (ret != 0) {
        return error_set_errno(error, ret, "cannot clear O_DIRECT of %s", params->path);
    }
    if (alignment.memory == 0) {
        return go_without(params, "has no direct I/O", log, error);
    }
    snprintf(why, sizeof(why),
             "wants direct I/O in units of %u bytes, more than the logical_block_size of %u",
             alignment.offset, params->logical_block_size);
    return go_without(params, why, log, error);
}

/* --- all of it -------------------------------------------------------------------------------- */

static int prepare(const struct disk_file_params *params, struct log *log, struct disk_file *file,
                   struct error *error)
{
    int ret = open_disk(params, file, error);
    if (ret == 0 && params->access != DISK_READ) {
        ret = disk_lock_take(file->fd, params->path, params->lock_timeout_ms, log, error);
    }
    /* Now: whoever held the lock while we waited for it may have changed the length. */
    if (ret == 0) {
        ret = file->block_device ? look_at_device(params, file, error)
                                 : look_at_file(params, file, error);
    }
    if (ret == 0 && params->access == DISK_CREATE) {
        ret = set_length(params, file, error);
    }
    if (ret == 0) {
        ret = check_size(params, file, error);
    }
    return ret == 0 ? choose_direct(params, log, file, error) : ret;
}

int disk_file_open(const struct disk_file_params *params, struct log *log, struct disk_file *out,
                   struct error *error)
{
    struct disk_file file = {.fd = -1, .offset_align = 1, .memory_align = 1};
    int ret = prepare(params, log, &file, error);
    if (ret != 0) {
        disk_file_close(&file);
        return ret;
    }
    *out = file;
    return 0;
}

int disk_file_open_for_sync(const struct disk_file *file, struct error *error)
{
    char path[64];
    snprintf(path, sizeof(path), "/proc/self/fd/%d", file->fd);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    return fd < 0 ? error_set_errno(error, -errno, "cannot open the disk once more to sync it")
                  : fd;
}

/* --- transfers of tools ----------------------------------------------------------------------- */

int disk_file_read(const struct disk_file *file, uint64_t offset, void *bytes, size_t byte_len)
{
    return plain_read(file->fd, bytes, byte_len, offset);
}

int disk_file_write(const struct disk_file *file, uint64_t offset, const void *bytes,
                    size_t byte_len)
{
    return plain_write(file->fd, bytes, byte_len, offset);
}

int disk_file_sync(const struct disk_file *file)
{
    return fsync(file->fd) == 0 ? 0 : -errno;
}

static int64_t seek(const struct disk_file *file, uint64_t offset, int whence, uint64_t unknown)
{
    off_t found = lseek(file->fd, (off_t)offset, whence);
    if (found >= 0) {
        return found;
    }
    if (errno == ENXIO) {
        return (int64_t)file->byte_len;
    }
    return errno == EINVAL || errno == EOPNOTSUPP ? (int64_t)unknown : -errno;
}

int64_t disk_file_next_data(const struct disk_file *file, uint64_t offset)
{
    return seek(file, offset, SEEK_DATA, offset);
}

int64_t disk_file_next_hole(const struct disk_file *file, uint64_t offset)
{
    return seek(file, offset, SEEK_HOLE, file->byte_len);
}

void disk_file_close(struct disk_file *file)
{
    if (file->fd >= 0) {
        close(file->fd);
        file->fd = -1;
    }
}
