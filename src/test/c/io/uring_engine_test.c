/* SPDX-License-Identifier: AGPL-3.0-only */
/* What only the io_uring engine does; the rest is in io_engine_test.c. */
#include "io/uring_engine.h"

#include "support/cmocka_test.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

struct trespass {
    struct io_engine *engine;
    struct io_op op;
    int submit_result;
    int wait_result;
    uint32_t reaped;
};

static void *submit_here(void *argument)
{
    struct trespass *trespass = argument;
    struct io_op *done;
    for (int i = 0; i < 2; i++) { /* the op that is not taken, then one prepared too late */
        io_engine_prep(trespass->engine, &trespass->op);
        trespass->submit_result = io_engine_submit(trespass->engine);
        trespass->reaped += io_engine_reap(trespass->engine, &done, 1);
    }
    trespass->wait_result = io_engine_wait(trespass->engine, UINT64_MAX);
    return NULL;
}

static void an_unusable_ring_gives_the_ops_back(void **state)
{
    (void)state;
    char path[] = "/tmp/ubiblk-uring-engine-XXXXXX";
    int fd = mkstemp(path);
    unlink(path);
    struct error error;
    struct trespass trespass = {.op = {.opcode = IO_FDATASYNC, .buffer_index = -1}};
    struct io_engine_params params = {
        .kind = IO_ENGINE_URING, .depth = 4, .fds = &fd, .fd_count = 1};
    assert_int_equal(0, io_engine_create(&params, &trespass.engine, &error));
    pthread_t thread; /* a ring obeys the thread that made it, so this one gets refused */
    assert_int_equal(0, pthread_create(&thread, NULL, submit_here, &trespass));
    assert_int_equal(0, pthread_join(thread, NULL));
    assert_true(trespass.submit_result < 0);
    assert_int_equal(2, trespass.reaped);
    assert_int_equal(trespass.submit_result, trespass.op.result);
    assert_int_equal(trespass.submit_result, trespass.wait_result);
    assert_int_equal(0, io_engine_in_flight(trespass.engine));
    io_engine_destroy(trespass.engine);
    close(fd);
}

/* No file of an ordinary file system takes commands, which is the answer of the kernel. */
static void a_command_comes_back_with_the_answer_of_the_file(void **state)
{
    (void)state;
    char path[] = "/tmp/ubiblk-uring-command-XXXXXX";
    int fds[] = {mkstemp(path), -1};
    unlink(path);
    struct error error;
    struct io_engine *engine;
    const struct io_engine_params params = {
        .kind = IO_ENGINE_URING, .depth = 4, .fds = fds, .fd_count = 2};
    assert_int_equal(0, io_engine_create(&params, &engine, &error));
    struct io_op op = {.opcode = IO_COMMAND, .buffer_index = -1, .command = 1};
    struct io_op *done = NULL;
    io_engine_prep(engine, &op);
    assert_int_equal(0, io_engine_wait(engine, UINT64_MAX));
    assert_int_equal(1, io_engine_reap(engine, &done, 1));
    assert_ptr_equal(&op, done);
    assert_int_equal(-EOPNOTSUPP, op.result);
    op.file = 1; /* there is none */
    io_engine_prep(engine, &op);
    assert_int_equal(0, io_engine_wait(engine, UINT64_MAX));
    assert_int_equal(1, io_engine_reap(engine, &done, 1));
    assert_int_equal(-EBADF, op.result);
    io_engine_destroy(engine);
    close(fds[0]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_unusable_ring_gives_the_ops_back),
        cmocka_unit_test(a_command_comes_back_with_the_answer_of_the_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
