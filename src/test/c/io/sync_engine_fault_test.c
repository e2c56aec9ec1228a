/* SPDX-License-Identifier: AGPL-3.0-only */
/* What the synchronous engine makes of errors, short transfers and interruptions. */
/* wrap: calloc epoll_create1 preadv2 pwritev2 fdatasync ppoll */
#include "io/sync_engine.h"

#include "support/cmocka_test.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/uio.h>
#include <unistd.h>

/* What the wrapped calls do; all zero: what they always do. */
static struct {
    bool calloc_fails;
    bool epoll_fails;
    int transfer_error; /* of the next transfer_failures transfers; 0: nothing is transferred */
    int transfer_failures;
    bool transfers_short;
    int write_flags;
    int transfers;
    int sync_error;
    int syncs;
    int ppoll_error;
    int ppoll_failures;
} fault;

void *__real_calloc(size_t count, size_t byte_len);
void *__wrap_calloc(size_t count, size_t byte_len);
int __real_epoll_create1(int flags);
int __wrap_epoll_create1(int flags);
ssize_t __real_preadv2(int fd, const struct iovec *iov, int count, off_t offset, int flags);
ssize_t __wrap_preadv2(int fd, const struct iovec *iov, int count, off_t offset, int flags);
ssize_t __real_pwritev2(int fd, const struct iovec *iov, int count, off_t offset, int flags);
ssize_t __wrap_pwritev2(int fd, const struct iovec *iov, int count, off_t offset, int flags);
int __real_fdatasync(int fd);
int __wrap_fdatasync(int fd);
int __real_ppoll(struct pollfd *fds, nfds_t count, const struct timespec *timeout,
                 const sigset_t *mask);
int __wrap_ppoll(struct pollfd *fds, nfds_t count, const struct timespec *timeout,
                 const sigset_t *mask);

void *__wrap_calloc(size_t count, size_t byte_len)
{
    return fault.calloc_fails ? NULL : __real_calloc(count, byte_len);
}

int __wrap_epoll_create1(int flags)
{
    if (fault.epoll_fails) {
        errno = EMFILE;
        return -1;
    }
    return __real_epoll_create1(flags);
}

/* Returns true with *ret set when the transfer is to fail. */
static bool fail_transfer(ssize_t *ret)
{
    fault.transfers++;
    if (fault.transfer_failures == 0) {
        return false;
    }
    fault.transfer_failures--;
    errno = fault.transfer_error;
    *ret = fault.transfer_error != 0 ? -1 : 0;
    return true;
}

/* One byte less than half of the first entry, or all of it. */
static struct iovec part_of(const struct iovec *iov)
{
    return (struct iovec){iov->iov_base, iov->iov_len > 8 ? iov->iov_len / 2 - 1 : iov->iov_len};
}

ssize_t __wrap_preadv2(int fd, const struct iovec *iov, int count, off_t offset, int flags)
{
    ssize_t ret;
    struct iovec part = part_of(iov);
    if (fail_transfer(&ret)) {
        return ret;
    }
    return fault.transfers_short ? __real_preadv2(fd, &part, 1, offset, flags)
                                 : __real_preadv2(fd, iov, count, offset, flags);
}

ssize_t __wrap_pwritev2(int fd, const struct iovec *iov, int count, off_t offset, int flags)
{
    ssize_t ret;
    struct iovec part = part_of(iov);
    fault.write_flags = flags;
    if (fail_transfer(&ret)) {
        return ret;
    }
    return fault.transfers_short ? __real_pwritev2(fd, &part, 1, offset, flags)
                                 : __real_pwritev2(fd, iov, count, offset, flags);
}

int __wrap_fdatasync(int fd)
{
    fault.syncs++;
    if (fault.sync_error != 0) {
        errno = fault.sync_error;
        return -1;
    }
    return __real_fdatasync(fd);
}

int __wrap_ppoll(struct pollfd *fds, nfds_t count, const struct timespec *timeout,
                 const sigset_t *mask)
{
    if (fault.ppoll_failures > 0) {
        fault.ppoll_failures--;
        errno = fault.ppoll_error;
        return -1;
    }
    return __real_ppoll(fds, count, timeout, mask);
}

struct fixture {
    int fd;
    struct io_engine_params params;
    struct io_engine *engine;
};

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    struct error error;
    char path[] = "/tmp/ubiblk-sync-fault-XXXXXX";
    f->fd = mkstemp(path);
    unlink(path);
    f->params =
        (struct io_engine_params){.kind = IO_ENGINE_SYNC, .depth = 8, .fds = &f->fd, .fd_count = 1};
    memset(&fault, 0, sizeof(fault));
    assert_int_equal(0, io_engine_create(&f->params, &f->engine, &error));
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    memset(&fault, 0, sizeof(fault));
    io_engine_destroy(f->engine);
    close(f->fd);
    free(f);
    return 0;
}

static int32_t run(struct fixture *f, struct io_op *op)
{
    struct io_op *done = NULL;
    io_engine_prep(f->engine, op);
    assert_int_equal(0, io_engine_submit(f->engine));
    assert_int_equal(1, io_engine_reap(f->engine, &done, 1));
    assert_ptr_equal(op, done);
    return op->result;
}

static int32_t transfer(struct fixture *f, enum io_opcode opcode, uint8_t flags)
{
    static char bytes[4096];
    struct iovec iov = {bytes, sizeof(bytes)};
    struct io_op op = {.opcode = (uint8_t)opcode,
                       .flags = flags,
                       .buffer_index = -1,
                       .iov = &iov,
                       .iov_count = 1,
                       .byte_len = sizeof(bytes)};
    return run(f, &op);
}

static void reports_what_it_cannot_be_made_of(void **state)
{
    struct fixture *f = *state;
    struct error error;
    struct io_engine *engine;
    fault.calloc_fails = true;
    assert_int_equal(-ENOMEM, io_engine_create(&f->params, &engine, &error));
    fault.calloc_fails = false;
    fault.epoll_fails = true;
    assert_int_equal(-EMFILE, io_engine_create(&f->params, &engine, &error));
    assert_non_null(strstr(error.message, "Too many open files"));
}

static void asks_for_durable_writes_only_when_told_to(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(0, transfer(f, IO_WRITEV, 0));
    assert_int_equal(0, fault.write_flags);
    assert_int_equal(0, transfer(f, IO_WRITEV, IO_DSYNC));
    assert_int_equal(RWF_DSYNC, fault.write_flags);
}

static void continues_short_transfers(void **state)
{
    struct fixture *f = *state;
    static char written[9000];
    static char read_back[9000];
    struct iovec out[3] = {{written, 1000}, {written + 1000, 3000}, {written + 4000, 5000}};
    struct iovec in[4] = {
        {read_back, 1}, {read_back + 1, 8}, {read_back + 9, 4991}, {read_back + 5000, 4000}};
    for (size_t i = 0; i < sizeof(written); i++) {
        written[i] = (char)(i * 3 + i / 200);
    }
    fault.transfers_short = true;
    struct io_op op = {.opcode = IO_WRITEV,
                       .buffer_index = -1,
                       .iov = out,
                       .iov_count = 3,
                       .byte_offset = 333,
                       .byte_len = 9000};
    assert_int_equal(0, run(f, &op));
    op = (struct io_op){.opcode = IO_READV,
                        .buffer_index = -1,
                        .iov = in,
                        .iov_count = 4,
                        .byte_offset = 333,
                        .byte_len = 9000};
    assert_int_equal(0, run(f, &op));
    assert_memory_equal(written, read_back, sizeof(written));
    assert_true(fault.transfers > 10);
}

static void tells_errors_from_interruptions(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(0, ftruncate(f->fd, 4096));
    fault.transfer_error = EINTR;
    fault.transfer_failures = 5;
    assert_int_equal(0, transfer(f, IO_WRITEV, 0));
    fault.transfer_failures = 5;
    assert_int_equal(0, transfer(f, IO_READV, 0));
    fault.transfer_failures = 1000;
    assert_int_equal(-EINTR, transfer(f, IO_READV, 0));
    fault.transfer_error = EIO;
    fault.transfer_failures = 1;
    assert_int_equal(-EIO, transfer(f, IO_READV, 0));
    fault.transfer_error = 0;
    fault.transfer_failures = 1;
    assert_int_equal(-EIO, transfer(f, IO_WRITEV, 0));
}

static void never_repeats_a_failed_sync(void **state)
{
    struct fixture *f = *state;
    const int errors[2] = {EIO, EINTR};
    for (int i = 0; i < 2; i++) {
        struct io_op op = {.opcode = IO_FDATASYNC, .buffer_index = -1};
        fault.syncs = 0;
        fault.sync_error = errors[i];
        assert_int_equal(-errors[i], run(f, &op));
        assert_int_equal(1, fault.syncs);
    }
}

static void sleeps_on_after_a_signal_and_reports_other_errors(void **state)
{
    struct fixture *f = *state;
    fault.ppoll_error = EINTR;
    fault.ppoll_failures = 3;
    assert_int_equal(-ETIME, io_engine_wait(f->engine, 10000000));
    assert_int_equal(0, fault.ppoll_failures);
    fault.ppoll_error = EPERM;
    fault.ppoll_failures = 1;
    assert_int_equal(-EPERM, io_engine_wait(f->engine, UINT64_MAX));
}

int main(void)
{
#define WITH_FAULTS(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        WITH_FAULTS(reports_what_it_cannot_be_made_of),
        WITH_FAULTS(asks_for_durable_writes_only_when_told_to),
        WITH_FAULTS(continues_short_transfers),
        WITH_FAULTS(tells_errors_from_interruptions),
        WITH_FAULTS(never_repeats_a_failed_sync),
        WITH_FAULTS(sleeps_on_after_a_signal_and_reports_other_errors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
