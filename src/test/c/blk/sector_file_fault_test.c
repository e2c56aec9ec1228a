/* SPDX-License-Identifier: AGPL-3.0-only */
/* System calls that are cut short, interrupted or fail. */
/* wrap: open fstat fcntl pread pwrite fsync */
#include "blk/sector_file.h"

#include "support/cmocka_test.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/sector.h"

/* What the wrapped calls do; all zero: what they always do. */
static struct {
    int open_error; /* of the open after so many that succeed */
    int opens_before;
    int fstat_error;
    mode_t fstat_type; /* instead of the real one */
    int lock_error;
    size_t transfer_max; /* bytes of one transfer; 0: all */
    int interrupts;      /* transfers that EINTR ends before they begin */
    int transfer_error;  /* of the transfer after so many that succeed */
    int transfers_before;
    bool stuck; /* writes of nothing */
    int fsync_error;
    int fsyncs;
} fault;

int __real_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, mode_t mode);
int __real_fstat(int fd, struct stat *status);
int __wrap_fstat(int fd, struct stat *status);
int __real_fcntl(int fd, int command, ...);
int __wrap_fcntl(int fd, int command, void *argument);
ssize_t __real_pread(int fd, void *bytes, size_t byte_len, off_t offset);
ssize_t __wrap_pread(int fd, void *bytes, size_t byte_len, off_t offset);
ssize_t __real_pwrite(int fd, const void *bytes, size_t byte_len, off_t offset);
ssize_t __wrap_pwrite(int fd, const void *bytes, size_t byte_len, off_t offset);
int __real_fsync(int fd);
int __wrap_fsync(int fd);

int __wrap_open(const char *path, int flags, mode_t mode)
{
    if (fault.open_error != 0 && fault.opens_before-- == 0) {
        errno = fault.open_error;
        return -1;
    }
    return __real_open(path, flags, mode);
}

int __wrap_fstat(int fd, struct stat *status)
{
    if (fault.fstat_error != 0) {
        errno = fault.fstat_error;
        return -1;
    }
    int ret = __real_fstat(fd, status);
    if (fault.fstat_type != 0) {
        status->st_mode = (status->st_mode & ~(mode_t)S_IFMT) | fault.fstat_type;
    }
    return ret;
}

int __wrap_fcntl(int fd, int command, void *argument)
{
    if (command == F_OFD_SETLK && fault.lock_error != 0) {
        errno = fault.lock_error;
        return -1;
    }
    return __real_fcntl(fd, command, argument);
}

/* Whether the transfer goes on, with *byte_len cut; else errno is set. */
static bool transfer_goes(size_t *byte_len)
{
    if (fault.interrupts > 0) {
        fault.interrupts--;
        errno = EINTR;
        return false;
    }
    if (fault.transfer_error != 0 && fault.transfers_before-- == 0) {
        errno = fault.transfer_error;
        return false;
    }
    if (fault.transfer_max != 0 && *byte_len > fault.transfer_max) {
        *byte_len = fault.transfer_max;
    }
    return true;
}

ssize_t __wrap_pread(int fd, void *bytes, size_t byte_len, off_t offset)
{
    return transfer_goes(&byte_len) ? __real_pread(fd, bytes, byte_len, offset) : -1;
}

ssize_t __wrap_pwrite(int fd, const void *bytes, size_t byte_len, off_t offset)
{
    if (fault.stuck) {
        return 0;
    }
    return transfer_goes(&byte_len) ? __real_pwrite(fd, bytes, byte_len, offset) : -1;
}

int __wrap_fsync(int fd)
{
    fault.fsyncs++;
    if (fault.fsync_error != 0) {
        errno = fault.fsync_error;
        return -1;
    }
    return __real_fsync(fd);
}

struct fixture {
    char path[64];
    struct xts *xts;
    struct sector_file file;
    struct error error;
    uint8_t bytes[100 * SECTOR_BYTES];
    uint8_t again[100 * SECTOR_BYTES];
};

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    const uint8_t data_key[XTS_KEY_BYTES] = {1};
    const uint8_t tweak_key[XTS_KEY_BYTES] = {2};
    memset(&fault, 0, sizeof(fault));
    assert_int_equal(0, xts_create(data_key, tweak_key, XTS_ENGINE_AUTO, NULL, &f->xts, &f->error));
    snprintf(f->path, sizeof(f->path), "/tmp/ubiblk-sector-fault-XXXXXX");
    close(mkostemp(f->path, O_CLOEXEC));
    for (size_t i = 0; i < sizeof(f->bytes); i++) {
        f->bytes[i] = (uint8_t)(i * 13);
    }
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    sector_file_close(&f->file);
    memset(&fault, 0, sizeof(fault));
    unlink(f->path);
    xts_destroy(f->xts);
    free(f);
    return 0;
}

static void open_it(struct fixture *f, struct xts *xts)
{
    assert_int_equal(
        0, sector_file_open(f->path, SECTOR_FILE_CREATE, 0, xts, NULL, &f->file, &f->error));
}

/* The lowest number that is free: the same afterwards as before if nothing stayed open. */
static int free_fd(void)
{
    int fd = __real_open("/dev/null", O_RDONLY | O_CLOEXEC);
    close(fd);
    return fd;
}

/* Expects a refusal with the words in its sentence, and nothing left open. */
static void refuse(struct fixture *f, enum sector_file_mode mode, int code, const char *words)
{
    struct sector_file file;
    int fd = free_fd();
    assert_int_equal(code, sector_file_open(f->path, mode, 0, NULL, NULL, &file, &f->error));
    assert_int_equal(fd, free_fd());
    if (strstr(f->error.message, f->path) == NULL || strstr(f->error.message, words) == NULL) {
        fail_msg("\"%s\" says nothing of \"%s\"", f->error.message, words);
    }
}

static void reports_an_open_that_fails(void **state)
{
    struct fixture *f = *state;
    fault.open_error = EACCES;
    refuse(f, SECTOR_FILE_READ, -EACCES, "for reading: Permission denied");
    fault.opens_before = 0;
    refuse(f, SECTOR_FILE_UPDATE, -EACCES, "for reading and writing: Permission denied");
    fault.opens_before = 0;
    refuse(f, SECTOR_FILE_CREATE, -EACCES, "cannot create");
    fault.opens_before = 1; /* it is there, but then cannot be opened */
    refuse(f, SECTOR_FILE_CREATE, -EACCES, "cannot open");
}

static void reports_a_file_that_cannot_be_looked_at(void **state)
{
    struct fixture *f = *state;
    fault.fstat_error = ESTALE;
    refuse(f, SECTOR_FILE_READ, -ESTALE, "Stale file handle");
    fault.fstat_error = 0;
    open_it(f, NULL);
    fault.fstat_error = ESTALE;
    assert_int_equal(-ESTALE, sector_file_byte_len(&f->file));
}

static void refuses_what_was_replaced_while_it_was_opened(void **state)
{
    struct fixture *f = *state;
    fault.fstat_type = S_IFCHR;
    refuse(f, SECTOR_FILE_UPDATE, -EINVAL, "is not a regular file");
}

static void reports_a_file_system_without_locks(void **state)
{
    struct fixture *f = *state;
    fault.lock_error = ENOLCK;
    refuse(f, SECTOR_FILE_UPDATE, -ENOLCK, "cannot lock");
    refuse(f, SECTOR_FILE_CREATE, -ENOLCK, "cannot lock");
}

static void transfer(struct fixture *f, struct xts *xts)
{
    open_it(f, xts);
    fault.transfer_max = 700; /* sectors are cut as well */
    fault.interrupts = 2;
    assert_int_equal(0, sector_file_write(&f->file, 1, f->bytes, 100));
    fault.interrupts = 2;
    assert_int_equal(0, sector_file_read(&f->file, 1, f->again, 100));
    assert_int_equal(0, fault.interrupts);
    assert_memory_equal(f->bytes, f->again, sizeof(f->bytes));
}

static void short_and_interrupted_transfers_go_on(void **state)
{
    transfer(*state, NULL);
}

static void short_and_interrupted_transfers_go_on_enciphered(void **state)
{
    struct fixture *f = *state;
    transfer(f, f->xts);
}

static void transfers_that_fail_say_so(void **state)
{
    struct fixture *f = *state;
    for (int enciphered = 0; enciphered < 2; enciphered++) {
        open_it(f, enciphered ? f->xts : NULL);
        assert_int_equal(0, sector_file_write(&f->file, 0, f->bytes, 100));
        fault.transfer_max = 1000;
        fault.transfer_error = ENOSPC;
        fault.transfers_before = 40; /* in the second part of what is enciphered */
        assert_int_equal(-ENOSPC, sector_file_write(&f->file, 0, f->bytes, 100));
        fault.transfer_error = EIO;
        fault.transfers_before = 3;
        assert_int_equal(-EIO, sector_file_read(&f->file, 0, f->again, 100));
        fault.transfer_error = 0;
        fault.stuck = true;
        assert_int_equal(-EIO, sector_file_write(&f->file, 0, f->bytes, 100));
        fault.stuck = false;
        sector_file_close(&f->file);
    }
}

static void a_sync_that_fails_is_tried_once(void **state)
{
    struct fixture *f = *state;
    const int errors[] = {EIO, EINTR, ENOSPC};
    open_it(f, NULL);
    for (int i = 0; i < 3; i++) {
        fault.fsyncs = 0;
        fault.fsync_error = errors[i];
        assert_int_equal(-errors[i], sector_file_sync(&f->file));
        assert_int_equal(1, fault.fsyncs);
        assert_int_equal(-errors[i], sector_file_sync_directory(f->path));
        assert_int_equal(2, fault.fsyncs);
    }
}

int main(void)
{
#define WITH_FILE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        WITH_FILE(reports_an_open_that_fails),
        WITH_FILE(reports_a_file_that_cannot_be_looked_at),
        WITH_FILE(refuses_what_was_replaced_while_it_was_opened),
        WITH_FILE(reports_a_file_system_without_locks),
        WITH_FILE(short_and_interrupted_transfers_go_on),
        WITH_FILE(short_and_interrupted_transfers_go_on_enciphered),
        WITH_FILE(transfers_that_fail_say_so),
        WITH_FILE(a_sync_that_fails_is_tried_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
