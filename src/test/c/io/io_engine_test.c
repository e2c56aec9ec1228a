/* SPDX-License-Identifier: AGPL-3.0-only */
/* What io_engine.h promises, on every engine. */
#include "support/cmocka_test.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "io/io_engine.h"

enum { DEPTH = 8, FILE_BYTES = 1 << 20, AREA_BYTES = 1 << 20 };

static const uint64_t LONG_NS = 10000000000u;
static const uint64_t SHORT_NS = 20000000u;

struct fixture {
    enum io_engine_kind kind;
    struct io_engine *engine;
    int fds[2]; /* read-write; read-only */
    char *area; /* registered */
    struct iovec area_iov;
};

static void must(const struct error *error, int ret)
{
    if (ret != 0) {
        fail_msg("%d: %s", ret, error->message);
    }
}

static int set_up(void **state, enum io_engine_kind kind)
{
    struct fixture *f = calloc(1, sizeof(*f));
    struct error error;
    char path[] = "/tmp/ubiblk-io-engine-XXXXXX";
    f->kind = kind;
    f->fds[0] = mkstemp(path);
    f->fds[1] = open(path, O_RDONLY | O_CLOEXEC);
    unlink(path);
    assert_int_equal(0, ftruncate(f->fds[0], FILE_BYTES));
    f->area = mmap(NULL, AREA_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(MAP_FAILED, f->area);
    f->area_iov = (struct iovec){f->area, AREA_BYTES};
    struct io_engine_params params = {.kind = kind,
                                      .depth = DEPTH,
                                      .fds = f->fds,
                                      .fd_count = 2,
                                      .buffers = &f->area_iov,
                                      .buffer_count = 1};
    must(&error, io_engine_create(&params, &f->engine, &error));
    *state = f;
    return 0;
}

static int set_up_uring(void **state)
{
    return set_up(state, IO_ENGINE_URING);
}

static int set_up_sync(void **state)
{
    return set_up(state, IO_ENGINE_SYNC);
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    io_engine_destroy(f->engine);
    munmap(f->area, AREA_BYTES);
    close(f->fds[0]);
    close(f->fds[1]);
    free(f);
    return 0;
}

static struct io_op transfer(enum io_opcode opcode, struct iovec *iov, uint32_t iov_count,
                             uint64_t byte_offset)
{
    struct io_op op = {.opcode = (uint8_t)opcode,
                       .buffer_index = -1,
                       .iov = iov,
                       .iov_count = iov_count,
                       .byte_offset = byte_offset};
    for (uint32_t i = 0; i < iov_count; i++) {
        op.byte_len += iov[i].iov_len;
    }
    return op;
}

static void reap_one(struct io_engine *engine, struct io_op *expected)
{
    struct io_op *op = NULL;
    uint32_t count;
    while ((count = io_engine_reap(engine, &op, 1)) == 0) {
        assert_int_equal(0, io_engine_wait(engine, LONG_NS));
    }
    assert_int_equal(1, count);
    assert_ptr_equal(expected, op);
}

static int32_t run(struct io_engine *engine, struct io_op *op)
{
    io_engine_prep(engine, op);
    assert_int_equal(1, io_engine_in_flight(engine));
    assert_int_equal(0, io_engine_submit(engine));
    reap_one(engine, op);
    assert_int_equal(0, io_engine_in_flight(engine));
    return op->result;
}

static void fill(void *bytes, size_t byte_len, unsigned seed)
{
    for (size_t i = 0; i < byte_len; i++) {
        ((unsigned char *)bytes)[i] = (unsigned char)(seed + i + (i >> 8));
    }
}

static void reads_back_what_it_wrote_from_one_buffer(void **state)
{
    struct fixture *f = *state;
    char written[8192];
    char read_back[8192] = {0};
    fill(written, sizeof(written), 1);
    struct iovec iov = {written, sizeof(written)};
    struct io_op op = transfer(IO_WRITEV, &iov, 1, 4096);
    assert_int_equal(0, run(f->engine, &op));
    iov = (struct iovec){read_back, sizeof(read_back)};
    op = transfer(IO_READV, &iov, 1, 4096);
    assert_int_equal(0, run(f->engine, &op));
    assert_memory_equal(written, read_back, sizeof(written));
}

static void reads_back_what_it_wrote_from_many_buffers(void **state)
{
    struct fixture *f = *state;
    char written[3000];
    char read_back[3000] = {0};
    fill(written, sizeof(written), 2);
    struct iovec out[3] = {{written, 1}, {written + 1, 999}, {written + 1000, 2000}};
    struct io_op op = transfer(IO_WRITEV, out, 3, 777);
    assert_int_equal(0, run(f->engine, &op));
    struct iovec in[2] = {{read_back, 1500}, {read_back + 1500, 1500}};
    op = transfer(IO_READV, in, 2, 777);
    assert_int_equal(0, run(f->engine, &op));
    assert_memory_equal(written, read_back, sizeof(written));
}

static void transfers_any_part_of_a_registered_buffer(void **state)
{
    struct fixture *f = *state;
    fill(f->area, AREA_BYTES, 3);
    struct iovec iov = {f->area + 5000, 70000};
    struct io_op op = transfer(IO_WRITEV, &iov, 1, 100);
    op.buffer_index = 0;
    assert_int_equal(0, run(f->engine, &op));
    iov = (struct iovec){f->area + 500000, 70000};
    op = transfer(IO_READV, &iov, 1, 100);
    op.buffer_index = 0;
    assert_int_equal(0, run(f->engine, &op));
    assert_memory_equal(f->area + 5000, f->area + 500000, 70000);
}

static void writes_and_syncs(void **state)
{
    struct fixture *f = *state;
    char bytes[512] = {7};
    struct iovec iov = {bytes, sizeof(bytes)};
    struct io_op op = transfer(IO_WRITEV, &iov, 1, 0);
    op.flags = IO_DSYNC;
    assert_int_equal(0, run(f->engine, &op));
    op = (struct io_op){.opcode = IO_FDATASYNC, .buffer_index = -1};
    assert_int_equal(0, run(f->engine, &op));
}

static void says_when_a_read_meets_the_end_of_the_file(void **state)
{
    struct fixture *f = *state;
    char bytes[1024];
    struct iovec iov = {bytes, sizeof(bytes)};
    struct io_op op = transfer(IO_READV, &iov, 1, FILE_BYTES);
    assert_int_equal(-ENODATA, run(f->engine, &op));
    iov = (struct iovec){bytes, sizeof(bytes)};
    op = transfer(IO_READV, &iov, 1, FILE_BYTES - 512);
    assert_int_equal(-ENODATA, run(f->engine, &op));
}

static void hands_out_the_error_of_a_write(void **state)
{
    struct fixture *f = *state;
    char bytes[512] = {0};
    struct iovec iov = {bytes, sizeof(bytes)};
    struct io_op op = transfer(IO_WRITEV, &iov, 1, 0);
    op.file = 1;
    assert_int_equal(-EBADF, run(f->engine, &op));
    iov = (struct iovec){bytes, sizeof(bytes)};
    op = transfer(IO_READV, &iov, 1, 0);
    op.file = 1;
    assert_int_equal(0, run(f->engine, &op));
}

static void keeps_a_batch_until_it_is_submitted_and_reaps_in_parts(void **state)
{
    struct fixture *f = *state;
    struct io_op ops[DEPTH];
    struct iovec iov[DEPTH];
    char bytes[DEPTH][512];
    struct io_op *done[DEPTH];
    for (int i = 0; i < DEPTH; i++) {
        iov[i] = (struct iovec){bytes[i], 512};
        ops[i] = transfer(IO_READV, &iov[i], 1, 512u * (unsigned)i);
        io_engine_prep(f->engine, &ops[i]);
    }
    assert_int_equal(DEPTH, io_engine_in_flight(f->engine));
    assert_int_equal(0, io_engine_reap(f->engine, done, DEPTH));
    uint32_t count = 0;
    while (count < DEPTH) {
        assert_int_equal(0, io_engine_wait(f->engine, LONG_NS)); /* submits by itself */
        uint32_t reaped = io_engine_reap(f->engine, done + count, 3);
        assert_in_range(reaped, 1, 3);
        count += reaped;
        assert_int_equal(DEPTH - count, io_engine_in_flight(f->engine));
    }
    for (int i = 0; i < DEPTH; i++) {
        assert_int_equal(0, done[i]->result);
        for (int j = 0; j < i; j++) {
            assert_ptr_not_equal(done[i], done[j]);
        }
    }
}

static uint64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void stops_waiting_when_the_time_is_over(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(-ETIME, io_engine_wait(f->engine, 0));
    uint64_t start = now_ns();
    assert_int_equal(-ETIME, io_engine_wait(f->engine, SHORT_NS));
    assert_true(now_ns() - start >= SHORT_NS);
}

static void fires_for_the_state_at_watch_and_for_every_write(void **state)
{
    struct fixture *f = *state;
    int fd = eventfd(1, EFD_CLOEXEC);
    assert_int_equal(0, io_engine_watch(f->engine, 2, fd));
    for (int i = 0; i < 5; i++) {
        assert_int_equal(0, io_engine_wait(f->engine, LONG_NS));
        assert_int_equal(1u << 2, io_engine_fired(f->engine));
        assert_int_equal(0, io_engine_fired(f->engine));
        assert_int_equal(-ETIME, io_engine_wait(f->engine, SHORT_NS / 4));
        assert_int_equal(0, io_engine_fired(f->engine));
        assert_int_equal(0, eventfd_write(fd, 1));
    }
    assert_int_equal(0, io_engine_wait(f->engine, LONG_NS));
    io_engine_unwatch(f->engine, 2);
    assert_int_equal(0, io_engine_fired(f->engine));
    close(fd);
}

static void sees_a_watched_fd_without_waiting(void **state)
{
    struct fixture *f = *state;
    int fd = eventfd(0, EFD_CLOEXEC);
    assert_int_equal(0, io_engine_watch(f->engine, 0, fd));
    assert_int_equal(0, io_engine_fired(f->engine));
    assert_int_equal(0, eventfd_write(fd, 1));
    uint64_t start = now_ns();
    uint32_t fired = 0;
    while (fired == 0 && now_ns() - start < LONG_NS) {
        fired = io_engine_fired(f->engine);
    }
    assert_int_equal(1, fired);
    io_engine_unwatch(f->engine, 0);
    close(fd);
}

static void watches_more_fds_than_fit_into_the_submission_queue(void **state)
{
    struct fixture *f = *state;
    struct error error;
    struct io_engine *engine;
    struct io_engine_params params = {.kind = f->kind, .depth = 1, .fds = f->fds, .fd_count = 1};
    must(&error, io_engine_create(&params, &engine, &error));
    int fds[IO_WATCH_MAX];
    for (uint32_t i = 0; i < IO_WATCH_MAX; i++) {
        fds[i] = eventfd(0, EFD_CLOEXEC);
        assert_int_equal(0, io_engine_watch(engine, i, fds[i]));
    }
    for (uint32_t round = 0; round < 40; round++) {
        uint32_t slot = round % IO_WATCH_MAX;
        for (int i = 0; i < 100; i++) {
            assert_int_equal(0, eventfd_write(fds[slot], 1));
        }
        uint32_t fired = 0;
        while (fired == 0) {
            assert_int_equal(0, io_engine_wait(engine, LONG_NS));
            fired = io_engine_fired(engine);
        }
        assert_int_equal(1u << slot, fired);
        while (io_engine_wait(engine, 0) == 0) {
            assert_int_equal(1u << slot, io_engine_fired(engine));
        }
    }
    io_engine_destroy(engine); /* ends the watches */
    for (uint32_t i = 0; i < IO_WATCH_MAX; i++) {
        close(fds[i]);
    }
}

static void unwatch_lets_go_of_the_fd_and_frees_the_slot(void **state)
{
    struct fixture *f = *state;
    for (int i = 0; i < 50; i++) {
        int pair[2];
        assert_int_equal(0, socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair));
        assert_int_equal(0, io_engine_watch(f->engine, 1, pair[0]));
        if (i % 2 == 0) {
            assert_int_equal(1, write(pair[1], "x", 1));
        }
        io_engine_unwatch(f->engine, 1);
        io_engine_unwatch(f->engine, 1);
        assert_int_equal(0, io_engine_fired(f->engine));
        close(pair[0]);
        char byte;
        while (i % 2 == 1 && read(pair[1], &byte, 1) != 0) { /* the other side sees the end */
            fail();
        }
        close(pair[1]);
    }
    assert_int_equal(-ETIME, io_engine_wait(f->engine, 0));
}

static void a_hung_up_fd_fires_and_stays_silent(void **state)
{
    struct fixture *f = *state;
    int pair[2];
    assert_int_equal(0, socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair));
    assert_int_equal(0, io_engine_watch(f->engine, 0, pair[0]));
    close(pair[1]);
    assert_int_equal(0, io_engine_wait(f->engine, LONG_NS));
    assert_int_equal(1, io_engine_fired(f->engine));
    int fired = 0;
    while (io_engine_wait(f->engine, SHORT_NS) == 0) {
        assert_int_equal(1, io_engine_fired(f->engine));
        assert_in_range(++fired, 1, 2);
    }
    io_engine_unwatch(f->engine, 0);
    close(pair[0]);

    int ends[2];
    assert_int_equal(0, pipe2(ends, O_CLOEXEC));
    close(ends[1]);
    assert_int_equal(0, io_engine_watch(f->engine, 0, ends[0])); /* hung up from the start */
    fired = 0;
    while (io_engine_wait(f->engine, SHORT_NS) == 0) {
        assert_int_equal(1, io_engine_fired(f->engine));
        assert_in_range(++fired, 1, 2);
    }
    assert_in_range(fired, 1, 2);
    io_engine_unwatch(f->engine, 0);
    close(ends[0]);
}

static void refuses_to_watch_what_cannot_be_waited_for(void **state)
{
    struct fixture *f = *state;
    int closed = eventfd(0, EFD_CLOEXEC);
    close(closed);
    assert_int_equal(-EPERM, io_engine_watch(f->engine, 0, f->fds[0]));
    assert_int_equal(-EBADF, io_engine_watch(f->engine, 0, closed));
    int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
    assert_int_equal(-EPERM, io_engine_watch(f->engine, 0, null));
    close(null);
    int fd = eventfd(1, EFD_CLOEXEC);
    assert_int_equal(0, io_engine_watch(f->engine, 0, fd));
    assert_int_equal(0, io_engine_wait(f->engine, LONG_NS));
    io_engine_unwatch(f->engine, 0);
    close(fd);
}

struct writer {
    int fd;
    atomic_bool stop;
    uint32_t count;
};

static void *write_until_stopped(void *argument)
{
    struct writer *writer = argument;
    while (!atomic_load(&writer->stop)) {
        eventfd_write(writer->fd, 1);
    }
    return NULL;
}

static void *write_slowly(void *argument)
{
    struct writer *writer = argument;
    for (uint32_t i = 0; i < writer->count; i++) {
        nanosleep(&(struct timespec){.tv_nsec = 500000}, NULL);
        eventfd_write(writer->fd, 1);
    }
    return NULL;
}

static void is_woken_by_another_thread(void **state)
{
    struct fixture *f = *state;
    struct writer writer = {.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), .count = 100};
    pthread_t thread;
    assert_int_equal(0, io_engine_watch(f->engine, 3, writer.fd));
    assert_int_equal(0, pthread_create(&thread, NULL, write_slowly, &writer));
    eventfd_t seen = 0;
    while (seen < writer.count) {
        assert_int_equal(0, io_engine_wait(f->engine, UINT64_MAX));
        assert_int_equal(1u << 3, io_engine_fired(f->engine));
        eventfd_t value = 0;
        if (eventfd_read(writer.fd, &value) == 0) { /* nobody needs to, but anybody may */
            seen += value;
        }
    }
    pthread_join(thread, NULL);
    io_engine_unwatch(f->engine, 3);
    close(writer.fd);
}

static void unwatch_wins_against_a_thread_that_keeps_writing(void **state)
{
    struct fixture *f = *state;
    struct writer writer = {.fd = eventfd(0, EFD_CLOEXEC)};
    pthread_t thread;
    assert_int_equal(0, pthread_create(&thread, NULL, write_until_stopped, &writer));
    char bytes[512];
    struct iovec iov;
    struct io_op op;
    for (int i = 0; i < 200; i++) {
        assert_int_equal(0, io_engine_watch(f->engine, 0, writer.fd));
        iov = (struct iovec){bytes, sizeof(bytes)};
        op = transfer(IO_READV, &iov, 1, 0);
        io_engine_prep(f->engine, &op);
        assert_int_equal(0, io_engine_wait(f->engine, LONG_NS));
        io_engine_unwatch(f->engine, 0);
        assert_int_equal(0, io_engine_fired(f->engine));
        reap_one(f->engine, &op);
    }
    atomic_store(&writer.stop, true);
    pthread_join(thread, NULL);
    close(writer.fd);
    assert_int_equal(-ETIME, io_engine_wait(f->engine, SHORT_NS));
}

static void destroys_nothing_without_complaint(void **state)
{
    (void)state;
    io_engine_destroy(NULL);
}

#define ON_BOTH(test)                                                                              \
    {#test " (io_uring)", test, set_up_uring, tear_down, NULL},                                    \
    {                                                                                              \
#test " (sync)", test, set_up_sync, tear_down, NULL                                        \
    }

static void lets_go_of_a_file_while_it_goes_on_with_others(void **state)
{
    struct fixture *f = *state;
    struct iovec iov = {.iov_base = f->area, .iov_len = 512};
    struct io_op op = {.opcode = IO_READV,
                       .file = 0,
                       .buffer_index = -1,
                       .iov = &iov,
                       .iov_count = 1,
                       .byte_len = 512};
    struct io_op *ended;
    io_engine_drop_file(f->engine, 1);
    io_engine_prep(f->engine, &op);
    assert_int_equal(0, io_engine_wait(f->engine, UINT64_MAX));
    assert_int_equal(1, io_engine_reap(f->engine, &ended, 1));
    assert_int_equal(0, op.result);
    op.file = 1;
    io_engine_prep(f->engine, &op);
    assert_int_equal(0, io_engine_wait(f->engine, UINT64_MAX));
    assert_int_equal(1, io_engine_reap(f->engine, &ended, 1));
    assert_int_equal(-EBADF, op.result);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_BOTH(reads_back_what_it_wrote_from_one_buffer),
        ON_BOTH(reads_back_what_it_wrote_from_many_buffers),
        ON_BOTH(transfers_any_part_of_a_registered_buffer),
        ON_BOTH(writes_and_syncs),
        ON_BOTH(says_when_a_read_meets_the_end_of_the_file),
        ON_BOTH(hands_out_the_error_of_a_write),
        ON_BOTH(keeps_a_batch_until_it_is_submitted_and_reaps_in_parts),
        ON_BOTH(stops_waiting_when_the_time_is_over),
        ON_BOTH(fires_for_the_state_at_watch_and_for_every_write),
        ON_BOTH(sees_a_watched_fd_without_waiting),
        ON_BOTH(watches_more_fds_than_fit_into_the_submission_queue),
        ON_BOTH(unwatch_lets_go_of_the_fd_and_frees_the_slot),
        ON_BOTH(a_hung_up_fd_fires_and_stays_silent),
        ON_BOTH(refuses_to_watch_what_cannot_be_waited_for),
        ON_BOTH(is_woken_by_another_thread),
        ON_BOTH(unwatch_wins_against_a_thread_that_keeps_writing),
        ON_BOTH(lets_go_of_a_file_while_it_goes_on_with_others),
        cmocka_unit_test(destroys_nothing_without_complaint),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
