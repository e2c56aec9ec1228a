/* SPDX-License-Identifier: AGPL-3.0-only */
#include "support/test_device.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { BYTES_DEFAULT = 1 << 20, QUEUE_SIZE_DEFAULT = 16, LOG_LINES = 64 };

static uint64_t or_default(uint64_t value, uint64_t otherwise)
{
    return value != 0 ? value : otherwise;
}

static void make_file(struct test_device *test, uint64_t byte_len)
{
    int fd = memfd_create("test-disk", MFD_CLOEXEC);
    assert(fd >= 0);
    int result = ftruncate(fd, (off_t)byte_len);
    assert(result == 0);
    test->disk = mmap(NULL, byte_len, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd, 0);
    assert(test->disk != MAP_FAILED);
    test->device.file = (struct disk_file){.fd = fd, .byte_len = byte_len, .offset_align = 1};
    test->device.sync_fd = fd;
}

static struct xts *make_cipher(void)
{
    uint8_t data_key[XTS_KEY_BYTES];
    uint8_t tweak_key[XTS_KEY_BYTES];
    memset(data_key, 0x11, sizeof(data_key));
    memset(tweak_key, 0x22, sizeof(tweak_key));
    struct xts *xts = NULL;
    int result = xts_create(data_key, tweak_key, XTS_ENGINE_AUTO, NULL, &xts, NULL);
    assert(result == 0);
    return xts;
}

struct test_device *test_device_create(const struct test_device_params *params)
{
    struct test_device *test = calloc(1, sizeof(*test));
    assert(test);
    struct blk_device *device = &test->device;
    make_file(test, or_default(params->byte_len, BYTES_DEFAULT));
    test->log = log_create(LOG_INFO, LOG_LINES);
    assert(test->log);
    device->log = test->log;
    device->capacity = device->file.byte_len / 512;
    device->file.memory_align = (uint32_t)or_default(params->memory_align, 1);
    device->file.offset_align = device->file.memory_align;
    device->queue_count = (uint32_t)or_default(params->queue_count, 1);
    device->queue_size = (uint32_t)or_default(params->queue_size, QUEUE_SIZE_DEFAULT);
    device->seg_size_max = 65536;
    device->seg_count_max = 4;
    device->logical_block_size = (uint32_t)or_default(params->logical_block_size, 512);
    device->bounce_bytes = or_default(params->bounce_bytes, BYTES_DEFAULT);
    device->poll_timeout_us = params->poll_timeout_us;
    device->write_through = params->write_through;
    device->io_engine = params->sync_engine ? IO_ENGINE_SYNC : IO_ENGINE_URING;
    memcpy(device->device_id, "test-disk", 9);
    atomic_init(&device->sticky_errno, 0);
    atomic_init(&device->write_back, !params->write_through);
    device->xts = params->encrypted ? make_cipher() : NULL;
    for (uint32_t i = 0; i < device->queue_count; i++) {
        device->stats[i] = queue_stats_create(device->queue_size);
        assert(device->stats[i]);
    }
    return test;
}

void test_device_destroy(struct test_device *test)
{
    struct blk_device *device = &test->device;
    for (uint32_t i = 0; i < device->queue_count; i++) {
        queue_stats_destroy(device->stats[i]);
    }
    xts_destroy(device->xts);
    log_destroy(test->log);
    munmap(test->disk, device->file.byte_len);
    close(device->file.fd);
    free(test);
}

bool test_device_logged(struct test_device *test, const char *text)
{
    struct log_record record;
    return log_wait(test->log, &record, 0) == 1 && strstr(record.message, text) != NULL;
}
