/* SPDX-License-Identifier: AGPL-3.0-only */
/* What the io_uring engine makes of refusals, shortages and short transfers. */
/* wrap: calloc io_uring_queue_init_params io_uring_submit io_uring_submit_and_wait_timeout */
/* wrap: io_uring_register_files io_uring_register_buffers io_uring_enable_rings */
/* wrap: io_uring_peek_batch_cqe io_uring_unregister_files */
#include "io/uring_engine.h"

#include "support/cmocka_test.h"

#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"

enum { DEPTH = 8, BYTES = 65536 };

static const uint64_t SHORT_NS = 20000000u;

/* What the wrapped calls do; all zero: what they always do. */
static struct {
    bool calloc_fails;
    int setup_result;
    int setup_refusals; /* so many set-ups fail with EINVAL */
    int setups;
    unsigned setup_flags;
    unsigned features_missing;
    unsigned entries; /* so many instead of what was asked for */
    int files_result;
    int buffers_result;
    int enable_result;
    int submit_result; /* of the next submit_failures submits and waits */
    int submit_failures;
    int submits;
    int files_taken_out;
    bool transfers_short;
    bool polls_once;
    int polls;
    int syncs;
    int32_t cqe_result; /* of the next cqe_failures transfers or syncs */
    int cqe_failures;
} fault;

void *__real_calloc(size_t count, size_t byte_len);
void *__wrap_calloc(size_t count, size_t byte_len);
int __real_io_uring_queue_init_params(unsigned entries, struct io_uring *ring,
                                      struct io_uring_params *params);
int __wrap_io_uring_queue_init_params(unsigned entries, struct io_uring *ring,
                                      struct io_uring_params *params);
int __real_io_uring_submit(struct io_uring *ring);
int __wrap_io_uring_submit(struct io_uring *ring);
int __real_io_uring_submit_and_wait_timeout(struct io_uring *ring, struct io_uring_cqe **cqe,
                                            unsigned count, struct __kernel_timespec *timeout,
                                            sigset_t *mask);
int __wrap_io_uring_submit_and_wait_timeout(struct io_uring *ring, struct io_uring_cqe **cqe,
                                            unsigned count, struct __kernel_timespec *timeout,
                                            sigset_t *mask);
int __real_io_uring_register_files(struct io_uring *ring, const int *fds, unsigned count);
int __wrap_io_uring_register_files(struct io_uring *ring, const int *fds, unsigned count);
int __real_io_uring_register_buffers(struct io_uring *ring, const struct iovec *iov,
                                     unsigned count);
int __wrap_io_uring_register_buffers(struct io_uring *ring, const struct iovec *iov,
                                     unsigned count);
int __real_io_uring_unregister_files(struct io_uring *ring);
int __wrap_io_uring_unregister_files(struct io_uring *ring);
int __real_io_uring_enable_rings(struct io_uring *ring);
int __wrap_io_uring_enable_rings(struct io_uring *ring);
unsigned __real_io_uring_peek_batch_cqe(struct io_uring *ring, struct io_uring_cqe **cqes,
                                        unsigned count);
unsigned __wrap_io_uring_peek_batch_cqe(struct io_uring *ring, struct io_uring_cqe **cqes,
                                        unsigned count);

void *__wrap_calloc(size_t count, size_t byte_len)
{
    return fault.calloc_fails ? NULL : __real_calloc(count, byte_len);
}

int __wrap_io_uring_queue_init_params(unsigned entries, struct io_uring *ring,
                                      struct io_uring_params *params)
{
    fault.setups++;
    fault.setup_flags = params->flags;
    if (fault.setup_result != 0) {
        return fault.setup_result;
    }
    if (fault.setups <= fault.setup_refusals) {
        return -EINVAL;
    }
    int ret = __real_io_uring_queue_init_params(fault.entries != 0 ? fault.entries : entries, ring,
                                                params);
    params->features &= ~fault.features_missing;
    return ret;
}

int __wrap_io_uring_register_files(struct io_uring *ring, const int *fds, unsigned count)
{
    return fault.files_result != 0 ? fault.files_result
                                   : __real_io_uring_register_files(ring, fds, count);
}

int __wrap_io_uring_register_buffers(struct io_uring *ring, const struct iovec *iov, unsigned count)
{
    return fault.buffers_result != 0 ? fault.buffers_result
                                     : __real_io_uring_register_buffers(ring, iov, count);
}

int __wrap_io_uring_unregister_files(struct io_uring *ring)
{
    fault.files_taken_out++;
    return __real_io_uring_unregister_files(ring);
}

int __wrap_io_uring_enable_rings(struct io_uring *ring)
{
    return fault.enable_result != 0 ? fault.enable_result : __real_io_uring_enable_rings(ring);
}

static void shorten(struct io_uring_sqe *sqe)
{
    switch (sqe->opcode) {
    case IORING_OP_READ:
    case IORING_OP_WRITE:
    case IORING_OP_READ_FIXED:
    case IORING_OP_WRITE_FIXED:
    case IORING_OP_READV: /* of these two len is the number of entries */
    case IORING_OP_WRITEV:
        sqe->len = (sqe->len + 1) / 2;
        break;
    default:
        break;
    }
}

/* Changes the entries that are about to go to the kernel. */
static void edit_entries(struct io_uring *ring)
{
    for (unsigned left = io_uring_sq_ready(ring); left > 0; left--) {
        struct io_uring_sqe *sqe =
            &ring->sq.sqes[(ring->sq.sqe_tail - left) & *ring->sq.kring_mask];
        if (fault.transfers_short) {
            shorten(sqe);
        }
        fault.syncs += sqe->opcode == IORING_OP_FSYNC;
        if (sqe->opcode == IORING_OP_POLL_ADD) {
            fault.polls++;
            sqe->len &= fault.polls_once ? ~(uint32_t)IORING_POLL_ADD_MULTI : ~0u;
        }
    }
}

static int refuse_submit(struct io_uring *ring)
{
    fault.submits++;
    if (fault.submit_failures > 0) {
        fault.submit_failures--;
        return fault.submit_result;
    }
    edit_entries(ring);
    return 1;
}

int __wrap_io_uring_submit(struct io_uring *ring)
{
    int ret = refuse_submit(ring);
    return ret <= 0 ? ret : __real_io_uring_submit(ring);
}

int __wrap_io_uring_submit_and_wait_timeout(struct io_uring *ring, struct io_uring_cqe **cqe,
                                            unsigned count, struct __kernel_timespec *timeout,
                                            sigset_t *mask)
{
    int ret = refuse_submit(ring);
    return ret <= 0 ? ret
                    : __real_io_uring_submit_and_wait_timeout(ring, cqe, count, timeout, mask);
}

unsigned __wrap_io_uring_peek_batch_cqe(struct io_uring *ring, struct io_uring_cqe **cqes,
                                        unsigned count)
{
    unsigned ready = __real_io_uring_peek_batch_cqe(ring, cqes, count);
    for (unsigned i = 0; i < ready; i++) {
        if ((cqes[i]->user_data & 7) == 0 && fault.cqe_failures > 0) { /* an op's */
            fault.cqe_failures--;
            cqes[i]->res = fault.cqe_result;
        }
    }
    return ready;
}

struct fixture {
    int fd;
    char *memory; /* registered */
    struct iovec buffer;
    struct log *log;
    struct io_engine_params params;
    struct io_engine *engine;
    struct error error;
};

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    char path[] = "/tmp/ubiblk-uring-fault-XXXXXX";
    f->fd = mkstemp(path);
    unlink(path);
    f->memory = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    f->buffer = (struct iovec){f->memory, BYTES};
    f->log = log_create(LOG_WARN, 16);
    f->params = (struct io_engine_params){.kind = IO_ENGINE_URING,
                                          .depth = DEPTH,
                                          .fds = &f->fd,
                                          .fd_count = 1,
                                          .buffers = &f->buffer,
                                          .buffer_count = 1,
                                          .log = f->log};
    memset(&fault, 0, sizeof(fault));
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    memset(&fault, 0, sizeof(fault));
    io_engine_destroy(f->engine);
    log_destroy(f->log);
    munmap(f->memory, BYTES);
    close(f->fd);
    free(f);
    return 0;
}

static void create(struct fixture *f)
{
    if (io_engine_create(&f->params, &f->engine, &f->error) != 0) {
        fail_msg("%s", f->error.message);
    }
}

static void refuse(struct fixture *f, int code, const char *words)
{
    assert_int_equal(code, io_engine_create(&f->params, &f->engine, &f->error));
    assert_null(f->engine);
    if (strstr(f->error.message, words) == NULL) {
        fail_msg("\"%s\" says nothing of \"%s\"", f->error.message, words);
    }
}

static uint32_t warnings(struct fixture *f)
{
    struct log_record record;
    uint32_t count = 0;
    while (log_wait(f->log, &record, 0) == 1) {
        count++;
    }
    return count;
}

static int32_t finish(struct fixture *f, struct io_op *op)
{
    struct io_op *done = NULL;
    while (io_engine_reap(f->engine, &done, 1) == 0) {
        assert_int_equal(0, io_engine_wait(f->engine, UINT64_MAX));
    }
    assert_ptr_equal(op, done);
    return op->result;
}

static int32_t run(struct fixture *f, struct io_op *op)
{
    io_engine_prep(f->engine, op);
    io_engine_submit(f->engine);
    return finish(f, op);
}

static int32_t transfer(struct fixture *f, enum io_opcode opcode, void *bytes, size_t byte_len,
                        int32_t buffer_index)
{
    struct iovec iov = {bytes, byte_len};
    struct io_op op = {.opcode = (uint8_t)opcode,
                       .buffer_index = buffer_index,
                       .iov = &iov,
                       .iov_count = 1,
                       .byte_len = byte_len};
    return run(f, &op);
}

static void write_and_read_back(struct fixture *f)
{
    static char written[10000];
    static char read_back[10000];
    for (size_t i = 0; i < sizeof(written); i++) {
        written[i] = (char)(i * 7 + i / 256);
    }
    memset(read_back, 0, sizeof(read_back));
    assert_int_equal(0, transfer(f, IO_WRITEV, written, sizeof(written), -1));
    assert_int_equal(0, transfer(f, IO_READV, read_back, sizeof(read_back), -1));
    assert_memory_equal(written, read_back, sizeof(written));
    memset(f->memory, 0, BYTES);
    assert_int_equal(0, transfer(f, IO_READV, f->memory + 100, sizeof(written), 0));
    assert_memory_equal(written, f->memory + 100, sizeof(written));
}

static void wake_and_unwatch(struct fixture *f)
{
    int fd = eventfd(0, EFD_CLOEXEC);
    assert_int_equal(0, io_engine_watch(f->engine, 0, fd));
    for (int i = 0; i < 3; i++) {
        assert_int_equal(-ETIME, io_engine_wait(f->engine, 0));
        eventfd_write(fd, 1);
        assert_int_equal(0, io_engine_wait(f->engine, UINT64_MAX));
        assert_int_equal(1, io_engine_fired(f->engine));
    }
    io_engine_unwatch(f->engine, 0);
    close(fd);
}

static void works_on_kernels_without_the_newest_flags(void **state)
{
    struct fixture *f = *state;
    for (int refusals = 0; refusals <= 2; refusals++) {
        fault.setups = 0;
        fault.setup_refusals = refusals;
        create(f);
        assert_int_equal(refusals + 1, fault.setups);
        assert_int_equal(refusals == 0, (fault.setup_flags & IORING_SETUP_DEFER_TASKRUN) != 0);
        assert_int_equal(refusals == 1, (fault.setup_flags & IORING_SETUP_COOP_TASKRUN) != 0);
        write_and_read_back(f);
        wake_and_unwatch(f);
        io_engine_destroy(f->engine);
        f->engine = NULL;
    }
    fault.setup_refusals = 3;
    fault.setups = 0;
    refuse(f, -EINVAL, "io_engine: sync");
}

static void says_why_io_uring_cannot_be_used(void **state)
{
    struct fixture *f = *state;
    fault.setup_result = -ENOSYS;
    refuse(f, -ENOSYS, "this kernel has none; io_engine: sync does without");
    fault.setup_result = -EPERM;
    refuse(f, -EPERM, "kernel.io_uring_disabled");
    fault.setup_result = -EACCES;
    refuse(f, -EACCES, "seccomp");
    fault.setup_result = -ENOMEM;
    refuse(f, -ENOMEM, "RLIMIT_MEMLOCK");
    fault.setup_result = -EMFILE;
    refuse(f, -EMFILE, "Too many open files");
    fault.setup_result = 0;
    fault.features_missing = IORING_FEAT_EXT_ARG;
    refuse(f, -ENOSYS, "too old");
}

static void gives_up_when_the_ring_cannot_be_prepared(void **state)
{
    struct fixture *f = *state;
    fault.calloc_fails = true;
    refuse(f, -ENOMEM, "Cannot allocate memory");
    fault.calloc_fails = false;
    fault.files_result = -EMFILE;
    refuse(f, -EMFILE, "Too many open files");
    fault.files_result = 0;
    fault.buffers_result = -EFAULT;
    refuse(f, -EFAULT, "Bad address");
    fault.buffers_result = 0;
    fault.enable_result = -EBADFD;
    refuse(f, -EBADFD, "io_engine: sync");
}

/* An older kernel would wait there for the command, and its driver for the end of the ring. */
static void does_not_take_its_files_out_while_a_command_is_under_way(void **state)
{
    struct fixture *f = *state;
    struct io_op command = {.opcode = IO_COMMAND, .buffer_index = -1};
    create(f);
    io_engine_prep(f->engine, &command);
    io_engine_destroy(f->engine);
    f->engine = NULL;
    assert_int_equal(0, fault.files_taken_out);
    create(f);
    assert_int_equal(-EOPNOTSUPP, run(f, &command));
    io_engine_destroy(f->engine);
    assert_int_equal(1, fault.files_taken_out);
    f->engine = NULL;
}

static void does_without_registered_buffers_after_one_warning(void **state)
{
    struct fixture *f = *state;
    const int results[2] = {-ENOMEM, -EPERM};
    for (int i = 0; i < 2; i++) {
        fault.buffers_result = results[i];
        create(f);
        write_and_read_back(f);
        assert_int_equal(1, warnings(f));
        io_engine_destroy(f->engine);
        f->engine = NULL;
    }
}

static void waits_for_a_kernel_that_is_short_of_something(void **state)
{
    struct fixture *f = *state;
    const int results[5] = {-EINTR, -EAGAIN, -EBUSY, -ENOMEM, 0};
    create(f);
    for (int i = 0; i < 5; i++) {
        fault.submit_result = results[i];
        fault.submit_failures = 5;
        write_and_read_back(f);
        assert_int_equal(0, fault.submit_failures);
    }
    assert_int_equal(1, warnings(f));
    for (int i = 0; i < 5; i++) { /* the same when it is the sleep that submits */
        struct io_op op = {.opcode = IO_FDATASYNC, .buffer_index = -1};
        struct io_op *done;
        fault.submit_result = results[i];
        fault.submit_failures = 5;
        io_engine_prep(f->engine, &op);
        assert_int_equal(0, io_engine_wait(f->engine, UINT64_MAX));
        assert_int_equal(1, io_engine_reap(f->engine, &done, 1));
        assert_int_equal(0, op.result);
    }
    fault.submit_result = -EINTR;
    fault.submit_failures = 5;
    assert_int_equal(-ETIME, io_engine_wait(f->engine, SHORT_NS));
}

static void hands_out_what_completed_while_submits_are_refused(void **state)
{
    struct fixture *f = *state;
    struct io_op first = {.opcode = IO_FDATASYNC, .buffer_index = -1};
    struct io_op second = first;
    struct io_op *done[2];
    create(f);
    io_engine_prep(f->engine, &first);
    assert_int_equal(0, io_engine_submit(f->engine));
    fault.submit_result = -EBUSY;
    fault.submit_failures = 20;
    io_engine_prep(f->engine, &second);
    assert_int_equal(0, io_engine_submit(f->engine));
    assert_int_equal(0, finish(f, &first));
    assert_int_equal(0, finish(f, &second));
    assert_int_equal(0, io_engine_reap(f->engine, done, 2));
}

static void gives_all_ops_back_when_the_ring_is_unusable(void **state)
{
    struct fixture *f = *state;
    struct io_op ops[DEPTH];
    struct io_op *done[DEPTH];
    create(f);
    for (int i = 0; i < DEPTH; i++) {
        ops[i] = (struct io_op){.opcode = IO_FDATASYNC, .buffer_index = -1};
    }
    for (int i = 0; i < DEPTH / 2; i++) {
        io_engine_prep(f->engine, &ops[i]);
    }
    assert_int_equal(0, io_engine_submit(f->engine));
    for (int i = DEPTH / 2; i < DEPTH; i++) {
        io_engine_prep(f->engine, &ops[i]);
    }
    fault.submit_result = -EBADF;
    fault.submit_failures = 1;
    assert_int_equal(-EBADF, io_engine_submit(f->engine));
    assert_int_equal(-EBADF, io_engine_submit(f->engine));
    uint32_t count = 0;
    while (count < DEPTH) {
        count += io_engine_reap(f->engine, done, DEPTH);
    }
    for (int i = 0; i < DEPTH; i++) {
        assert_int_equal(i < DEPTH / 2 ? 0 : -EBADF, ops[i].result);
    }
    assert_int_equal(0, io_engine_in_flight(f->engine));
    assert_int_equal(-EBADF, io_engine_wait(f->engine, UINT64_MAX));
    io_engine_prep(f->engine, &ops[0]); /* too late */
    assert_int_equal(1, io_engine_reap(f->engine, done, 1));
    assert_int_equal(-EBADF, ops[0].result);
    int fd = eventfd(0, EFD_CLOEXEC);
    assert_int_equal(-EBADF, io_engine_watch(f->engine, 0, fd));
    close(fd);
    assert_int_equal(1, warnings(f));
}

static void a_short_transfer_does_not_go_on_in_an_unusable_ring(void **state)
{
    struct fixture *f = *state;
    char bytes[1024] = {0};
    struct iovec iov = {bytes, sizeof(bytes)};
    struct io_op op = {.opcode = IO_WRITEV,
                       .buffer_index = -1,
                       .iov = &iov,
                       .iov_count = 1,
                       .byte_len = sizeof(bytes)};
    struct io_op late = {.opcode = IO_FDATASYNC, .buffer_index = -1};
    struct io_op *done[2];
    create(f);
    fault.transfers_short = true;
    io_engine_prep(f->engine, &op);
    assert_int_equal(0, io_engine_submit(f->engine));
    fault.submit_result = -EBADF;
    fault.submit_failures = 1;
    io_engine_prep(f->engine, &late);
    assert_int_equal(-EBADF, io_engine_submit(f->engine));
    uint32_t count = 0;
    while (count < 2) {
        count += io_engine_reap(f->engine, done + count, 2 - count);
    }
    assert_int_equal(-EBADF, op.result);
    assert_int_equal(-EBADF, late.result);
}

static void takes_more_ops_than_the_submission_queue(void **state)
{
    struct fixture *f = *state;
    struct io_op ops[DEPTH];
    struct io_op *done[DEPTH];
    fault.entries = 1;
    create(f);
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < DEPTH; i++) {
            ops[i] = (struct io_op){.opcode = IO_FDATASYNC, .buffer_index = -1};
            io_engine_prep(f->engine, &ops[i]);
        }
        if (round == 0) {
            assert_int_equal(0, io_engine_submit(f->engine));
        } /* else the sleep submits them */
        uint32_t count = 0;
        while (count < DEPTH) {
            assert_int_equal(0, io_engine_wait(f->engine, UINT64_MAX));
            count += io_engine_reap(f->engine, done, DEPTH);
        }
        assert_int_equal(0, io_engine_in_flight(f->engine));
    }
    for (int i = 0; i < DEPTH; i++) { /* what waits for an entry ends with the ring as well */
        io_engine_prep(f->engine, &ops[i]);
    }
    fault.submit_result = -EBADF;
    fault.submit_failures = 1;
    assert_int_equal(-EBADF, io_engine_submit(f->engine));
    assert_int_equal(DEPTH, io_engine_reap(f->engine, done, DEPTH));
    assert_int_equal(-EBADF, ops[DEPTH - 1].result);
}

static void enters_no_ring_that_broke_on_the_way_to_a_sleep(void **state)
{
    struct fixture *f = *state;
    struct io_op ops[DEPTH];
    struct io_op *done[DEPTH];
    fault.entries = 1;
    create(f);
    for (int i = 0; i < DEPTH; i++) {
        ops[i] = (struct io_op){.opcode = IO_FDATASYNC, .buffer_index = -1};
        io_engine_prep(f->engine, &ops[i]);
    }
    fault.submits = 0;
    fault.submit_result = -EBADF;
    fault.submit_failures = 1;
    assert_int_equal(0, io_engine_wait(f->engine, UINT64_MAX)); /* the ops have ended */
    assert_int_equal(1, fault.submits);
    assert_int_equal(DEPTH, io_engine_reap(f->engine, done, DEPTH));
    assert_int_equal(-EBADF, ops[0].result);
    assert_int_equal(-EBADF, io_engine_wait(f->engine, UINT64_MAX));
}

static void a_ring_that_breaks_in_a_sleep_or_a_watch_says_so(void **state)
{
    struct fixture *f = *state;
    create(f);
    fault.submit_result = -EFAULT;
    fault.submit_failures = 1;
    assert_int_equal(-EFAULT, io_engine_wait(f->engine, UINT64_MAX));
    io_engine_destroy(f->engine);
    create(f);
    int fd = eventfd(0, EFD_CLOEXEC);
    fault.submit_failures = 1;
    assert_int_equal(-EFAULT, io_engine_watch(f->engine, 0, fd));
    io_engine_destroy(f->engine);
    create(f);
    assert_int_equal(0, io_engine_watch(f->engine, 0, fd));
    fault.submit_failures = 1;
    io_engine_unwatch(f->engine, 0); /* does not hang */
    close(fd);
}

static void continues_short_transfers(void **state)
{
    struct fixture *f = *state;
    create(f);
    fault.transfers_short = true;
    write_and_read_back(f);

    static char written[9000];
    static char read_back[9000];
    struct iovec out[3] = {{written, 1000}, {written + 1000, 3000}, {written + 4000, 5000}};
    struct iovec in[4] = {
        {read_back, 1}, {read_back + 1, 8}, {read_back + 9, 4991}, {read_back + 5000, 4000}};
    for (size_t i = 0; i < sizeof(written); i++) {
        written[i] = (char)(i * 3 + i / 200);
    }
    struct io_op op = {.opcode = IO_WRITEV,
                       .flags = IO_DSYNC,
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
    assert_int_equal(-ENODATA, transfer(f, IO_READV, f->memory, 20000, 0));
}

static void tells_errors_from_interruptions(void **state)
{
    struct fixture *f = *state;
    char bytes[512] = {0};
    create(f);
    const int32_t passing[2] = {-EINTR, -EAGAIN};
    for (int i = 0; i < 2; i++) {
        fault.cqe_result = passing[i];
        fault.cqe_failures = 5;
        assert_int_equal(0, transfer(f, IO_WRITEV, bytes, 512, -1));
        assert_int_equal(0, fault.cqe_failures);
        fault.cqe_failures = 1000; /* is not waited for for ever */
        assert_int_equal(passing[i], transfer(f, IO_WRITEV, bytes, 512, -1));
        fault.cqe_failures = 0;
    }
    fault.cqe_result = -EIO;
    fault.cqe_failures = 1;
    assert_int_equal(-EIO, transfer(f, IO_READV, bytes, 512, -1));
    fault.cqe_result = 0;
    fault.cqe_failures = 1;
    assert_int_equal(-EIO, transfer(f, IO_WRITEV, bytes, 512, -1));
    struct io_op sync = {.opcode = IO_FDATASYNC, .buffer_index = -1};
    fault.cqe_result = -EINTR;
    fault.cqe_failures = 1;
    assert_int_equal(-EINTR, run(f, &sync));
    assert_int_equal(1, fault.syncs);
}

static void arms_a_watch_again_that_the_kernel_ended(void **state)
{
    struct fixture *f = *state;
    eventfd_t value;
    create(f);
    fault.polls_once = true;
    int fd = eventfd(0, EFD_CLOEXEC);
    assert_int_equal(0, io_engine_watch(f->engine, 0, fd));
    for (int i = 0; i < 5; i++) {
        assert_int_equal(-ETIME, io_engine_wait(f->engine, 0));
        assert_int_equal(0, eventfd_write(fd, 1));
        assert_int_equal(0, io_engine_wait(f->engine, UINT64_MAX));
        assert_int_equal(0, eventfd_read(fd, &value));
        assert_int_equal(1, io_engine_fired(f->engine));
    }
    /* Armed while the counter was still up, it may have ended at once a second time. */
    assert_in_range(fault.polls, 6, 11);
    io_engine_unwatch(f->engine, 0);
    close(fd);
}

static void does_not_arm_a_watch_again_whose_fd_is_hung_up(void **state)
{
    struct fixture *f = *state;
    int pair[2];
    create(f);
    fault.polls_once = true;
    assert_int_equal(0, socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair));
    assert_int_equal(0, io_engine_watch(f->engine, 0, pair[0]));
    close(pair[1]);
    assert_int_equal(0, io_engine_wait(f->engine, UINT64_MAX));
    assert_int_equal(1, io_engine_fired(f->engine));
    assert_int_equal(-ETIME, io_engine_wait(f->engine, SHORT_NS));
    assert_int_equal(1, fault.polls);
    io_engine_unwatch(f->engine, 0);
    close(pair[0]);
}

static void a_batch_costs_one_enter(void **state)
{
    struct fixture *f = *state;
    struct io_op ops[DEPTH];
    struct io_op *done[DEPTH];
    create(f);
    fault.submits = 0;
    for (int i = 0; i < DEPTH; i++) {
        ops[i] = (struct io_op){.opcode = IO_FDATASYNC, .buffer_index = -1};
        io_engine_prep(f->engine, &ops[i]);
    }
    assert_int_equal(0, fault.submits);
    assert_int_equal(0, io_engine_wait(f->engine, UINT64_MAX));
    assert_int_equal(1, fault.submits);
    uint32_t count = 0;
    while (count < DEPTH) {
        count += io_engine_reap(f->engine, done, DEPTH);
    }
    assert_int_equal(0, io_engine_submit(f->engine)); /* nothing to do: no enter */
    assert_int_equal(1, fault.submits);
}

int main(void)
{
#define WITH_FAULTS(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        WITH_FAULTS(works_on_kernels_without_the_newest_flags),
        WITH_FAULTS(says_why_io_uring_cannot_be_used),
        WITH_FAULTS(gives_up_when_the_ring_cannot_be_prepared),
        WITH_FAULTS(does_not_take_its_files_out_while_a_command_is_under_way),
        WITH_FAULTS(does_without_registered_buffers_after_one_warning),
        WITH_FAULTS(waits_for_a_kernel_that_is_short_of_something),
        WITH_FAULTS(hands_out_what_completed_while_submits_are_refused),
        WITH_FAULTS(gives_all_ops_back_when_the_ring_is_unusable),
        WITH_FAULTS(a_short_transfer_does_not_go_on_in_an_unusable_ring),
        WITH_FAULTS(takes_more_ops_than_the_submission_queue),
        WITH_FAULTS(enters_no_ring_that_broke_on_the_way_to_a_sleep),
        WITH_FAULTS(a_ring_that_breaks_in_a_sleep_or_a_watch_says_so),
        WITH_FAULTS(continues_short_transfers),
        WITH_FAULTS(tells_errors_from_interruptions),
        WITH_FAULTS(arms_a_watch_again_that_the_kernel_ended),
        WITH_FAULTS(does_not_arm_a_watch_again_whose_fd_is_hung_up),
        WITH_FAULTS(a_batch_costs_one_enter),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
