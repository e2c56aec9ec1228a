/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * The sticky error: after a failed fsync the kernel may have dropped the dirty pages and would
 * report success the next time, so success of a later fsync proves nothing. The first failure is
 * therefore final until the process ends.
 */
#include "blk_device.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/align.h"
#include "base/sector.h"
#include "blk/blk_lazy.h"

static void device_fill(struct blk_device *device, const struct blk_device_params *params)
{
    device->capacity = bytes_to_sectors(device->file.byte_len);
    memcpy(device->device_id, params->device_id, strlen(params->device_id));
    device->queue_count = params->queue_count;
    device->queue_size = params->queue_size;
    device->seg_size_max = params->seg_size_max;
    device->seg_count_max = params->seg_count_max;
    device->poll_timeout_us = params->poll_timeout_us;
    device->logical_block_size = params->logical_block_size;
    device->bounce_bytes = params->bounce_bytes;
    device->write_through = params->write_through;
    device->io_engine = params->io_engine;
    atomic_init(&device->sticky_errno, 0);
    atomic_init(&device->fsync_failures, 0);
    atomic_init(&device->write_back, !params->write_through);
}

int blk_device_open(const struct blk_device_params *params, struct xts *xts, struct log *log,
                    struct blk_device **out, struct error *error)
{
    assert(params->queue_count >= 1 && params->queue_count <= BLK_QUEUE_COUNT_MAX);
    assert(is_power_of_two(params->queue_size) && params->queue_size <= BLK_QUEUE_SIZE_MAX);
    assert(strlen(params->device_id) <= BLK_DEVICE_ID_BYTES);
    struct blk_device *device = calloc(1, sizeof(*device));
    if (!device)
        return error_set(error, -ENOMEM, "no memory for the device");
    const struct disk_file_params file_params = {
        .path = params->path,
        .direct_io = params->direct_io,
        .logical_block_size = params->logical_block_size,
        .lock_timeout_ms = DISK_LOCK_TIMEOUT_MS,
    };
    int result = disk_file_open(&file_params, log, &device->file, error);
    if (result < 0) {
        free(device);
        return result;
    }
    device->sync_fd = disk_file_open_for_sync(&device->file, error);
    if (device->sync_fd < 0) {
        result = device->sync_fd;
        blk_device_close(device);
        return result;
    }
    device->log = log;
    device_fill(device, params);
    for (uint32_t i = 0; i < params->queue_count; i++) {
        device->stats[i] = queue_stats_create(params->queue_size);
        if (!device->stats[i]) {
            blk_device_close(device);
            return error_set(error, -ENOMEM, "no memory for the statistics of queue %u", i);
        }
    }
    device->xts = xts;
    *out = device;
    return 0;
}

void blk_device_close(struct blk_device *device)
{
    if (!device)
        return;
    blk_lazy_detach(device->lazy);
    for (uint32_t i = 0; i < device->queue_count; i++)
        queue_stats_destroy(device->stats[i]);
    if (device->sync_fd >= 0)
        close(device->sync_fd);
    disk_file_close(&device->file);
    free(device);
}

void blk_device_fsync_failed(struct blk_device *device, int errno_value)
{
    int none = 0;
    atomic_fetch_add(&device->fsync_failures, 1);
    if (atomic_compare_exchange_strong(&device->sticky_errno, &none, errno_value)) {
        char text[128];
        log_write(device->log, LOG_ERROR,
                  "fsync of the disk failed: %s; flushes and write-through writes fail from here "
                  "on until restart",
                  strerror_r(errno_value, text, sizeof(text)));
    }
}

int blk_device_sticky_errno(const struct blk_device *device)
{
    return atomic_load_explicit(&device->sticky_errno, memory_order_relaxed);
}

int blk_device_sync(struct blk_device *device)
{
    int sticky = blk_device_sticky_errno(device);
    if (sticky)
        return -sticky;
    if (fdatasync(device->sync_fd) == 0)
        return -blk_device_sticky_errno(device); /* others may have failed meanwhile */
    int failure = errno;
    blk_device_fsync_failed(device, failure);
    return -failure;
}
