/* SPDX-License-Identifier: AGPL-3.0-only */
/* Requests of a disk that is filled on demand: which wait, which go where, what they return. */
#include "blk/blk_queue.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "blk/blk_transfer.h"
#include "support/cmocka_test.h"
#include "support/fake_engine.h"
#include "support/lazy_device.h"
#include "support/test_scale.h"

enum { GUEST_BYTES = 1 << 20, STARTED_NS = 1000, STRIPES = 8 };

struct fixture {
    struct lazy_device *lazy;
    struct fake_engine *fake;
    struct blk_queue *queue;
    uint8_t *guest;
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    assert_non_null(f);
    f->guest = mmap(NULL, GUEST_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(f->guest != MAP_FAILED);
    *state = f;
    return 0;
}

static uint32_t end_all(struct fixture *f)
{
    uint32_t count = 0;
    struct blk_request *request;
    for (int i = 0; i < 100; i++) {
        blk_queue_submit(f->queue, STARTED_NS + 1);
        blk_queue_reap(f->queue, STARTED_NS + 2);
        while ((request = blk_queue_next_done(f->queue))) {
            blk_queue_release(f->queue, request);
            count++;
        }
    }
    return count;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    if (f->queue) {
        blk_queue_expire_held(f->queue);
        fake_engine_hold(f->fake, false);
        end_all(f);
        blk_queue_destroy(f->queue);
        lazy_device_destroy(f->lazy);
    }
    munmap(f->guest, GUEST_BYTES);
    free(f);
    return 0;
}

static void open_queue(struct fixture *f, struct lazy_device_params params)
{
    if (params.device.byte_len == 0) {
        params.device.byte_len = STRIPES * LAZY_STRIPE_BYTES;
    }
    f->lazy = lazy_device_create(&params);
    const int fds[] = {f->lazy->device->file.fd, f->lazy->device->file.fd, f->lazy->image_fd};
    f->fake =
        fake_engine_create(blk_transfer_depth(f->lazy->device), fds, sizeof(fds) / sizeof(*fds));
    assert_int_equal(0, blk_queue_create_on(f->lazy->device, 0, &f->fake->base, &f->queue, NULL));
}

static struct blk_request *start(struct fixture *f, uint32_t slot, enum queue_op op,
                                 uint64_t sector, void *base, uint64_t byte_len)
{
    struct blk_request *request = blk_queue_slot(f->queue, slot);
    request->op = op;
    request->sector = sector;
    request->inline_iov[0] = (struct iovec){base, byte_len};
    request->iov = request->inline_iov;
    request->iov_count = byte_len > 0 ? 1 : 0;
    request->byte_len = byte_len;
    request->sector_count = (uint32_t)(byte_len / 512);
    blk_queue_start(f->queue, request, STARTED_NS);
    return request;
}

static struct blk_request *run(struct fixture *f)
{
    assert_int_equal(0, blk_queue_submit(f->queue, STARTED_NS + 1));
    blk_queue_reap(f->queue, STARTED_NS + 2);
    struct blk_request *request = blk_queue_next_done(f->queue);
    if (request) {
        blk_queue_release(f->queue, request);
    }
    return request;
}

/* What was never written on an encrypted disk deciphers to noise; that is nobody's content. */
static bool has_content(const struct fixture *f, uint64_t byte_offset)
{
    uint32_t stripe = (uint32_t)(byte_offset / LAZY_STRIPE_BYTES);
    return !f->lazy->device->xts ||
           (stripe_map_flags(f->lazy->map, stripe) & STRIPE_HAS_SOURCE) != 0;
}

static void assert_source(const struct fixture *f, const uint8_t *bytes, uint64_t byte_offset,
                          uint64_t byte_len)
{
    for (uint64_t i = 0; i < byte_len; i++) {
        uint8_t expected = lazy_device_byte(f->lazy, byte_offset + i);
        if (bytes[i] != expected && has_content(f, byte_offset + i)) {
            fail_msg("byte %lu of the disk is %d, the source has %d",
                     (unsigned long)(byte_offset + i), bytes[i], expected);
        }
    }
}

static void a_read_waits_until_its_stripe_is_on_the_base_disk(void **state)
{
    struct fixture *f = *state;
    open_queue(f, (struct lazy_device_params){0});
    struct blk_request *request = start(f, 0, QUEUE_OP_READ, 70, f->guest, 1024);
    assert_int_equal(BLK_REQUEST_WAITING, request->state);
    assert_null(run(f));
    assert_int_equal(0, f->fake->record_count);
    assert_int_equal(1, blk_queue_held(f->queue));
    assert_int_equal(1, blk_queue_busy(f->queue));
    struct miss miss = lazy_device_miss(f->lazy);
    assert_int_equal(MISS_READ, miss.kind);
    assert_int_equal(1, miss.stripe);
    lazy_device_fetch(f->lazy, 1);
    assert_ptr_equal(request, run(f));
    assert_int_equal(0, request->result);
    assert_source(f, f->guest, 70 * 512, 1024);
    assert_int_equal(0, blk_queue_held(f->queue));
}

static void a_write_waits_until_the_fetch_is_committed(void **state)
{
    struct fixture *f = *state;
    open_queue(f, (struct lazy_device_params){0});
    memset(f->guest, 0xee, 512);
    struct blk_request *request = start(f, 0, QUEUE_OP_WRITE, 64, f->guest, 512);
    struct miss miss = lazy_device_miss(f->lazy);
    assert_int_equal(MISS_WRITE, miss.kind);
    lazy_device_fetch(f->lazy, 1);
    assert_null(run(f));
    assert_int_equal(0, fake_engine_count(f->fake, IO_WRITEV));
    lazy_device_commit(f->lazy, 1);
    assert_ptr_equal(request, run(f));
    assert_int_equal(0, request->result);
    assert_int_equal(0xee, f->lazy->test->disk[64 * 512]);
    assert_source(f, f->lazy->test->disk + 65 * 512, 65 * 512, 512);
}

/* Even one that covers the whole stripe. */
static void a_tracked_write_waits_for_its_mark_where_nothing_is_to_fetch(void **state)
{
    struct fixture *f = *state;
    open_queue(f, (struct lazy_device_params){.track_written = true, .image_byte_len = 512});
    struct blk_request *request =
        start(f, 0, QUEUE_OP_WRITE, LAZY_STRIPE_SECTORS, f->guest, LAZY_STRIPE_BYTES);
    assert_null(run(f));
    struct miss miss = lazy_device_miss(f->lazy);
    assert_int_equal(MISS_WRITE, miss.kind);
    assert_int_equal(1, miss.stripe);
    struct blk_request *read = start(f, 1, QUEUE_OP_READ, LAZY_STRIPE_SECTORS, f->guest, 512);
    assert_ptr_equal(read, run(f));
    stripe_map_publish(f->lazy->map, 1, STRIPE_WRITTEN, STRIPE_WRITE_ASKED);
    stripe_map_wake(f->lazy->map);
    assert_ptr_equal(request, run(f));
    struct blk_request *again = start(f, 2, QUEUE_OP_WRITE, LAZY_STRIPE_SECTORS, f->guest, 512);
    assert_ptr_equal(again, run(f));
}

static void requests_to_other_stripes_pass_a_waiting_one(void **state)
{
    struct fixture *f = *state;
    open_queue(f, (struct lazy_device_params){0});
    lazy_device_fetch(f->lazy, 2);
    struct blk_request *held = start(f, 0, QUEUE_OP_READ, 0, f->guest, 512);
    struct blk_request *goes = start(f, 1, QUEUE_OP_READ, 128, f->guest + 4096, 512);
    struct blk_request *flush = start(f, 2, QUEUE_OP_FLUSH, 0, NULL, 0);
    assert_ptr_equal(goes, run(f));
    assert_source(f, f->guest + 4096, 128 * 512, 512);
    assert_int_equal(1, end_all(f)); /* the flush: it waits for nobody */
    assert_int_equal(BLK_REQUEST_FREE, flush->state);
    assert_int_equal(BLK_REQUEST_WAITING, held->state);
}

static void a_request_across_stripes_waits_for_all_of_them(void **state)
{
    struct fixture *f = *state;
    open_queue(f, (struct lazy_device_params){.device.encrypted = true});
    struct blk_request *request = start(f, 0, QUEUE_OP_READ, 60, f->guest, 2 * LAZY_STRIPE_BYTES);
    for (uint32_t stripe = 0; stripe < 3; stripe++) { /* asked for at once */
        assert_int_equal(stripe, lazy_device_miss(f->lazy).stripe);
    }
    lazy_device_fetch(f->lazy, 1);
    assert_null(run(f));
    lazy_device_fetch(f->lazy, 0);
    assert_null(run(f));
    lazy_device_fetch(f->lazy, 2);
    assert_ptr_equal(request, run(f));
    assert_source(f, f->guest, 60 * 512, 2 * LAZY_STRIPE_BYTES);
}

static void a_request_that_waited_long_enough_fails(void **state)
{
    struct fixture *f = *state;
    open_queue(f, (struct lazy_device_params){.fetch_timeout_ms = 7});
    struct blk_request *request = start(f, 0, QUEUE_OP_READ, 0, f->guest, 512);
    uint64_t deadline_ns = blk_queue_deadline_ns(f->queue);
    assert_int_equal(STARTED_NS + 7000000, deadline_ns);
    assert_int_equal(0, blk_queue_submit(f->queue, deadline_ns - 1));
    assert_null(blk_queue_next_done(f->queue));
    assert_int_equal(0, blk_queue_submit(f->queue, deadline_ns));
    assert_ptr_equal(request, blk_queue_next_done(f->queue));
    assert_int_equal(-ETIMEDOUT, request->result);
    blk_queue_release(f->queue, request);
    assert_int_equal(UINT64_MAX, blk_queue_deadline_ns(f->queue));
    lazy_device_fetch(f->lazy, 0); /* the stripe itself stays fetchable */
    request = start(f, 0, QUEUE_OP_READ, 0, f->guest, 512);
    assert_ptr_equal(request, run(f));
    assert_int_equal(0, request->result);
}

static void a_waiting_request_can_be_taken_back(void **state)
{
    struct fixture *f = *state;
    open_queue(f, (struct lazy_device_params){0});
    struct blk_request *request = start(f, 0, QUEUE_OP_WRITE, 0, f->guest, 512);
    struct blk_request *other = start(f, 1, QUEUE_OP_FLUSH, 0, NULL, 0);
    fake_engine_hold(f->fake, true);
    assert_null(run(f));
    assert_false(blk_queue_withdraw(f->queue, other)); /* it is with the disk */
    assert_true(blk_queue_withdraw(f->queue, request));
    assert_int_equal(BLK_REQUEST_FREE, request->state);
    assert_false(blk_queue_withdraw(f->queue, request));
    assert_int_equal(1, blk_queue_busy(f->queue));
    assert_int_equal(0, blk_queue_held(f->queue));
    const struct queue_stats *stats = f->lazy->device->stats[0];
    assert_int_equal(0, atomic_load(&stats->activity[0].kind_sectors));
    assert_int_equal(0, atomic_load(&stats->op[QUEUE_OP_WRITE].ops));
    lazy_device_fetch(f->lazy, 0);
    lazy_device_commit(f->lazy, 0);
    fake_engine_hold(f->fake, false);
    assert_ptr_equal(other, run(f));
    assert_null(run(f));
    assert_int_equal(0, fake_engine_count(f->fake, IO_WRITEV));
}

/* What counts is the mode at the moment at which it is written. */
static void a_write_that_waited_while_the_cache_was_turned_off_is_durable(void **state)
{
    struct fixture *f = *state;
    open_queue(f, (struct lazy_device_params){0});
    struct blk_request *request = start(f, 0, QUEUE_OP_WRITE, 0, f->guest, 512);
    assert_int_equal(0, blk_queue_volatile_writes(f->queue)); /* nothing to drain */
    atomic_store(&f->lazy->device->write_back, false);
    lazy_device_fetch(f->lazy, 0);
    lazy_device_commit(f->lazy, 0);
    struct blk_request *ended = NULL;
    for (int i = 0; i < 4 && !ended; i++)
        ended = run(f);
    assert_ptr_equal(request, ended);
    assert_int_equal(IO_WRITEV, f->fake->records[0].opcode);
    assert_int_equal(IO_FDATASYNC, f->fake->records[1].opcode);
}

static void a_write_that_waited_fails_when_an_fsync_failed_meanwhile(void **state)
{
    struct fixture *f = *state;
    open_queue(f, (struct lazy_device_params){.device.write_through = true});
    struct blk_request *request = start(f, 0, QUEUE_OP_WRITE, 0, f->guest, 512);
    blk_device_fsync_failed(f->lazy->device, EIO);
    lazy_device_commit(f->lazy, 0);
    assert_ptr_equal(request, run(f));
    assert_int_equal(-EIO, request->result);
    assert_int_equal(0, fake_engine_count(f->fake, IO_WRITEV));
}

static void a_request_of_no_length_does_not_wait(void **state)
{
    struct fixture *f = *state;
    open_queue(f, (struct lazy_device_params){0});
    struct blk_request *request = start(f, 0, QUEUE_OP_READ, 0, f->guest, 0);
    assert_ptr_equal(request, run(f));
    assert_int_equal(0, request->result);
    uint64_t capacity = f->lazy->device->capacity;
    request = start(f, 0, QUEUE_OP_READ, capacity, f->guest, 512);
    assert_ptr_equal(request, run(f));
    assert_int_equal(-EINVAL, request->result);
}

/* --- reads that go to the image --------------------------------------------------------------- */

static void reads_go_to_the_image_and_fetch_nothing(void **state)
{
    struct fixture *f = *state;
    open_queue(f, (struct lazy_device_params){.read_through = true, .device.encrypted = true});
    struct blk_request *request = start(f, 0, QUEUE_OP_READ, 3, f->guest, 100 * 512);
    assert_ptr_equal(request, run(f));
    assert_int_equal(0, request->result);
    assert_source(f, f->guest, 3 * 512, 100 * 512);
    assert_int_equal(FILE_IMAGE, f->fake->records[0].file);
    struct blk_request *write = start(f, 1, QUEUE_OP_WRITE, 256, f->guest, 512);
    struct miss miss = lazy_device_miss(f->lazy); /* the first one there is */
    assert_int_equal(MISS_WRITE, miss.kind);
    assert_int_equal(4, miss.stripe);
    assert_int_equal(BLK_REQUEST_WAITING, write->state);
}

static void a_read_is_split_where_the_stripes_differ(void **state)
{
    struct fixture *f = *state;
    open_queue(f, (struct lazy_device_params){.read_through = true, .device.encrypted = true});
    lazy_device_fetch(f->lazy, 1);
    lazy_device_fetch(f->lazy, 2);
    memset(f->lazy->image + LAZY_STRIPE_BYTES, 0, 2 * LAZY_STRIPE_BYTES); /* must not be read */
    struct blk_request *request = start(f, 0, QUEUE_OP_READ, 32, f->guest, 4 * LAZY_STRIPE_BYTES);
    assert_ptr_equal(request, run(f));
    assert_int_equal(0, request->result);
    assert_source(f, f->guest, 32 * 512, 4 * LAZY_STRIPE_BYTES);
}

static void beyond_the_end_of_the_image_are_zeros(void **state)
{
    struct fixture *f = *state;
    const uint64_t image_byte_len = 3 * LAZY_STRIPE_BYTES + 1234;
    open_queue(f, (struct lazy_device_params){.read_through = true,
                                              .device.encrypted = true,
                                              .image_byte_len = image_byte_len});
    memset(f->guest, 0x77, GUEST_BYTES);
    struct blk_request *request =
        start(f, 0, QUEUE_OP_READ, 3 * LAZY_STRIPE_SECTORS, f->guest, LAZY_STRIPE_BYTES);
    assert_ptr_equal(request, run(f));
    assert_source(f, f->guest, 3 * LAZY_STRIPE_BYTES, LAZY_STRIPE_BYTES);
    assert_int_equal(1234, f->fake->records[0].byte_len);
    uint32_t before = f->fake->record_count;
    request = start(f, 0, QUEUE_OP_READ, 3 * LAZY_STRIPE_SECTORS + 3, f->guest, 4096);
    assert_ptr_equal(request, run(f)); /* zeros alone: nothing to ask the disk for */
    assert_int_equal(before, f->fake->record_count);
    assert_source(f, f->guest, 3 * LAZY_STRIPE_BYTES + 3 * 512, 4096);
}

static void an_image_that_became_shorter_is_an_error_and_no_zeros(void **state)
{
    struct fixture *f = *state;
    open_queue(f, (struct lazy_device_params){.read_through = true});
    fake_engine_fail(f->fake, IO_READV, 1, -ENODATA);
    struct blk_request *request = start(f, 0, QUEUE_OP_READ, 0, f->guest, 512);
    assert_ptr_equal(request, run(f));
    assert_int_equal(-ENODATA, request->result);
}

static void the_image_is_let_go_when_no_read_needs_it(void **state)
{
    struct fixture *f = *state;
    open_queue(f, (struct lazy_device_params){.read_through = true});
    fake_engine_hold(f->fake, true);
    struct blk_request *request = start(f, 0, QUEUE_OP_READ, 0, f->guest, 512);
    for (uint32_t stripe = 0; stripe < STRIPES; stripe++) {
        lazy_device_fetch(f->lazy, stripe);
        lazy_device_commit(f->lazy, stripe);
    }
    blk_lazy_drop_image(f->lazy->lazy);
    assert_null(run(f));
    assert_int_equal(0, f->fake->dropped_files);
    assert_true(f->lazy->lazy->image_fd >= 0);
    fake_engine_hold(f->fake, false);
    assert_ptr_equal(request, run(f));
    assert_null(run(f));
    assert_int_equal(1 << FILE_IMAGE, f->fake->dropped_files);
    assert_int_equal(-1, f->lazy->lazy->image_fd);
    request = start(f, 0, QUEUE_OP_READ, 0, f->guest, 512);
    assert_ptr_equal(request, run(f));
    assert_source(f, f->guest, 0, 512);
}

/* With track_written the map stays closed, and a queue that reads all the time has always some in
 * flight. */
static void the_image_is_let_go_under_reads_that_never_end(void **state)
{
    struct fixture *f = *state;
    open_queue(f, (struct lazy_device_params){.read_through = true, .track_written = true});
    fake_engine_hold(f->fake, true);
    struct blk_request *request = start(f, 0, QUEUE_OP_READ, 0, f->guest, 512);
    assert_null(run(f));
    for (uint32_t stripe = 0; stripe < STRIPES; stripe++) {
        lazy_device_fetch(f->lazy, stripe);
        stripe_map_publish(f->lazy->map, stripe, STRIPE_FETCHED, STRIPE_READABLE);
    }
    blk_lazy_drop_image(f->lazy->lazy);
    start(f, 1, QUEUE_OP_READ, 0, f->guest + 4096, 512);
    assert_int_equal(0, blk_queue_submit(f->queue, STARTED_NS + 1));
    fake_engine_complete(f->fake, 0, 0);
    assert_ptr_equal(request, run(f)); /* the other one is with the disk still */
    assert_null(run(f));
    assert_int_equal(1 << FILE_IMAGE, f->fake->dropped_files);
    fake_engine_hold(f->fake, false);
    assert_non_null(run(f));
    assert_source(f, f->guest + 4096, 0, 512);
}

/* --- all of it at random ---------------------------------------------------------------------- */

/* Segments of any lengths, empty ones among them, over byte_len bytes of guest memory. */
static uint32_t cut(struct test_random *random, struct blk_request *request, uint8_t *guest,
                    uint64_t byte_len, uint64_t unit)
{
    uint32_t count = 0;
    request->iov = request->inline_iov;
    while (byte_len > 0 && count < BLK_REQUEST_SEGMENTS_INLINE - 1) {
        uint64_t part = unit * test_random_below(random, byte_len / unit + 1);
        request->iov[count++] = (struct iovec){guest, part};
        guest += part;
        byte_len -= part;
    }
    request->iov[count++] = (struct iovec){guest, byte_len};
    return count;
}

static void start_random_read(struct fixture *f, struct test_random *random, uint32_t slot,
                              uint64_t unit)
{
    struct blk_request *request = blk_queue_slot(f->queue, slot);
    uint32_t sectors = 1 + (uint32_t)test_random_below(random, 3 * LAZY_STRIPE_SECTORS - 1);
    uint32_t room = (uint32_t)f->lazy->device->capacity - sectors;
    request->op = QUEUE_OP_READ;
    request->sector = test_random_below(random, room + 1);
    request->sector_count = sectors;
    request->byte_len = sectors * 512;
    uint8_t *guest = f->guest + (uint64_t)slot * 3 * LAZY_STRIPE_BYTES + slot * unit;
    memset(guest, 0x99, request->byte_len);
    request->iov_count = cut(random, request, guest, request->byte_len, unit);
    blk_queue_start(f->queue, request, STARTED_NS);
}

static void publish_random(struct fixture *f, struct test_random *random)
{
    uint32_t stripe = (uint32_t)test_random_below(random, STRIPES);
    if (stripe_on_base(stripe_map_flags(f->lazy->map, stripe))) {
        return;
    }
    lazy_device_fetch(f->lazy, stripe);
    if (test_random_one_in(random, 2)) {
        lazy_device_commit(f->lazy, stripe);
    }
}

static void check_ended(struct fixture *f, uint64_t unit)
{
    struct blk_request *request;
    blk_queue_submit(f->queue, STARTED_NS + 1);
    blk_queue_reap(f->queue, STARTED_NS + 2);
    while ((request = blk_queue_next_done(f->queue))) {
        uint8_t *guest =
            f->guest + (uint64_t)request->slot * 3 * LAZY_STRIPE_BYTES + request->slot * unit;
        assert_int_equal(0, request->result);
        assert_source(f, guest, request->sector * 512, request->byte_len);
        blk_queue_release(f->queue, request);
    }
}

static void random_reads_beside_fetches(struct fixture *f, struct lazy_device_params params,
                                        uint64_t unit)
{
    enum { SLOTS = 4 };
    struct test_random random = {.state = test_seed()};
    uint64_t rounds = test_count(60, 1500);
    test_print_scale(rounds, "disks read beside fetches");
    for (uint64_t round = 0; round < rounds; round++) {
        params.image_byte_len = 1 + test_random_below(&random, STRIPES * LAZY_STRIPE_BYTES);
        open_queue(f, params);
        fake_engine_hold(f->fake, true);
        for (int i = 0; i < 60; i++) {
            uint32_t slot = (uint32_t)test_random_below(&random, SLOTS);
            if (blk_queue_slot(f->queue, slot)->state == BLK_REQUEST_FREE) {
                start_random_read(f, &random, slot, unit);
            }
            if (test_random_one_in(&random, 4)) {
                publish_random(f, &random);
            }
            blk_queue_submit(f->queue, STARTED_NS + 1);
            if (fake_engine_pending(f->fake) > 0 && test_random_one_in(&random, 2)) {
                uint32_t nth = (uint32_t)test_random_below(&random, fake_engine_pending(f->fake));
                fake_engine_complete(f->fake, fake_engine_pending_at(f->fake, nth), 0);
            }
            check_ended(f, unit);
        }
        fake_engine_hold(f->fake, false);
        for (uint32_t i = 0; i < 100 && blk_queue_busy(f->queue) > 0; i++) {
            check_ended(f, unit);
        }
        assert_int_equal(0, blk_queue_busy(f->queue));
        blk_queue_destroy(f->queue);
        lazy_device_destroy(f->lazy);
        f->queue = NULL;
    }
}

static void random_reads_return_the_source_on_a_plain_disk(void **state)
{
    random_reads_beside_fetches(*state, (struct lazy_device_params){.read_through = true}, 1);
}

static void random_reads_return_the_source_on_an_encrypted_disk(void **state)
{
    const struct lazy_device_params params = {.read_through = true, .device.encrypted = true};
    random_reads_beside_fetches(*state, params, 1);
}

static void random_reads_return_the_source_on_an_aligned_disk(void **state)
{
    const struct lazy_device_params params = {.read_through = true, .device.memory_align = 512};
    random_reads_beside_fetches(*state, params, 128);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_read_waits_until_its_stripe_is_on_the_base_disk),
        TEST(a_write_waits_until_the_fetch_is_committed),
        TEST(a_tracked_write_waits_for_its_mark_where_nothing_is_to_fetch),
        TEST(requests_to_other_stripes_pass_a_waiting_one),
        TEST(a_request_across_stripes_waits_for_all_of_them),
        TEST(a_request_that_waited_long_enough_fails),
        TEST(a_waiting_request_can_be_taken_back),
        TEST(a_write_that_waited_while_the_cache_was_turned_off_is_durable),
        TEST(a_write_that_waited_fails_when_an_fsync_failed_meanwhile),
        TEST(a_request_of_no_length_does_not_wait),
        TEST(reads_go_to_the_image_and_fetch_nothing),
        TEST(a_read_is_split_where_the_stripes_differ),
        TEST(beyond_the_end_of_the_image_are_zeros),
        TEST(an_image_that_became_shorter_is_an_error_and_no_zeros),
        TEST(the_image_is_let_go_when_no_read_needs_it),
        TEST(the_image_is_let_go_under_reads_that_never_end),
        TEST(random_reads_return_the_source_on_a_plain_disk),
        TEST(random_reads_return_the_source_on_an_encrypted_disk),
        TEST(random_reads_return_the_source_on_an_aligned_disk),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
