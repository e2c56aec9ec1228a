/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Plain system calls through the page cache: the file is small, read once at start, and written a
 * sector at a time.
 *
 * What is written passes through a small buffer on the stack when the file is enciphered, because
 * the caller's bytes are not ours to change. What is read is deciphered where it lies: the caller
 * gave that memory to be filled.
 *
 * A failed fsync is reported and not tried again, -EINTR included: the kernel may have dropped what
 * it could not write, and the next fsync would know nothing of it.
 */
#include "blk/sector_file.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stddef.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/minmax.h"
#include "base/sector.h"
#include "io/disk_lock.h"
#include "io/plain_io.h"

/* Sectors that are enciphered at once. */
enum { CIPHER_SECTORS = 32 };

static const uint64_t SECTOR_LIMIT = INT64_MAX / SECTOR_BYTES;

/* --- opening ---------------------------------------------------------------------------------- */

static int check_type(const char *path, const struct stat *status, struct error *error)
{
    return S_ISREG(status->st_mode) ? 0
                                    : error_set(error, -EINVAL, "%s is not a regular file", path);
}

static int refuse_open(const char *path, enum sector_file_mode mode, int code, struct error *error)
{
    if (code == -ELOOP && mode == SECTOR_FILE_CREATE) {
        return error_set(error, code, "%s is a symbolic link, which is not followed here", path);
    }
    const char *purpose = mode == SECTOR_FILE_READ ? "reading" : "reading and writing";
    return error_set_errno(error, code, "cannot open %s for %s", path, purpose);
}

/* Returns the fd of a file that was not there before, or -errno. */
static int make_file(const char *path)
{
    int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    return fd < 0 ? -errno : fd;
}

/* The type is looked at before the open as well: opening a FIFO waits, and opening a device does
 * things. */
static int open_existing(const char *path, enum sector_file_mode mode, struct sector_file *file,
                         struct error *error)
{
    struct stat status;
    int flags = mode == SECTOR_FILE_READ ? O_RDONLY : O_RDWR;
    if (stat(path, &status) != 0) {
        return refuse_open(path, mode, -errno, error);
    }
    int ret = check_type(path, &status, error);
    if (ret != 0) {
        return ret;
    }
    file->fd =
        open(path, flags | O_CLOEXEC | O_NONBLOCK | (mode == SECTOR_FILE_CREATE ? O_NOFOLLOW : 0));
    if (file->fd < 0) {
        return refuse_open(path, mode, -errno, error);
    }
    if (fstat(file->fd, &status) != 0) {
        return refuse_open(path, mode, -errno, error);
    }
    return check_type(path, &status, error);
}

static int open_file(const char *path, enum sector_file_mode mode, struct sector_file *file,
                     struct error *error)
{
    if (mode == SECTOR_FILE_CREATE) {
        file->fd = make_file(path);
        file->created = file->fd >= 0;
        if (file->created) {
            return 0;
        }
        if (file->fd != -EEXIST) {
            return error_set_errno(error, file->fd, "cannot create %s", path);
        }
    }
    return open_existing(path, mode, file, error);
}

int sector_file_open(const char *path, enum sector_file_mode mode, uint32_t lock_timeout_ms,
                     struct xts *xts, struct log *log, struct sector_file *out, struct error *error)
{
    struct sector_file file = {.fd = -1, .xts = xts, .mode = mode};
    int ret = open_file(path, mode, &file, error);
    if (ret == 0 && mode != SECTOR_FILE_READ) {
        ret = disk_lock_take(file.fd, path, lock_timeout_ms, log, error);
    }
    if (ret != 0) {
        sector_file_close(&file);
        return ret;
    }
    *out = file;
    return 0;
}

void sector_file_close(struct sector_file *file)
{
    if (file->fd >= 0) {
        close(file->fd);
        file->fd = -1;
    }
}

int64_t sector_file_byte_len(const struct sector_file *file)
{
    struct stat status;
    return fstat(file->fd, &status) == 0 ? (int64_t)status.st_size : -errno;
}

/* --- transfers -------------------------------------------------------------------------------- */

static void assert_within_a_file(uint64_t sector, uint32_t sector_count)
{
    assert(sector <= SECTOR_LIMIT);
    assert(sector_count <= SECTOR_LIMIT - sector);
}

int sector_file_read(const struct sector_file *file, uint64_t sector, void *bytes,
                     uint32_t sector_count)
{
    assert_within_a_file(sector, sector_count);
    int ret = plain_read(file->fd, bytes, sectors_to_bytes(sector_count), sectors_to_bytes(sector));
    if (ret == 0 && file->xts != NULL) {
        xts_decrypt(file->xts, sector, bytes, bytes, sector_count);
    }
    return ret;
}

static int write_enciphered(const struct sector_file *file, uint64_t sector, const char *bytes,
                            uint32_t sector_count)
{
    char enciphered[CIPHER_SECTORS * SECTOR_BYTES];
    int ret = 0;
    while (ret == 0 && sector_count > 0) {
        uint32_t count = min_u32(sector_count, CIPHER_SECTORS);
        xts_encrypt(file->xts, sector, bytes, enciphered, count);
        ret = plain_write(file->fd, enciphered, sectors_to_bytes(count), sectors_to_bytes(sector));
        sector += count;
        bytes += sectors_to_bytes(count);
        sector_count -= count;
    }
    return ret;
}

int sector_file_write(const struct sector_file *file, uint64_t sector, const void *bytes,
                      uint32_t sector_count)
{
    assert_within_a_file(sector, sector_count);
    if (file->xts != NULL) {
        return write_enciphered(file, sector, bytes, sector_count);
    }
    return plain_write(file->fd, bytes, sectors_to_bytes(sector_count), sectors_to_bytes(sector));
}

/* --- durability ------------------------------------------------------------------------------- */

int sector_file_sync(const struct sector_file *file)
{
    return fsync(file->fd) == 0 ? 0 : -errno;
}

/* Writes the directory of path into directory, which has room for path: "." when it names none. */
static void directory_of(const char *path, char *directory)
{
    const char *slash = strrchr(path, '/');
    size_t byte_len = slash == NULL ? 1 : (size_t)(slash - path);
    memcpy(directory, slash == NULL ? "." : path, byte_len);
    if (byte_len == 0) {
        directory[byte_len++] = '/';
    }
    directory[byte_len] = '\0';
}

int sector_file_sync_directory(const char *path)
{
    char directory[PATH_MAX + 1];
    if (strlen(path) >= PATH_MAX) {
        return -ENAMETOOLONG;
    }
    directory_of(path, directory);
    int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        return -errno;
    }
    int ret = fsync(fd) == 0 ? 0 : -errno;
    close(fd);
    return ret;
}
