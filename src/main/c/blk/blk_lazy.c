/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Stripes are written through the description that holds the disk's lock, like everything else, so
 * that after a kill no write of ours can come behind the next process. They are synced through
 * another one, for the reason that blk_queue.c gives.
 *
 * The image goes through the page cache: other disks of the host are filled from the same one.
 */
#include "blk_lazy.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <linux/fs.h>

#include "base/minmax.h"
#include "base/sector.h"

static int image_byte_len(int fd, uint64_t *byte_len)
{
    struct stat status;
    if (fstat(fd, &status) < 0)
        return -errno;
    *byte_len = (uint64_t)status.st_size;
    if (S_ISBLK(status.st_mode) && ioctl(fd, BLKGETSIZE64, byte_len) < 0)
        return -errno;
    return 0;
}

static int open_image(struct blk_lazy *lazy, const struct blk_lazy_params *params,
                      struct error *error)
{
    if (!params->image_path)
        return 0;
    lazy->image_fd = open(params->image_path, O_RDONLY | O_CLOEXEC);
    if (lazy->image_fd < 0)
        return error_set_errno(error, -errno, "cannot open the image %s", params->image_path);
    uint64_t byte_len = 0;
    int result = image_byte_len(lazy->image_fd, &byte_len);
    if (result < 0)
        return error_set_errno(error, result, "cannot learn the size of the image %s",
                               params->image_path);
    if (byte_len < params->image_byte_len) {
        return error_set(error, -EIO,
                         "the image %s has %" PRIu64 " bytes, and had %" PRIu64
                         " when it was opened first",
                         params->image_path, byte_len, params->image_byte_len);
    }
    lazy->image_byte_len = params->image_byte_len;
    return 0;
}

static int make_map(struct blk_lazy *lazy, const struct blk_lazy_params *params,
                    struct error *error)
{
    const struct stripe_map_params map_params = {
        .sector_count = lazy->device->capacity,
        .sector_count_shift = params->sector_count_shift,
        .queue_count = lazy->device->queue_count,
        .track_written = params->track_written,
        .read_through = params->image_path != NULL,
        .flags = params->flags,
    };
    return stripe_map_create(&map_params, &lazy->map, error);
}

int blk_lazy_attach(struct blk_device *device, const struct blk_lazy_params *params,
                    struct error *error)
{
    assert(!device->lazy);
    struct blk_lazy *lazy = calloc(1, sizeof(*lazy));
    if (!lazy)
        return error_set(error, -ENOMEM, "no memory for the states of the stripes");
    lazy->device = device;
    lazy->image_fd = lazy->sync_fd = -1;
    lazy->timeout_ns =
        params->fetch_timeout_ms == 0 ? UINT64_MAX : params->fetch_timeout_ms * 1000000u;
    pthread_mutex_init(&lazy->image_lock, NULL);
    int result = make_map(lazy, params, error);
    if (result == 0)
        result = open_image(lazy, params, error);
    if (result == 0) {
        lazy->sync_fd = disk_file_open_for_sync(&device->file, error);
        result = lazy->sync_fd < 0 ? lazy->sync_fd : 0;
    }
    if (result < 0) {
        blk_lazy_detach(lazy);
        return result;
    }
    device->lazy = lazy;
    return 0;
}

void blk_lazy_detach(struct blk_lazy *lazy)
{
    if (!lazy)
        return;
    assert(lazy->image_users == 0);
    if (lazy->image_fd >= 0)
        close(lazy->image_fd);
    if (lazy->sync_fd >= 0)
        close(lazy->sync_fd);
    stripe_map_destroy(lazy->map);
    pthread_mutex_destroy(&lazy->image_lock);
    free(lazy);
}

uint64_t blk_lazy_stripe_bytes(const struct blk_lazy *lazy, uint32_t stripe)
{
    assert(stripe < lazy->map->stripe_count);
    uint64_t sectors = UINT64_C(1) << lazy->map->sector_count_shift;
    return sectors_to_bytes(min_u64(sectors, lazy->device->capacity - stripe * sectors));
}

static int write_all(int fd, const uint8_t *bytes, uint64_t byte_len, uint64_t byte_offset)
{
    while (byte_len > 0) {
        ssize_t written =
            pwrite(fd, bytes, min_u64(byte_len, IO_TRANSFER_BYTES_MAX), (off_t)byte_offset);
        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0)
            return written < 0 ? -errno : -EIO;
        bytes += written;
        byte_len -= (uint64_t)written;
        byte_offset += (uint64_t)written;
    }
    return 0;
}

int blk_lazy_write_stripe(struct blk_lazy *lazy, uint32_t stripe, void *bytes)
{
    uint64_t sector = (uint64_t)stripe << lazy->map->sector_count_shift;
    uint64_t byte_len = blk_lazy_stripe_bytes(lazy, stripe);
    if (lazy->device->xts)
        xts_encrypt(lazy->device->xts, sector, bytes, bytes, bytes_to_sectors(byte_len));
    return write_all(lazy->device->file.fd, bytes, byte_len, sectors_to_bytes(sector));
}

int blk_lazy_sync(struct blk_lazy *lazy)
{
    if (fdatasync(lazy->sync_fd) == 0)
        return 0;
    int failure = errno;
    blk_device_fsync_failed(lazy->device, failure);
    return -failure;
}

static void close_unused_image(struct blk_lazy *lazy)
{
    if (atomic_load(&lazy->image_dropping) && lazy->image_users == 0 && lazy->image_fd >= 0) {
        close(lazy->image_fd);
        lazy->image_fd = -1;
    }
}

void blk_lazy_drop_image(struct blk_lazy *lazy)
{
    pthread_mutex_lock(&lazy->image_lock);
    atomic_store(&lazy->image_dropping, true);
    close_unused_image(lazy);
    pthread_mutex_unlock(&lazy->image_lock);
    stripe_map_wake_all(lazy->map);
}

int blk_lazy_use_image(struct blk_lazy *lazy)
{
    pthread_mutex_lock(&lazy->image_lock);
    int fd = atomic_load(&lazy->image_dropping) ? -1 : lazy->image_fd;
    lazy->image_users += fd >= 0;
    pthread_mutex_unlock(&lazy->image_lock);
    return fd;
}

void blk_lazy_release_image(struct blk_lazy *lazy)
{
    pthread_mutex_lock(&lazy->image_lock);
    lazy->image_users--;
    close_unused_image(lazy);
    pthread_mutex_unlock(&lazy->image_lock);
}
