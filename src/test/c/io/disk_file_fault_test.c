/* SPDX-License-Identifier: AGPL-3.0-only */
/* File systems and devices as they are elsewhere, and calls that fail. */
/* wrap: stat fstat open ioctl fcntl statx pread posix_memalign ftruncate lseek fsync */
#include "io/disk_file.h"

#include "support/cmocka_test.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* What the wrapped calls do; all zero: what they always do. */
static struct {
    mode_t stat_type; /* instead of the real one */
    mode_t fstat_type;
    int fstat_error;
    int open_error; /* of the next open_failures opens of the disk */
    int open_failures;
    int open_flags;
    int ioctl_error;
    int sector_bytes;
    uint64_t device_bytes;
    int lock_holder; /* 0, or who shortens the disk and closes it once somebody waits for its lock
                      */
    int getfl_error;
    int set_direct_error;
    int clear_direct_error;
    bool told; /* statx reports these two */
    uint32_t told_memory;
    uint32_t told_offset;
    bool untold;       /* statx reports nothing */
    size_t read_align; /* reads need this much, of length and memory */
    int read_error;
    bool memory_short;
    int truncate_error; /* of the truncation after so many that succeed */
    int truncates_before;
    int seek_error;
    int sync_error;
} fault;

int __real_stat(const char *path, struct stat *status);
int __wrap_stat(const char *path, struct stat *status);
int __real_fstat(int fd, struct stat *status);
int __wrap_fstat(int fd, struct stat *status);
int __real_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, mode_t mode);
int __wrap_ioctl(int fd, unsigned long request, void *argument);
int __real_fcntl(int fd, int command, ...);
int __wrap_fcntl(int fd, int command, void *argument);
int __real_statx(int fd, const char *path, int flags, unsigned mask, struct statx *status);
int __wrap_statx(int fd, const char *path, int flags, unsigned mask, struct statx *status);
ssize_t __real_pread(int fd, void *bytes, size_t byte_len, off_t offset);
ssize_t __wrap_pread(int fd, void *bytes, size_t byte_len, off_t offset);
int __real_posix_memalign(void **memory, size_t align, size_t byte_len);
int __wrap_posix_memalign(void **memory, size_t align, size_t byte_len);

int __real_ftruncate(int fd, off_t byte_len);
int __wrap_ftruncate(int fd, off_t byte_len);
off_t __real_lseek(int fd, off_t offset, int whence);
off_t __wrap_lseek(int fd, off_t offset, int whence);
int __real_fsync(int fd);
int __wrap_fsync(int fd);

int __wrap_ftruncate(int fd, off_t byte_len)
{
    if (fault.truncate_error != 0 && fault.truncates_before-- == 0) {
        errno = fault.truncate_error;
        return -1;
    }
    return __real_ftruncate(fd, byte_len);
}

off_t __wrap_lseek(int fd, off_t offset, int whence)
{
    if (fault.seek_error != 0) {
        errno = fault.seek_error;
        return -1;
    }
    return __real_lseek(fd, offset, whence);
}

int __wrap_fsync(int fd)
{
    if (fault.sync_error != 0) {
        errno = fault.sync_error;
        return -1;
    }
    return __real_fsync(fd);
}

static void change_type(struct stat *status, mode_t type)
{
    if (type != 0) {
        status->st_mode = (status->st_mode & ~(mode_t)S_IFMT) | type;
    }
}

int __wrap_stat(const char *path, struct stat *status)
{
    int ret = __real_stat(path, status);
    change_type(status, fault.stat_type);
    return ret;
}

int __wrap_fstat(int fd, struct stat *status)
{
    if (fault.fstat_error != 0) {
        errno = fault.fstat_error;
        return -1;
    }
    int ret = __real_fstat(fd, status);
    change_type(status, fault.fstat_type);
    return ret;
}

int __wrap_open(const char *path, int flags, mode_t mode)
{
    fault.open_flags = flags;
    if (fault.open_failures > 0) {
        fault.open_failures--;
        errno = fault.open_error;
        return -1;
    }
    return __real_open(path, flags, mode);
}

int __wrap_ioctl(int fd, unsigned long request, void *argument)
{
    (void)fd;
    if (fault.ioctl_error != 0) {
        errno = fault.ioctl_error;
        return -1;
    }
    if (request == BLKGETSIZE64) {
        *(uint64_t *)argument = fault.device_bytes;
    } else {
        assert_int_equal(BLKSSZGET, request);
        *(int *)argument = fault.sector_bytes;
    }
    return 0;
}

/* The tool that had the lock is done with the disk. */
static void end_lock_holder(void)
{
    assert_int_equal(0, __real_ftruncate(fault.lock_holder, 32768));
    close(fault.lock_holder);
    fault.lock_holder = 0;
}

static int try_lock(int fd, void *lock)
{
    int ret = __real_fcntl(fd, F_OFD_SETLK, lock);
    int error = errno;
    if (ret != 0 && fault.lock_holder != 0) {
        end_lock_holder();
    }
    errno = error;
    return ret;
}

int __wrap_fcntl(int fd, int command, void *argument)
{
    int error = 0;
    if (command == F_OFD_SETLK) {
        return try_lock(fd, argument);
    }
    if (command == F_GETFL) {
        error = fault.getfl_error;
    } else if (command == F_SETFL) {
        bool direct = ((uintptr_t)argument & O_DIRECT) != 0;
        error = direct ? fault.set_direct_error : fault.clear_direct_error;
    }
    if (error != 0) {
        errno = error;
        return -1;
    }
    return __real_fcntl(fd, command, argument);
}

int __wrap_statx(int fd, const char *path, int flags, unsigned mask, struct statx *status)
{
    int ret = __real_statx(fd, path, flags, mask, status);
    if (fault.told) {
        status->stx_mask |= STATX_DIOALIGN;
        status->stx_dio_mem_align = fault.told_memory;
        status->stx_dio_offset_align = fault.told_offset;
    } else if (fault.untold) {
        status->stx_mask &= ~STATX_DIOALIGN;
    }
    return ret;
}

ssize_t __wrap_pread(int fd, void *bytes, size_t byte_len, off_t offset)
{
    (void)fd;
    (void)offset;
    bool aligned = fault.read_align == 0 ||
                   (byte_len % fault.read_align == 0 && (uintptr_t)bytes % fault.read_align == 0);
    if (fault.read_error != 0 || !aligned) {
        errno = fault.read_error != 0 ? fault.read_error : EINVAL;
        return -1;
    }
    return (ssize_t)byte_len;
}

int __wrap_posix_memalign(void **memory, size_t align, size_t byte_len)
{
    return fault.memory_short ? ENOMEM : __real_posix_memalign(memory, align, byte_len);
}

struct fixture {
    char path[64];
    struct disk_file_params params;
    struct disk_file file;
    struct log *log;
    struct error error;
};

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    memset(&fault, 0, sizeof(fault));
    snprintf(f->path, sizeof(f->path), "/tmp/ubiblk-disk-fault-XXXXXX");
    int fd = mkostemp(f->path, O_CLOEXEC);
    assert_int_equal(0, ftruncate(fd, 65536));
    close(fd);
    f->params = (struct disk_file_params){.path = f->path, .logical_block_size = 512};
    f->log = log_create(LOG_WARN, 8);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    log_destroy(f->log);
    unlink(f->path);
    free(f);
    return 0;
}

static void open_it(struct fixture *f, bool direct, uint32_t offset_align, uint32_t memory_align)
{
    int ret = disk_file_open(&f->params, f->log, &f->file, &f->error);
    if (ret != 0) {
        fail_msg("%s", f->error.message);
    }
    assert_int_equal(direct, f->file.direct);
    assert_int_equal(direct, (fcntl(f->file.fd, F_GETFL, NULL) & O_DIRECT) != 0);
    assert_int_equal(offset_align, f->file.offset_align);
    assert_int_equal(memory_align, f->file.memory_align);
    disk_file_close(&f->file);
}

static void expect_warning(struct fixture *f, const char *words)
{
    struct log_record record;
    assert_int_equal(1, log_wait(f->log, &record, 0));
    assert_int_equal(LOG_WARN, record.level);
    assert_non_null(strstr(record.message, f->path));
    if (strstr(record.message, words) == NULL) {
        fail_msg("\"%s\" says nothing of \"%s\"", record.message, words);
    }
    assert_int_equal(0, log_wait(f->log, &record, 0));
}

static void refuse(struct fixture *f, int code, const char *words)
{
    assert_int_equal(code, disk_file_open(&f->params, f->log, &f->file, &f->error));
    if (strstr(f->error.message, f->path) == NULL || strstr(f->error.message, words) == NULL) {
        fail_msg("\"%s\" says nothing of \"%s\"", f->error.message, words);
    }
}

static void takes_the_alignment_that_the_kernel_reports(void **state)
{
    struct fixture *f = *state;
    fault.told = true;
    fault.told_memory = 4;
    fault.told_offset = 512;
    open_it(f, true, 512, 4);
    fault.told_offset = 4096;
    f->params.logical_block_size = 4096;
    open_it(f, true, 4096, 4);
}

static void uses_the_page_cache_where_direct_offsets_would_be_too_coarse(void **state)
{
    struct fixture *f = *state;
    fault.told = true;
    fault.told_memory = 512;
    fault.told_offset = 4096;
    open_it(f, false, 1, 1);
    expect_warning(f, "4096 bytes, more than the logical_block_size of 512");
    f->params.direct_io = DIRECT_IO_TRUE;
    refuse(f, -EOPNOTSUPP, "direct_io: true is impossible");
    f->params.direct_io = DIRECT_IO_FALSE;
    open_it(f, false, 1, 1);
    struct log_record record;
    assert_int_equal(0, log_wait(f->log, &record, 0)); /* asked for, so no warning */
}

static void uses_the_page_cache_where_there_is_no_direct_io(void **state)
{
    struct fixture *f = *state;
    fault.told = true; /* with alignments of 0: none */
    open_it(f, false, 1, 1);
    expect_warning(f, "no direct I/O");
    f->params.direct_io = DIRECT_IO_TRUE;
    refuse(f, -EOPNOTSUPP, "no direct I/O");
    f->params.direct_io = DIRECT_IO_AUTO;
    fault.told = false;
    fault.untold = true;
    fault.set_direct_error = EINVAL;
    open_it(f, false, 1, 1);
    expect_warning(f, "no direct I/O");
}

static void tries_reads_where_the_kernel_does_not_report(void **state)
{
    struct fixture *f = *state;
    fault.untold = true;
    fault.read_align = 512;
    open_it(f, true, 512, 512);
    fault.read_align = 4096;
    open_it(f, false, 1, 1);
    expect_warning(f, "4096");
    f->params.logical_block_size = 4096;
    open_it(f, true, 4096, 4096);
    fault.read_align = 1 << 20;
    open_it(f, false, 1, 1);
    expect_warning(f, "no direct I/O");
    fault.read_error = EIO;
    open_it(f, false, 1, 1);
    expect_warning(f, "no direct I/O");
}

static void reports_calls_that_fail_while_learning_about_direct_io(void **state)
{
    struct fixture *f = *state;
    fault.untold = true;
    fault.memory_short = true;
    refuse(f, -ENOMEM, "cannot learn about direct I/O");
    fault.memory_short = false;
    fault.getfl_error = EBADF;
    refuse(f, -EBADF, "cannot learn about direct I/O");
    fault.getfl_error = 0;
    fault.set_direct_error = EPERM;
    refuse(f, -EPERM, "cannot learn about direct I/O");
    fault.set_direct_error = 0;
    fault.read_align = 4096;
    fault.clear_direct_error = EPERM;
    refuse(f, -EPERM, "cannot clear O_DIRECT");
}

static void claims_a_block_device_and_measures_it(void **state)
{
    struct fixture *f = *state;
    fault.stat_type = S_IFBLK;
    fault.fstat_type = S_IFBLK;
    fault.device_bytes = 12345 * 512;
    fault.sector_bytes = 512;
    f->params.direct_io = DIRECT_IO_FALSE;
    assert_int_equal(0, disk_file_open(&f->params, f->log, &f->file, &f->error));
    assert_true(f->file.block_device);
    assert_int_equal(12345 * 512, f->file.byte_len);
    assert_int_equal(O_EXCL, fault.open_flags & O_EXCL);
    disk_file_close(&f->file);
    fault.sector_bytes = 4096;
    refuse(f, -EINVAL, "4096 bytes, more than the logical_block_size of 512");
    fault.ioctl_error = EIO;
    refuse(f, -EIO, "cannot learn the size");
}

static void waits_for_a_device_that_is_claimed(void **state)
{
    struct fixture *f = *state;
    f->params.lock_timeout_ms = 5000;
    fault.open_error = EBUSY;
    fault.open_failures = 3;
    assert_int_equal(0, disk_file_open(&f->params, f->log, &f->file, &f->error));
    disk_file_close(&f->file);
    f->params.lock_timeout_ms = 0;
    fault.open_failures = 1;
    refuse(f, -EBUSY, "is in use: mounted");
}

static void learns_the_length_once_the_lock_is_its_own(void **state)
{
    struct fixture *f = *state;
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    f->params.lock_timeout_ms = 5000;
    f->params.access = DISK_UPDATE;
    fault.lock_holder = open(f->path, O_RDWR | O_CLOEXEC);
    assert_int_equal(0, __real_fcntl(fault.lock_holder, F_OFD_SETLK, &lock));
    assert_int_equal(0, disk_file_open(&f->params, f->log, &f->file, &f->error));
    assert_int_equal(0, fault.lock_holder);
    assert_int_equal(32768, f->file.byte_len);
    disk_file_close(&f->file);
}

static void reports_a_file_that_cannot_be_opened(void **state)
{
    struct fixture *f = *state;
    fault.open_error = EROFS;
    fault.open_failures = 1;
    refuse(f, -EROFS, "Read-only file system");
    fault.fstat_error = EIO;
    refuse(f, -EIO, "Input/output error");
    fault.fstat_error = 0;
    fault.fstat_type = S_IFBLK;
    refuse(f, -EAGAIN, "was replaced");
    f->params.access = DISK_CREATE;
    fault.fstat_error = EIO;
    unlink(f->path);
    refuse(f, -EIO, "cannot learn the size");
}

static void reports_a_length_that_cannot_be_had(void **state)
{
    struct fixture *f = *state;
    f->params.access = DISK_CREATE;
    f->params.create_byte_len = 1024;
    for (int before = 0; before < 2; before++) {
        fault.truncate_error = EFBIG;
        fault.truncates_before = before;
        refuse(f, -EFBIG, "1024 bytes long");
    }
}

static void where_nothing_is_known_of_holes_there_are_none(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(0, disk_file_open(&f->params, f->log, &f->file, &f->error));
    fault.seek_error = EINVAL;
    assert_int_equal(512, disk_file_next_data(&f->file, 512));
    assert_int_equal(f->file.byte_len, disk_file_next_hole(&f->file, 512));
    fault.seek_error = EIO;
    assert_int_equal(-EIO, disk_file_next_data(&f->file, 512));
    assert_int_equal(-EIO, disk_file_next_hole(&f->file, 512));
    disk_file_close(&f->file);
}

static void reports_a_sync_that_failed(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(0, disk_file_open(&f->params, f->log, &f->file, &f->error));
    assert_int_equal(0, disk_file_sync(&f->file));
    fault.sync_error = EIO;
    assert_int_equal(-EIO, disk_file_sync(&f->file));
    disk_file_close(&f->file);
}

int main(void)
{
#define WITH_FILE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        WITH_FILE(takes_the_alignment_that_the_kernel_reports),
        WITH_FILE(uses_the_page_cache_where_direct_offsets_would_be_too_coarse),
        WITH_FILE(uses_the_page_cache_where_there_is_no_direct_io),
        WITH_FILE(tries_reads_where_the_kernel_does_not_report),
        WITH_FILE(reports_calls_that_fail_while_learning_about_direct_io),
        WITH_FILE(claims_a_block_device_and_measures_it),
        WITH_FILE(waits_for_a_device_that_is_claimed),
        WITH_FILE(learns_the_length_once_the_lock_is_its_own),
        WITH_FILE(reports_a_file_that_cannot_be_opened),
        WITH_FILE(reports_a_length_that_cannot_be_had),
        WITH_FILE(where_nothing_is_known_of_holes_there_are_none),
        WITH_FILE(reports_a_sync_that_failed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
