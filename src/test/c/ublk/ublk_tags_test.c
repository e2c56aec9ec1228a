/* SPDX-License-Identifier: AGPL-3.0-only */
/* Tags on a fake of their command ring: the test is the driver, and decides when transfers end. */
/* wrap: mlock madvise */
#include "ublk/ublk_tags.h"

#include "support/cmocka_test.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "blk/blk_transfer.h"
#include "support/fake_engine.h"
#include "support/test_device.h"
#include "support/test_scale.h"

enum { DEPTH = 8, BUFFER_BYTES = 65536, READ = UBLK_IO_OP_READ, WRITE = UBLK_IO_OP_WRITE };

struct fixture {
    struct test_device *test;
    struct fake_engine *fake;
    struct blk_queue *blk;
    struct ublk_tags tags;
    struct ublksrv_io_desc iods[DEPTH];
    uint32_t records[DEPTH]; /* of the command that each tag has at the driver */
    uint32_t seen;           /* records before it have been looked at */
};

static struct iovec locked, not_dumped; /* the last */
static bool mlock_fails;

int __real_mlock(const void *bytes, size_t byte_len);
int __wrap_mlock(const void *bytes, size_t byte_len);
int __real_madvise(void *bytes, size_t byte_len, int advice);
int __wrap_madvise(void *bytes, size_t byte_len, int advice);

int __wrap_mlock(const void *bytes, size_t byte_len)
{
    locked = (struct iovec){(void *)(uintptr_t)bytes, byte_len};
    errno = ENOMEM;
    return mlock_fails ? -1 : __real_mlock(bytes, byte_len);
}

int __wrap_madvise(void *bytes, size_t byte_len, int advice)
{
    if (advice == MADV_DONTDUMP)
        not_dumped = (struct iovec){bytes, byte_len};
    return __real_madvise(bytes, byte_len, advice);
}

static void open_tags(struct fixture *f, struct test_device_params params, bool encoded)
{
    params.queue_size = DEPTH;
    f->test = test_device_create(&params);
    struct blk_device *device = &f->test->device;
    device->private_memory = true;
    f->fake = fake_engine_create(2 * blk_transfer_depth(device), NULL, 0);
    f->fake->sleep_forever_ok = true;
    assert_int_equal(0, blk_queue_create_on(device, 0, &f->fake->base, &f->blk, NULL));
    const struct ublk_tags_params tags = {.blk = f->blk,
                                          .iods = f->iods,
                                          .log = f->test->log,
                                          .q_id = 3,
                                          .q_depth = DEPTH,
                                          .buffer_bytes = BUFFER_BYTES,
                                          .encoded = encoded};
    assert_int_equal(0, ublk_tags_init(&f->tags, &tags, NULL));
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    assert_non_null(f);
    open_tags(f, (struct test_device_params){0}, true);
    *state = f;
    return 0;
}

static void close_tags(struct fixture *f)
{
    blk_queue_destroy(f->blk);
    ublk_tags_deinit(&f->tags);
    test_device_destroy(f->test);
}

static int teardown(void **state)
{
    close_tags(*state);
    free(*state);
    return 0;
}

static struct ublksrv_io_cmd argument_of(const struct fake_record *record)
{
    struct ublksrv_io_cmd argument;
    memcpy(&argument, record->argument, sizeof(argument));
    return argument;
}

/* Submits, and notes which command each tag has at the driver. */
static void submit(struct fixture *f)
{
    assert_int_equal(0, blk_queue_submit(f->blk, 1));
    for (; f->seen < f->fake->record_count; f->seen++)
        if (f->fake->records[f->seen].opcode == IO_COMMAND)
            f->records[argument_of(&f->fake->records[f->seen]).tag] = f->seen;
}

static void fetch(struct fixture *f)
{
    ublk_tags_fetch(&f->tags);
    submit(f);
}

/* The driver has a request for the tag. */
static void send(struct fixture *f, uint16_t tag, uint32_t op_flags, uint64_t sector,
                 uint32_t sector_count)
{
    f->iods[tag] = (struct ublksrv_io_desc){
        .op_flags = op_flags, .start_sector = sector, .nr_sectors = sector_count};
    fake_engine_complete(f->fake, f->records[tag], 0);
}

static void abort_tag(struct fixture *f, uint16_t tag, int32_t result)
{
    fake_engine_complete(f->fake, f->records[tag], result);
}

/* One round of the queue thread. Returns how many commands came. */
static uint32_t round_of(struct fixture *f)
{
    blk_queue_reap(f->blk, 1);
    uint32_t taken = ublk_tags_take(&f->tags, 1);
    blk_queue_issue(f->blk, 1);
    ublk_tags_answer(&f->tags);
    submit(f);
    return taken;
}

/* What the tag's command at the driver says. */
static const struct fake_record *command_of(const struct fixture *f, uint16_t tag)
{
    return &f->fake->records[f->records[tag]];
}

static int32_t committed(const struct fixture *f, uint16_t tag)
{
    const struct fake_record *record = command_of(f, tag);
    assert_false(record->completed);
    assert_int_equal(UBLK_U_IO_COMMIT_AND_FETCH_REQ, record->command);
    return argument_of(record).result;
}

/* The request is sent and carried out, and its result is what the driver gets. */
static int32_t run(struct fixture *f, uint16_t tag, uint32_t op_flags, uint64_t sector,
                   uint32_t sector_count)
{
    send(f, tag, op_flags, sector, sector_count);
    round_of(f);
    round_of(f);
    return committed(f, tag);
}

static void fetches_every_tag_once_with_a_buffer_of_its_own(void **state)
{
    struct fixture *f = *state;
    fetch(f);
    assert_int_equal(DEPTH, f->fake->record_count);
    uint64_t first = argument_of(&f->fake->records[0]).addr;
    assert_int_equal(0, first % 4096);
    for (uint16_t tag = 0; tag < DEPTH; tag++) {
        const struct fake_record *record = &f->fake->records[tag];
        assert_int_equal(UBLK_U_IO_FETCH_REQ, record->command);
        struct ublksrv_io_cmd argument = argument_of(record);
        assert_int_equal(3, argument.q_id);
        assert_int_equal(tag, argument.tag);
        assert_int_equal(first + (uint64_t)tag * BUFFER_BYTES, argument.addr);
    }
    assert_int_equal(1, f->fake->submit_useful_count);
}

static void keeps_its_buffers_in_memory_and_out_of_dumps(void **state)
{
    struct fixture *f = *state;
    assert_ptr_equal(f->tags.buffers, locked.iov_base);
    assert_int_equal(DEPTH * BUFFER_BYTES, locked.iov_len);
    assert_memory_equal(&locked, &not_dumped, sizeof(locked));
}

static void does_without_locked_buffers_after_a_warning(void **state)
{
    (void)state;
    struct fixture f = {0};
    mlock_fails = true;
    open_tags(&f, (struct test_device_params){0}, true);
    mlock_fails = false;
    assert_true(test_device_logged(f.test, "bytes of request buffers"));
    close_tags(&f);
}

static void reads_and_writes_straight_from_and_to_the_tags_buffer(void **state)
{
    struct fixture *f = *state;
    fetch(f);
    uint64_t buffer = argument_of(command_of(f, 2)).addr;
    assert_int_equal(4096, run(f, 2, READ, 8, 8));
    const struct fake_record *record = &f->fake->records[DEPTH];
    assert_int_equal(IO_READV, record->opcode);
    assert_int_equal(buffer, (uintptr_t)record->iov_first.iov_base);
    assert_int_equal(8 * 512, record->byte_offset);
    assert_int_equal(65536, run(f, 2, WRITE, 128, 128));
    record = &f->fake->records[DEPTH + 2];
    assert_int_equal(IO_WRITEV, record->opcode);
    assert_int_equal(0, record->flags);
    assert_int_equal(buffer, (uintptr_t)record->iov_first.iov_base);
    assert_int_equal(buffer, argument_of(command_of(f, 2)).addr);
}

static void writes_durably_with_fua(void **state)
{
    struct fixture *f = *state;
    f->test->device.file.direct = true;
    fetch(f);
    assert_int_equal(512, run(f, 0, WRITE | UBLK_IO_F_FUA, 0, 1));
    assert_int_equal(IO_DSYNC, f->fake->records[DEPTH].flags);
    assert_int_equal(512, run(f, 0, WRITE | UBLK_IO_F_META, 0, 1)); /* of the same slot */
    assert_int_equal(0, f->fake->records[DEPTH + 2].flags);
}

static void syncs_for_a_flush(void **state)
{
    struct fixture *f = *state;
    fetch(f);
    assert_int_equal(0, run(f, 0, UBLK_IO_OP_FLUSH, 0, 0));
    assert_int_equal(IO_FDATASYNC, f->fake->records[DEPTH].opcode);
}

static void answers_what_it_does_not_do(void **state)
{
    struct fixture *f = *state;
    fetch(f);
    const uint32_t ops[] = {UBLK_IO_OP_DISCARD, UBLK_IO_OP_WRITE_SAME, UBLK_IO_OP_WRITE_ZEROES, 15,
                            255};
    for (size_t i = 0; i < sizeof(ops) / sizeof(*ops); i++)
        assert_int_equal(-EOPNOTSUPP, run(f, 1, ops[i], 0, 8));
    assert_int_equal(-EIO, run(f, 1, READ, 0, BUFFER_BYTES / 512 + 1)); /* more than a buffer */
    assert_int_equal(-EIO, run(f, 1, WRITE, 2040, 16));                 /* beyond the disk */
    assert_int_equal(-EIO, run(f, 1, READ, UINT64_MAX, 1));
    for (uint32_t i = DEPTH; i < f->fake->record_count; i++)
        assert_int_equal(IO_COMMAND, f->fake->records[i].opcode);
}

static void tells_the_driver_of_every_failure_in_its_words(void **state)
{
    struct fixture *f = *state;
    fetch(f);
    const struct {
        int32_t of_engine;
        int32_t of_commit;
    } results[] = {{-EIO, -EIO},       {-ENOSPC, -ENOSPC}, {-EOPNOTSUPP, -EOPNOTSUPP},
                   {-ENODATA, -EIO},   {-ETIMEDOUT, -EIO}, {-ENODEV, -EIO},
                   {-EAGAIN, -EIO},    {-EFAULT, -EIO},    {-EINTR, -EIO},
                   {-ECANCELED, -EIO}, {-ENOMEM, -EIO}};
    for (size_t i = 0; i < sizeof(results) / sizeof(*results); i++) {
        fake_engine_fail(f->fake, IO_READV, 1, results[i].of_engine);
        assert_int_equal(results[i].of_commit, run(f, 0, READ, 0, 1));
    }
}

/* What came later and is done sooner is answered sooner: nothing waits for a batch. */
static void a_slow_request_holds_up_nobody(void **state)
{
    struct fixture *f = *state;
    fetch(f);
    fake_engine_hold(f->fake, true);
    send(f, 0, READ, 0, 1);
    send(f, 1, READ, 1, 1);
    assert_int_equal(2, round_of(f));
    uint32_t slow = DEPTH, fast = DEPTH + 1;
    fake_engine_complete(f->fake, fast, 0);
    round_of(f);
    assert_int_equal(512, committed(f, 1));
    assert_true(command_of(f, 0)->completed); /* with us, so nothing of it is at the driver */
    for (int i = 0; i < 50; i++) {            /* the tag is used again and again meanwhile */
        uint32_t next = f->fake->record_count;
        send(f, 1, READ, 1, 1);
        round_of(f);
        fake_engine_complete(f->fake, next, 0);
        round_of(f);
        assert_int_equal(512, committed(f, 1));
    }
    fake_engine_complete(f->fake, slow, 0);
    round_of(f);
    assert_int_equal(512, committed(f, 0));
}

static void commits_starts_and_fetches_in_one_submit(void **state)
{
    struct fixture *f = *state;
    fetch(f);
    for (uint16_t tag = 0; tag < DEPTH; tag++)
        send(f, tag, READ, tag, 1);
    uint64_t before = f->fake->submit_useful_count;
    round_of(f); /* starts all of them */
    round_of(f); /* commits all of them */
    assert_int_equal(before + 2, f->fake->submit_useful_count);
    for (uint16_t tag = 0; tag < DEPTH; tag++)
        assert_int_equal(512, committed(f, tag));
}

static void an_aborted_tag_is_gone(void **state)
{
    struct fixture *f = *state;
    fetch(f);
    for (uint16_t tag = 0; tag < DEPTH; tag++) {
        assert_false(ublk_tags_over(&f->tags));
        abort_tag(f, tag, UBLK_IO_RES_ABORT);
        round_of(f);
    }
    assert_true(ublk_tags_over(&f->tags));
    assert_int_equal(0, f->tags.failure);
    assert_int_equal(DEPTH, f->fake->record_count); /* nothing was fetched again */
}

static void an_abort_waits_for_the_request_that_is_here(void **state)
{
    struct fixture *f = *state;
    fetch(f);
    fake_engine_hold(f->fake, true);
    send(f, 0, WRITE, 0, 1);
    round_of(f);
    for (uint16_t tag = 1; tag < DEPTH; tag++)
        abort_tag(f, tag, UBLK_IO_RES_ABORT);
    round_of(f);
    assert_false(ublk_tags_over(&f->tags));
    fake_engine_complete(f->fake, DEPTH, 0);
    round_of(f);
    assert_int_equal(512, committed(f, 0));
    assert_false(ublk_tags_over(&f->tags));
    abort_tag(f, 0, UBLK_IO_RES_ABORT);
    round_of(f);
    assert_true(ublk_tags_over(&f->tags));
}

static void remembers_why_a_command_was_refused(void **state)
{
    struct fixture *f = *state;
    fetch(f);
    abort_tag(f, 0, UBLK_IO_RES_ABORT);
    abort_tag(f, 1, -EINVAL);
    abort_tag(f, 2, -EBUSY);
    round_of(f);
    assert_int_equal(3, f->tags.gone);
    assert_int_equal(-EINVAL, f->tags.failure);
}

/* UBLK_IO_RES_NEED_GET_DATA, which nobody asked for. */
static void takes_an_answer_without_meaning_for_a_refusal(void **state)
{
    struct fixture *f = *state;
    fetch(f);
    abort_tag(f, 0, 1);
    round_of(f);
    assert_int_equal(-EPROTO, f->tags.failure);
}

static void drops_requests_for_the_next_server(void **state)
{
    struct fixture *f = *state;
    fetch(f);
    send(f, 4, READ, 0, 1);
    round_of(f);
    blk_queue_reap(f->blk, 1);
    uint32_t before = f->fake->record_count;
    assert_int_equal(1, ublk_tags_drop(&f->tags));
    assert_int_equal(0, blk_queue_busy(f->blk));
    assert_int_equal(before, f->fake->record_count); /* no commit */
    assert_int_equal(1, f->tags.gone);
}

static void speaks_plain_numbers_to_an_old_kernel(void **state)
{
    (void)state;
    struct fixture f = {0};
    open_tags(&f, (struct test_device_params){0}, false);
    fetch(&f);
    assert_int_equal(UBLK_IO_FETCH_REQ, f.fake->records[0].command);
    send(&f, 0, READ, 0, 1);
    round_of(&f);
    round_of(&f);
    assert_int_equal(UBLK_IO_COMMIT_AND_FETCH_REQ, command_of(&f, 0)->command);
    close_tags(&f);
}

/* Commits in whatever order transfers end; every request exactly once. */
static void commits_everything_once_whatever_the_order(void **state)
{
    struct fixture *f = *state;
    struct test_random random = {.state = test_seed()};
    const uint64_t count = test_count(2000, 50000);
    bool at_driver[DEPTH];
    uint64_t sent = 0, answered = 0;
    test_print_scale(count, "requests in random order");
    fetch(f);
    fake_engine_hold(f->fake, true);
    memset(at_driver, true, sizeof(at_driver));
    while (answered < count) {
        uint16_t tag = (uint16_t)test_random_below(&random, DEPTH);
        if (at_driver[tag]) {
            send(f, tag, test_random_one_in(&random, 2) ? READ : WRITE, tag, 1);
            at_driver[tag] = false;
            sent++;
        }
        for (uint32_t i = f->seen > 64 ? f->seen - 64 : 0; i < f->seen; i++) {
            const struct fake_record *record = &f->fake->records[i];
            if (record->opcode != IO_COMMAND && !record->completed &&
                test_random_one_in(&random, 3))
                fake_engine_complete(f->fake, i, 0);
        }
        round_of(f);
        for (tag = 0; tag < DEPTH; tag++) {
            if (!at_driver[tag] && !command_of(f, tag)->completed) {
                assert_int_equal(512, committed(f, tag));
                at_driver[tag] = true;
                answered++;
            }
        }
    }
    fake_engine_hold(f->fake, false);
    round_of(f);
    round_of(f);
    assert_int_equal(0, blk_queue_busy(f->blk));
    assert_int_equal(DEPTH + sent, fake_engine_count(f->fake, IO_COMMAND));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(fetches_every_tag_once_with_a_buffer_of_its_own),
        TEST(keeps_its_buffers_in_memory_and_out_of_dumps),
        cmocka_unit_test(does_without_locked_buffers_after_a_warning),
        TEST(reads_and_writes_straight_from_and_to_the_tags_buffer),
        TEST(writes_durably_with_fua),
        TEST(syncs_for_a_flush),
        TEST(answers_what_it_does_not_do),
        TEST(tells_the_driver_of_every_failure_in_its_words),
        TEST(a_slow_request_holds_up_nobody),
        TEST(commits_starts_and_fetches_in_one_submit),
        TEST(an_aborted_tag_is_gone),
        TEST(an_abort_waits_for_the_request_that_is_here),
        TEST(remembers_why_a_command_was_refused),
        TEST(takes_an_answer_without_meaning_for_a_refusal),
        TEST(drops_requests_for_the_next_server),
        cmocka_unit_test(speaks_plain_numbers_to_an_old_kernel),
        TEST(commits_everything_once_whatever_the_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
