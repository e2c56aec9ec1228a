/* SPDX-License-Identifier: AGPL-3.0-only */
/* The engines that other tests rely on. */
#include "support/fake_engine.h"

#include "support/cmocka_test.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "support/null_engine.h"

enum { OP_COUNT = 4 };

struct fixture {
    struct fake_engine *fake;
    struct io_engine *engine;
    int fd;
    char bytes[OP_COUNT][512];
    struct iovec iov[OP_COUNT];
    struct io_op ops[OP_COUNT];
    struct io_op *done[OP_COUNT];
};

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    char path[] = "/tmp/ubiblk-fake-engine-XXXXXX";
    f->fd = mkstemp(path);
    unlink(path);
    f->fake = fake_engine_create(OP_COUNT, &f->fd, 1);
    f->engine = &f->fake->base;
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    io_engine_destroy(f->engine);
    close(f->fd);
    free(f);
    return 0;
}

static void prep(struct fixture *f, int i, enum io_opcode opcode)
{
    f->iov[i] = (struct iovec){f->bytes[i], sizeof(f->bytes[i])};
    f->ops[i] = (struct io_op){.opcode = (uint8_t)opcode, .buffer_index = -1};
    if (opcode != IO_FDATASYNC) {
        f->ops[i].iov = &f->iov[i];
        f->ops[i].iov_count = 1;
        f->ops[i].byte_len = 512;
        f->ops[i].byte_offset = 512u * (unsigned)i;
    }
    io_engine_prep(f->engine, &f->ops[i]);
}

static void records_and_carries_out_in_order(void **state)
{
    struct fixture *f = *state;
    memset(f->bytes[0], 'a', 512);
    prep(f, 0, IO_WRITEV);
    prep(f, 1, IO_FDATASYNC);
    assert_int_equal(0, fake_engine_pending(f->fake));
    assert_int_equal(0, io_engine_reap(f->engine, f->done, OP_COUNT));
    assert_int_equal(0, io_engine_submit(f->engine));
    assert_int_equal(2, fake_engine_pending(f->fake));
    assert_int_equal(2, io_engine_reap(f->engine, f->done, OP_COUNT));
    assert_ptr_equal(&f->ops[0], f->done[0]);
    assert_int_equal(1, f->fake->records[0].complete_number);
    assert_int_equal(IO_FDATASYNC, f->fake->records[1].opcode);
    assert_int_equal(1, fake_engine_count(f->fake, IO_WRITEV));
    char byte;
    assert_int_equal(1, pread(f->fd, &byte, 1, 511));
    assert_int_equal('a', byte);
    fake_engine_forget(f->fake);
    assert_int_equal(0, f->fake->record_count);
}

static void holds_and_completes_in_any_order(void **state)
{
    struct fixture *f = *state;
    fake_engine_hold(f->fake, true);
    for (int i = 0; i < OP_COUNT; i++) {
        prep(f, i, IO_WRITEV);
    }
    assert_int_equal(-ETIME, io_engine_wait(f->engine, 1000000000000u));
    assert_int_equal(0, io_engine_reap(f->engine, f->done, OP_COUNT));
    fake_engine_complete(f->fake, fake_engine_pending_at(f->fake, 2), -ENOSPC);
    fake_engine_complete_all_backwards(f->fake);
    assert_int_equal(0, io_engine_wait(f->engine, UINT64_MAX));
    assert_int_equal(OP_COUNT, io_engine_reap(f->engine, f->done, OP_COUNT));
    assert_ptr_equal(&f->ops[2], f->done[0]);
    assert_int_equal(-ENOSPC, f->done[0]->result);
    assert_ptr_equal(&f->ops[3], f->done[1]);
    assert_ptr_equal(&f->ops[0], f->done[3]);
    assert_int_equal(0, f->done[3]->result);
}

static void fails_the_chosen_op_of_a_kind(void **state)
{
    struct fixture *f = *state;
    fake_engine_fail(f->fake, IO_WRITEV, 2, -EIO);
    fake_engine_fail(f->fake, IO_FDATASYNC, 1, -ENOSPC);
    prep(f, 0, IO_WRITEV);
    prep(f, 1, IO_FDATASYNC);
    prep(f, 2, IO_WRITEV);
    prep(f, 3, IO_WRITEV);
    io_engine_submit(f->engine);
    assert_int_equal(OP_COUNT, io_engine_reap(f->engine, f->done, OP_COUNT));
    const int32_t expected[OP_COUNT] = {0, -ENOSPC, -EIO, 0};
    for (int i = 0; i < OP_COUNT; i++) {
        assert_int_equal(expected[i], f->ops[i].result);
        assert_int_equal(expected[i], f->fake->records[i].result);
    }
}

static void refuses_submits_on_request(void **state)
{
    struct fixture *f = *state;
    f->fake->submit_result = -EBADF;
    prep(f, 0, IO_WRITEV);
    assert_int_equal(-EBADF, io_engine_submit(f->engine));
    assert_int_equal(-EBADF, io_engine_wait(f->engine, 0));
    f->fake->submit_result = 0;
    assert_int_equal(0, io_engine_submit(f->engine));
    assert_int_equal(1, io_engine_reap(f->engine, f->done, 1));
}

static void reports_watched_and_fired_slots(void **state)
{
    struct fixture *f = *state;
    int fd = eventfd(0, EFD_CLOEXEC);
    assert_int_equal(0, io_engine_watch(f->engine, 1, fd));
    assert_int_equal(0, io_engine_fired(f->engine));
    assert_int_equal(0, eventfd_write(fd, 3));
    assert_int_equal(0, io_engine_wait(f->engine, UINT64_MAX));
    assert_int_equal(2, io_engine_fired(f->engine));
    assert_int_equal(0, io_engine_fired(f->engine));
    fake_engine_fire(f->fake, 0);
    assert_int_equal(1, io_engine_fired(f->engine));
    io_engine_unwatch(f->engine, 1);
    close(fd);
}

static void the_null_engine_completes_at_once_and_waits_like_its_inner_one(void **state)
{
    struct fixture *f = *state;
    struct io_engine *engine = null_engine_create(&fake_engine_create(1, NULL, 0)->base);
    struct iovec iov = {f->bytes[0], 512};
    struct io_op op = {.opcode = IO_READV, .iov = &iov, .iov_count = 1, .byte_len = 512};
    op.buffer_index = -1;
    io_engine_prep(engine, &op);
    assert_int_equal(0, io_engine_reap(engine, f->done, 1));
    assert_int_equal(0, io_engine_wait(engine, UINT64_MAX));
    assert_int_equal(1, io_engine_reap(engine, f->done, 1));
    assert_int_equal(0, op.result);
    assert_int_equal(-ETIME, io_engine_wait(engine, 0));
    int fd = eventfd(1, EFD_CLOEXEC);
    assert_int_equal(0, io_engine_watch(engine, 0, fd));
    assert_int_equal(1, io_engine_fired(engine));
    io_engine_unwatch(engine, 0);
    io_engine_destroy(engine);
    close(fd);
}

int main(void)
{
#define WITH_FAKE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        WITH_FAKE(records_and_carries_out_in_order),
        WITH_FAKE(holds_and_completes_in_any_order),
        WITH_FAKE(fails_the_chosen_op_of_a_kind),
        WITH_FAKE(refuses_submits_on_request),
        WITH_FAKE(reports_watched_and_fired_slots),
        WITH_FAKE(the_null_engine_completes_at_once_and_waits_like_its_inner_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
