/* SPDX-License-Identifier: AGPL-3.0-only */
/* What a queue promises to be on stable storage: flushes, durable writes, and what a sync that
 * failed means for those after it. */
#include "blk/blk_queue.h"

#include <errno.h>

#include "mem/buffer_pool.h"
#include "support/cmocka_test.h"
#include "support/queue_rig.h"

enum { PIECE_BYTES = BUFFER_POOL_PIECE_BYTES_MAX };

static void syncs_once_for_a_flush(void **state)
{
    struct rig *rig = *state;
    rig_open(rig, (struct test_device_params){0}, true);
    assert_int_equal(0, rig_end(rig, rig_flush(rig, 0)));
    assert_int_equal(1, rig->fake->record_count);
    assert_int_equal(IO_FDATASYNC, rig_record(rig, 0)->opcode);
}

static void writes_durably_when_the_cache_is_off(void **state)
{
    struct rig *rig = *state;
    rig_open(rig, (struct test_device_params){.write_through = true}, true);
    rig->device->file.direct = true;
    fake_engine_hold(rig->fake, true);
    struct blk_request *write = rig_start(rig, 0, QUEUE_OP_WRITE, 0, rig->guest, 512);
    assert_true(write->durable);
    assert_int_equal(0, blk_queue_volatile_writes(rig->queue));
    rig_start(rig, 1, QUEUE_OP_READ, 0, rig->guest, 512);
    atomic_store(&rig->device->write_back, true);
    rig_start(rig, 2, QUEUE_OP_WRITE, 0, rig->guest, 512);
    assert_int_equal(1, blk_queue_volatile_writes(rig->queue));
    assert_int_equal(IO_DSYNC, rig_record(rig, 0)->flags);
    assert_int_equal(0, rig_record(rig, 1)->flags);
    assert_int_equal(0, rig_record(rig, 2)->flags);
    fake_engine_hold(rig->fake, false);
    while (rig_run(rig)) {
    }
    assert_int_equal(0, blk_queue_volatile_writes(rig->queue));
}

static void writes_durably_what_the_driver_wants_durable(void **state)
{
    struct rig *rig = *state;
    rig_open(rig, (struct test_device_params){0}, true);
    rig->device->file.direct = true;
    struct blk_request *request = blk_queue_slot(rig->queue, 0);
    request->fua = true;
    assert_int_equal(0, rig_end(rig, rig_start(rig, 0, QUEUE_OP_WRITE, 0, rig->guest, 512)));
    assert_int_equal(IO_DSYNC, rig_record(rig, 0)->flags);
    assert_int_equal(0, rig_end(rig, rig_start(rig, 0, QUEUE_OP_READ, 0, rig->guest, 512)));
    assert_int_equal(0, rig_record(rig, 1)->flags);
    request->fua = false;
    assert_int_equal(0, rig_end(rig, rig_start(rig, 0, QUEUE_OP_WRITE, 0, rig->guest, 512)));
    assert_int_equal(0, rig_record(rig, 2)->flags);
}

/* A request that is popped before the cache goes off and waits keeps what it was. */
static void decides_about_durability_when_a_request_is_started(void **state)
{
    struct rig *rig = *state;
    rig_open(
        rig,
        (struct test_device_params){.memory_align = 512, .bounce_bytes = BUFFER_POOL_BYTES_MIN},
        true);
    fake_engine_hold(rig->fake, true);
    rig_start(rig, 0, QUEUE_OP_WRITE, 0, rig->guest + 1, 4 * PIECE_BYTES);
    struct blk_request *waiting = rig_start(rig, 1, QUEUE_OP_WRITE, 1024, rig->guest, 512);
    assert_int_equal(BLK_REQUEST_WAITING, waiting->state);
    assert_int_equal(2, blk_queue_volatile_writes(rig->queue));
    atomic_store(&rig->device->write_back, false);
    fake_engine_hold(rig->fake, false);
    while (blk_queue_busy(rig->queue) > 0) {
        rig_run(rig);
    }
    for (uint32_t i = 0; i < rig->fake->record_count; i++) {
        assert_int_equal(0, rig_record(rig, i)->flags);
    }
    assert_int_equal(0, blk_queue_volatile_writes(rig->queue));
}

static void believes_no_flush_after_one_failed(void **state)
{
    struct rig *rig = *state;
    rig_open(rig, (struct test_device_params){0}, true);
    fake_engine_fail(rig->fake, IO_FDATASYNC, 1, -EIO);
    assert_int_equal(-EIO, rig_end(rig, rig_flush(rig, 0)));
    assert_int_equal(EIO, blk_device_sticky_errno(rig->device));
    assert_true(test_device_logged(rig->test, "fsync of the disk failed"));
    assert_int_equal(-EIO, rig_end(rig, rig_flush(rig, 0)));
    assert_int_equal(1, rig->fake->record_count); /* and none is tried */
    assert_int_equal(0, rig_end(rig, rig_start(rig, 0, QUEUE_OP_WRITE, 0, rig->guest, 512)));
    assert_int_equal(0, rig_end(rig, rig_start(rig, 0, QUEUE_OP_READ, 0, rig->guest, 512)));
    atomic_store(&rig->device->write_back, false);
    assert_int_equal(-EIO, rig_end(rig, rig_start(rig, 0, QUEUE_OP_WRITE, 0, rig->guest, 512)));
    assert_int_equal(0, rig_end(rig, rig_start(rig, 0, QUEUE_OP_READ, 0, rig->guest, 512)));
    assert_int_equal(4, rig->fake->record_count);
    assert_false(test_device_logged(rig->test, ""));
}

static void fails_a_flush_and_a_durable_write_that_end_after_another_sync_failed(void **state)
{
    struct rig *rig = *state;
    rig_open(rig, (struct test_device_params){.write_through = true}, true);
    rig->device->file.direct = true;
    fake_engine_hold(rig->fake, true);
    struct blk_request *failing = rig_flush(rig, 0);
    struct blk_request *flush = rig_flush(rig, 1);
    struct blk_request *write = rig_start(rig, 2, QUEUE_OP_WRITE, 0, rig->guest, 512);
    struct blk_request *read = rig_start(rig, 3, QUEUE_OP_READ, 0, rig->guest, 512);
    assert_null(rig_run(rig));
    fake_engine_complete(rig->fake, 0, -EIO);
    fake_engine_complete_all(rig->fake); /* the kernel tells of a failure once */
    assert_ptr_equal(failing, rig_run(rig));
    assert_int_equal(-EIO, failing->result);
    assert_ptr_equal(flush, rig_run(rig));
    assert_int_equal(-EIO, flush->result);
    assert_ptr_equal(write, rig_run(rig));
    assert_int_equal(-EIO, write->result);
    assert_ptr_equal(read, rig_run(rig));
    assert_int_equal(0, read->result);
}

/* Had each its own sync, the one that ends first could succeed because the other one, of which
 * nobody knows yet, has been told of the failure. */
static void gives_flushes_that_come_during_a_sync_the_next_one_together(void **state)
{
    struct rig *rig = *state;
    rig_open(rig, (struct test_device_params){0}, true);
    fake_engine_hold(rig->fake, true);
    struct blk_request *first = rig_flush(rig, 0);
    struct blk_request *second = rig_flush(rig, 1);
    struct blk_request *third = rig_flush(rig, 2);
    assert_null(rig_run(rig));
    assert_int_equal(1, rig->fake->record_count);
    fake_engine_complete(rig->fake, 0, 0);
    assert_ptr_equal(first, rig_run(rig)); /* it covers nothing that the others came after */
    assert_int_equal(0, first->result);
    assert_null(rig_run(rig));
    assert_int_equal(2, rig->fake->record_count);
    struct blk_request *fourth = rig_flush(rig, 0);
    fake_engine_complete(rig->fake, 1, -EIO);
    struct blk_request *failed[] = {second, third, fourth};
    for (size_t i = 0; i < sizeof(failed) / sizeof(*failed); i++) {
        assert_ptr_equal(failed[i], rig_run(rig));
        assert_int_equal(-EIO, failed[i]->result);
    }
    assert_int_equal(2, rig->fake->record_count); /* after a failure none is tried */
    assert_int_equal(0, blk_queue_busy(rig->queue));
}

/* Through the page cache the kernel tells of lost data once for all writes of a description. */
static void syncs_what_is_written_durably_to_the_page_cache(void **state)
{
    struct rig *rig = *state;
    rig_open(rig, (struct test_device_params){.write_through = true}, true);
    fake_engine_hold(rig->fake, true);
    struct blk_request *first = rig_start(rig, 0, QUEUE_OP_WRITE, 0, rig->guest, 512);
    struct blk_request *second = rig_start(rig, 1, QUEUE_OP_WRITE, 8, rig->guest, 512);
    struct blk_request *third = rig_start(rig, 2, QUEUE_OP_WRITE, 16, rig->guest, 512);
    assert_null(rig_run(rig));
    fake_engine_complete(rig->fake, 0, 0);
    assert_null(rig_run(rig)); /* it is written, not durable */
    assert_int_equal(4, rig->fake->record_count);
    assert_int_equal(0, rig_record(rig, 0)->flags);
    assert_int_equal(IO_FDATASYNC, rig_record(rig, 3)->opcode);
    fake_engine_complete(rig->fake, 1, 0);
    fake_engine_complete(rig->fake, 2, 0);
    assert_null(rig_run(rig)); /* the sync began before these were written */
    assert_int_equal(4, rig->fake->record_count);
    fake_engine_complete(rig->fake, 3, 0);
    assert_ptr_equal(first, rig_run(rig));
    assert_int_equal(0, first->result);
    assert_null(rig_run(rig));
    assert_int_equal(5, rig->fake->record_count);
    fake_engine_complete(rig->fake, 4, -EIO);
    assert_ptr_equal(second, rig_run(rig));
    assert_ptr_equal(third, rig_run(rig));
    assert_int_equal(-EIO, second->result);
    assert_int_equal(-EIO, third->result);
    assert_int_equal(EIO, blk_device_sticky_errno(rig->device));
}

static void syncs_nothing_after_a_write_that_failed(void **state)
{
    struct rig *rig = *state;
    rig_open(rig, (struct test_device_params){.write_through = true}, true);
    fake_engine_fail(rig->fake, IO_WRITEV, 1, -EIO);
    assert_int_equal(-EIO, rig_end(rig, rig_start(rig, 0, QUEUE_OP_WRITE, 0, rig->guest, 512)));
    assert_int_equal(1, rig->fake->record_count);
    assert_int_equal(0, blk_device_sticky_errno(rig->device));
}

static void syncs_after_those_that_wait_for_buffers(void **state)
{
    struct rig *rig = *state;
    rig_open(rig,
             (struct test_device_params){
                 .write_through = true, .memory_align = 512, .bounce_bytes = BUFFER_POOL_BYTES_MIN},
             true);
    fake_engine_hold(rig->fake, true);
    struct blk_request *write = rig_start(rig, 0, QUEUE_OP_WRITE, 0, rig->guest, 512);
    struct blk_request *large =
        rig_start(rig, 1, QUEUE_OP_READ, 0, rig->guest + 1, 4 * PIECE_BYTES);
    assert_null(rig_run(rig));
    assert_int_equal(BLK_REQUEST_WAITING, large->state);
    fake_engine_complete(rig->fake, 0, 0);
    assert_null(rig_run(rig));
    assert_int_equal(BLK_REQUEST_WAITING, write->state);
    fake_engine_hold(rig->fake, false);
    while (blk_queue_busy(rig->queue) > 0)
        rig_run(rig);
    assert_int_equal(0, write->result);
    assert_int_equal(0, large->result);
    assert_int_equal(1, fake_engine_count(rig->fake, IO_FDATASYNC));
}

static void takes_a_failed_durable_write_for_a_failed_sync(void **state)
{
    struct rig *rig = *state;
    rig_open(rig, (struct test_device_params){.write_through = true}, true);
    rig->device->file.direct = true;
    /* Unmapped guest memory, a disk that is full: nothing was written. */
    const int at_once[] = {-EFAULT, -ENOSPC, -EDQUOT};
    for (size_t i = 0; i < sizeof(at_once) / sizeof(*at_once); i++) {
        fake_engine_fail(rig->fake, IO_WRITEV, 1, at_once[i]);
        struct blk_request *write = rig_start(rig, 0, QUEUE_OP_WRITE, 0, rig->guest, 512);
        assert_int_equal(at_once[i], rig_end(rig, write));
        assert_int_equal(0, blk_device_sticky_errno(rig->device));
    }
    fake_engine_fail(rig->fake, IO_READV, 1, -EIO);
    assert_int_equal(-EIO, rig_end(rig, rig_start(rig, 0, QUEUE_OP_READ, 0, rig->guest, 512)));
    assert_int_equal(0, blk_device_sticky_errno(rig->device));
    fake_engine_fail(rig->fake, IO_WRITEV, 1, -EIO);
    assert_int_equal(-EIO, rig_end(rig, rig_start(rig, 0, QUEUE_OP_WRITE, 0, rig->guest, 512)));
    assert_int_equal(EIO, blk_device_sticky_errno(rig->device));
}

/* Thin volumes find out late. */
static void takes_a_device_that_is_full_for_a_failed_sync(void **state)
{
    struct rig *rig = *state;
    rig_open(rig, (struct test_device_params){.write_through = true}, true);
    rig->device->file.direct = rig->device->file.block_device = true;
    fake_engine_fail(rig->fake, IO_WRITEV, 1, -ENOSPC);
    assert_int_equal(-ENOSPC, rig_end(rig, rig_start(rig, 0, QUEUE_OP_WRITE, 0, rig->guest, 512)));
    assert_int_equal(ENOSPC, blk_device_sticky_errno(rig->device));
}

/* A flush that comes meanwhile shares the sync of a write that waits for the next one. */
static void a_flush_and_a_durable_write_share_a_sync(void **state)
{
    struct rig *rig = *state;
    rig_open(rig, (struct test_device_params){0}, true);
    fake_engine_hold(rig->fake, true);
    struct blk_request *first = rig_flush(rig, 0);
    blk_queue_slot(rig->queue, 1)->fua = true;
    struct blk_request *write = rig_start(rig, 1, QUEUE_OP_WRITE, 0, rig->guest, 512);
    assert_null(rig_run(rig));
    fake_engine_complete(rig->fake, 1, 0);
    assert_null(rig_run(rig));
    struct blk_request *flush = rig_flush(rig, 2);
    fake_engine_complete(rig->fake, 0, 0);
    assert_ptr_equal(first, rig_run(rig));
    assert_null(rig_run(rig));
    assert_int_equal(2, fake_engine_count(rig->fake, IO_FDATASYNC));
    fake_engine_complete_all(rig->fake);
    assert_ptr_equal(write, rig_run(rig));
    assert_ptr_equal(flush, rig_run(rig));
    assert_int_equal(0, write->result);
    assert_int_equal(0, flush->result);
}

static void fails_for_good_when_a_sync_finds_the_disk_full(void **state)
{
    struct rig *rig = *state;
    rig_open(rig, (struct test_device_params){0}, true);
    fake_engine_fail(rig->fake, IO_FDATASYNC, 1, -ENOSPC);
    assert_int_equal(-ENOSPC, rig_end(rig, rig_flush(rig, 0)));
    assert_int_equal(ENOSPC, blk_device_sticky_errno(rig->device));
}

static void does_not_take_a_failed_volatile_write_for_a_failed_sync(void **state)
{
    struct rig *rig = *state;
    rig_open(rig, (struct test_device_params){0}, true);
    fake_engine_fail(rig->fake, IO_WRITEV, 1, -EIO);
    assert_int_equal(-EIO, rig_end(rig, rig_start(rig, 0, QUEUE_OP_WRITE, 0, rig->guest, 512)));
    assert_int_equal(0, blk_device_sticky_errno(rig->device));
    assert_int_equal(0, rig_end(rig, rig_flush(rig, 0)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        RIG_TEST(syncs_once_for_a_flush),
        RIG_TEST(writes_durably_when_the_cache_is_off),
        RIG_TEST(writes_durably_what_the_driver_wants_durable),
        RIG_TEST(decides_about_durability_when_a_request_is_started),
        RIG_TEST(believes_no_flush_after_one_failed),
        RIG_TEST(fails_a_flush_and_a_durable_write_that_end_after_another_sync_failed),
        RIG_TEST(gives_flushes_that_come_during_a_sync_the_next_one_together),
        RIG_TEST(syncs_what_is_written_durably_to_the_page_cache),
        RIG_TEST(syncs_nothing_after_a_write_that_failed),
        RIG_TEST(syncs_after_those_that_wait_for_buffers),
        RIG_TEST(takes_a_failed_durable_write_for_a_failed_sync),
        RIG_TEST(takes_a_device_that_is_full_for_a_failed_sync),
        RIG_TEST(a_flush_and_a_durable_write_share_a_sync),
        RIG_TEST(fails_for_good_when_a_sync_finds_the_disk_full),
        RIG_TEST(does_not_take_a_failed_volatile_write_for_a_failed_sync),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
