/* SPDX-License-Identifier: AGPL-3.0-only */
/* A disk from open to close, and what a failed fsync does to it. */
/* wrap: fdatasync calloc aligned_alloc */
#include "blk/blk_device.h"

#include "support/cmocka_test.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "support/aborts.h"

static int fdatasync_errno;
static int fdatasync_fd; /* of the last call */
static uint32_t fdatasync_count;
static struct blk_device *failing_meanwhile; /* another thread is told of lost data first */
static bool calloc_fails;
static uint32_t aligned_alloc_countdown;

int __wrap_fdatasync(int fd);
void *__real_calloc(size_t count, size_t byte_len);
void *__wrap_calloc(size_t count, size_t byte_len);
void *__real_aligned_alloc(size_t alignment, size_t byte_len);
void *__wrap_aligned_alloc(size_t alignment, size_t byte_len);

int __wrap_fdatasync(int fd)
{
    assert_true(fd >= 0);
    fdatasync_fd = fd;
    fdatasync_count++;
    if (failing_meanwhile) {
        blk_device_fsync_failed(failing_meanwhile, EIO);
    }
    errno = fdatasync_errno;
    return fdatasync_errno ? -1 : 0;
}

void *__wrap_calloc(size_t count, size_t byte_len)
{
    return calloc_fails ? NULL : __real_calloc(count, byte_len);
}

void *__wrap_aligned_alloc(size_t alignment, size_t byte_len)
{
    if (aligned_alloc_countdown > 0 && --aligned_alloc_countdown == 0) {
        return NULL;
    }
    return __real_aligned_alloc(alignment, byte_len);
}

enum { DISK_BYTES = 1 << 20 };

struct fixture {
    char path[64];
    struct log *log;
    struct blk_device_params params;
    struct error error;
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    assert_non_null(f);
    snprintf(f->path, sizeof(f->path), "/tmp/blk-device-test-XXXXXX");
    int fd = mkstemp(f->path);
    assert_true(fd >= 0);
    assert_int_equal(0, ftruncate(fd, DISK_BYTES));
    close(fd);
    f->log = log_create(LOG_INFO, 16);
    f->params = (struct blk_device_params){
        .path = f->path,
        .device_id = "vol-1",
        .queue_count = 2,
        .queue_size = 128,
        .seg_size_max = 65536,
        .seg_count_max = 4,
        .poll_timeout_us = 500,
        .logical_block_size = 512,
        .bounce_bytes = 4 << 20,
        .direct_io = DIRECT_IO_FALSE,
        .io_engine = IO_ENGINE_SYNC,
    };
    fdatasync_errno = 0;
    fdatasync_count = 0;
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    unlink(f->path);
    log_destroy(f->log);
    free(f);
    return 0;
}

static struct blk_device *open_device(struct fixture *f)
{
    struct blk_device *device = NULL;
    assert_int_equal(0, blk_device_open(&f->params, NULL, f->log, &device, &f->error));
    assert_non_null(device);
    return device;
}

static void takes_geometry_and_limits_from_file_and_parameters(void **state)
{
    struct fixture *f = *state;
    struct blk_device *device = open_device(f);
    assert_int_equal(DISK_BYTES / 512, device->capacity);
    assert_int_equal(2, device->queue_count);
    assert_int_equal(128, device->queue_size);
    assert_int_equal(65536, device->seg_size_max);
    assert_int_equal(4, device->seg_count_max);
    assert_int_equal(500, device->poll_timeout_us);
    assert_int_equal(512, device->logical_block_size);
    assert_int_equal(4 << 20, device->bounce_bytes);
    assert_int_equal(IO_ENGINE_SYNC, device->io_engine);
    assert_true(atomic_load(&device->write_back));
    assert_int_equal(0, blk_device_sticky_errno(device));
    assert_memory_equal("vol-1\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", device->device_id, 20);
    assert_non_null(device->stats[0]);
    assert_non_null(device->stats[1]);
    assert_null(device->stats[2]);
    assert_null(device->xts);
    blk_device_close(device);
}

static void starts_without_a_cache_when_it_writes_through(void **state)
{
    struct fixture *f = *state;
    f->params.write_through = true;
    f->params.device_id = "exactly-twenty-bytes";
    struct blk_device *device = open_device(f);
    assert_true(device->write_through);
    assert_false(atomic_load(&device->write_back));
    assert_memory_equal("exactly-twenty-bytes", device->device_id, 20);
    blk_device_close(device);
    blk_device_close(NULL);
}

static struct xts *make_cipher(void)
{
    const uint8_t data_key[XTS_KEY_BYTES] = {1};
    const uint8_t tweak_key[XTS_KEY_BYTES] = {2};
    struct xts *xts = NULL;
    assert_int_equal(0, xts_create(data_key, tweak_key, XTS_ENGINE_AUTO, NULL, &xts, NULL));
    return xts;
}

static void keeps_the_cipher_and_leaves_it_to_the_caller(void **state)
{
    struct fixture *f = *state;
    struct blk_device *device = NULL;
    struct xts *xts = make_cipher();
    f->params.path = "/nonexistent/disk";
    assert_int_equal(-ENOENT, blk_device_open(&f->params, xts, f->log, &device, &f->error));
    assert_null(device);
    assert_non_null(strstr(f->error.message, "/nonexistent/disk"));
    f->params.path = f->path;
    aligned_alloc_countdown = 2;
    assert_int_equal(-ENOMEM, blk_device_open(&f->params, xts, f->log, &device, &f->error));
    assert_null(device);
    assert_non_null(strstr(f->error.message, "queue 1"));
    assert_int_equal(0, blk_device_open(&f->params, xts, f->log, &device, &f->error));
    assert_ptr_equal(xts, device->xts);
    blk_device_close(device);
    xts_destroy(xts);
}

static void reports_that_memory_is_short(void **state)
{
    struct fixture *f = *state;
    struct blk_device *device = NULL;
    calloc_fails = true;
    int result = blk_device_open(&f->params, NULL, f->log, &device, &f->error);
    calloc_fails = false;
    assert_int_equal(-ENOMEM, result);
    assert_int_equal(-ENOMEM, f->error.code);
    assert_null(device);
}

static void open_with(void *argument)
{
    struct fixture *f = argument;
    struct blk_device *device;
    blk_device_open(&f->params, NULL, f->log, &device, &f->error);
}

static void asserts_the_ranges_of_the_configuration(void **state)
{
    struct fixture *f = *state;
    const struct blk_device_params good = f->params;
    assert_false(call_aborts(open_with, f));
    f->params.queue_count = 0;
    assert_true(call_aborts(open_with, f));
    f->params.queue_count = BLK_QUEUE_COUNT_MAX + 1;
    assert_true(call_aborts(open_with, f));
    f->params = good;
    f->params.queue_size = 100;
    assert_true(call_aborts(open_with, f));
    f->params.queue_size = 2 * BLK_QUEUE_SIZE_MAX;
    assert_true(call_aborts(open_with, f));
    f->params = good;
    f->params.device_id = "more-than-twenty-bytes";
    assert_true(call_aborts(open_with, f));
}

static void syncs_the_disk(void **state)
{
    struct fixture *f = *state;
    struct blk_device *device = open_device(f);
    const uint32_t before = fdatasync_count;
    assert_int_equal(0, blk_device_sync(device));
    assert_int_equal(0, blk_device_sync(device));
    assert_int_equal(before + 2, fdatasync_count);
    blk_device_close(device);
}

/* The kernel tells a description of lost data once: not that through which others write durably. */
static void syncs_through_a_description_of_its_own(void **state)
{
    struct fixture *f = *state;
    struct blk_device *device = open_device(f);
    struct stat disk, synced;
    assert_int_equal(0, blk_device_sync(device));
    assert_int_equal(0, fstat(device->file.fd, &disk));
    assert_int_equal(0, fstat(fdatasync_fd, &synced));
    assert_int_equal(disk.st_ino, synced.st_ino);
    assert_int_equal(512, lseek(fdatasync_fd, 512, SEEK_SET)); /* another position: not a copy */
    assert_int_equal(0, lseek(device->file.fd, 0, SEEK_CUR));
    const int fd = fdatasync_fd;
    blk_device_close(device);
    assert_int_equal(-1, fcntl(fd, F_GETFD));
}

static void believes_no_sync_during_which_another_failed(void **state)
{
    struct fixture *f = *state;
    struct blk_device *device = open_device(f);
    failing_meanwhile = device;
    assert_int_equal(-EIO, blk_device_sync(device));
    failing_meanwhile = NULL;
    blk_device_close(device);
}

static void never_syncs_again_after_a_failure(void **state)
{
    struct fixture *f = *state;
    struct blk_device *device = open_device(f);
    struct log_record record;
    while (log_wait(f->log, &record, 0) == 1) {
    }
    fdatasync_errno = EIO;
    const uint32_t before = fdatasync_count;
    assert_int_equal(-EIO, blk_device_sync(device));
    fdatasync_errno = 0;
    assert_int_equal(-EIO, blk_device_sync(device));
    assert_int_equal(before + 1, fdatasync_count);
    assert_int_equal(EIO, blk_device_sticky_errno(device));
    assert_int_equal(1, log_wait(f->log, &record, 0));
    assert_int_equal(LOG_ERROR, record.level);
    assert_int_equal(0, log_wait(f->log, &record, 0));
    blk_device_close(device);
}

static void keeps_and_logs_the_first_failure_only(void **state)
{
    struct fixture *f = *state;
    struct blk_device *device = open_device(f);
    struct log_record record;
    while (log_wait(f->log, &record, 0) == 1) {
    }
    blk_device_fsync_failed(device, ENOSPC);
    blk_device_fsync_failed(device, EIO);
    assert_int_equal(ENOSPC, blk_device_sticky_errno(device));
    assert_int_equal(-ENOSPC, blk_device_sync(device));
    assert_int_equal(1, log_wait(f->log, &record, 0));
    assert_non_null(strstr(record.message, "No space left"));
    assert_int_equal(0, log_wait(f->log, &record, 0));
    blk_device_close(device);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(takes_geometry_and_limits_from_file_and_parameters),
        TEST(starts_without_a_cache_when_it_writes_through),
        TEST(keeps_the_cipher_and_leaves_it_to_the_caller),
        TEST(reports_that_memory_is_short),
        TEST(asserts_the_ranges_of_the_configuration),
        TEST(syncs_the_disk),
        TEST(syncs_through_a_description_of_its_own),
        TEST(believes_no_sync_during_which_another_failed),
        TEST(never_syncs_again_after_a_failure),
        TEST(keeps_and_logs_the_first_failure_only),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
