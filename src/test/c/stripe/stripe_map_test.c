/* SPDX-License-Identifier: AGPL-3.0-only */
#include "stripe/stripe_map.h"

#include "support/cmocka_test.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>

#include "base/event.h"
#include "support/aborts.h"
#include "support/test_stripes.h"

enum { STRIPES = 4, LACKS = STRIPE_HAS_SOURCE, HAS = STRIPE_HAS_SOURCE | STRIPE_FETCHED };

static struct stripe_map *create(uint8_t flags, bool track_written, bool read_through)
{
    return test_stripes_create(&(struct test_stripes_params){.stripe_count = STRIPES,
                                                             .queue_count = 3,
                                                             .flags = flags,
                                                             .track_written = track_written,
                                                             .read_through = read_through});
}

static bool is_signalled(const struct stripe_map *map, uint32_t queue)
{
    struct pollfd pollfd = {.fd = stripe_map_wake_fd(map, queue), .events = POLLIN};
    assert_int_not_equal(-1, poll(&pollfd, 1, 0));
    event_drain(pollfd.fd);
    return pollfd.revents != 0;
}

/* Puts misses into the ring until it is full. */
static void fill(struct stripe_map *map)
{
    uint32_t count = 0;
    while (miss_ring_offer(map->misses, (struct miss){.kind = MISS_READ, .stripe = 1000000}))
        count++;
    assert_in_range(count, 1, STRIPE_MISSES_MAX);
}

static struct miss take(struct stripe_map *map)
{
    struct miss miss;
    assert_int_equal(1, stripe_map_await_misses(map, &miss, 1));
    return miss;
}

static void assert_asked(struct stripe_map *map, uint32_t stripe, enum miss_kind kind)
{
    struct miss miss = take(map);
    assert_int_equal(kind, miss.kind);
    assert_int_equal(stripe, miss.stripe);
}

/* Whatever was asked before this comes out before it. */
static void assert_nothing_asked(struct stripe_map *map)
{
    assert_true(miss_ring_offer(map->misses, (struct miss){.kind = 7, .stripe = 7}));
    assert_int_equal(7, take(map).kind);
}

/* --- create ----------------------------------------------------------------------------------- */

static const uint8_t no_flags[STRIPES + 1];

static struct stripe_map_params valid_params(void)
{
    return (struct stripe_map_params){.sector_count = STRIPES * TEST_STRIPE_SECTORS,
                                      .sector_count_shift = TEST_STRIPE_SHIFT,
                                      .queue_count = 1,
                                      .flags = no_flags};
}

static void assert_refused(const struct stripe_map_params *params, const char *value,
                           const char *limit)
{
    struct stripe_map *map = NULL;
    struct error error = {0};
    assert_int_equal(-EINVAL, stripe_map_create(params, &map, &error));
    assert_int_equal(-EINVAL, error.code);
    assert_null(map);
    if (!strstr(error.message, value) || !strstr(error.message, limit))
        fail_msg("no %s or %s in: %s", value, limit, error.message);
}

static void refuses_stripes_of_another_size_than_the_format_has(void **state)
{
    (void)state;
    struct stripe_map_params params = valid_params();
    params.sector_count_shift = STRIPE_SHIFT_MIN - 1;
    assert_refused(&params, "shift 5", "6 to 17");
    params.sector_count_shift = STRIPE_SHIFT_MAX + 1;
    assert_refused(&params, "shift 18", "6 to 17");
}

static void refuses_no_queue_and_too_many(void **state)
{
    (void)state;
    struct stripe_map_params params = valid_params();
    params.queue_count = 0;
    assert_refused(&params, "0 queues", "1 to 63");
    params.queue_count = STRIPE_QUEUE_COUNT_MAX + 1;
    assert_refused(&params, "64 queues", "1 to 63");
}

static void refuses_no_stripe_and_too_many(void **state)
{
    (void)state;
    struct stripe_map_params params = valid_params();
    params.sector_count = 0;
    assert_refused(&params, "0 stripes", "1 to 2147483647");
    params.sector_count = ((uint64_t)STRIPE_COUNT_MAX << STRIPE_SHIFT_MIN) + 1;
    assert_refused(&params, "2147483648 stripes", "1 to 2147483647");
    params.sector_count = UINT64_MAX;
    assert_refused(&params, "288230376151711744 stripes", "1 to 2147483647");
}

static void refuses_flags_that_no_file_may_have(void **state)
{
    (void)state;
    struct stripe_map_params params = valid_params();
    const uint8_t flags[STRIPES] = {0, STRIPE_DURABLE_MASK, 0, STRIPE_READABLE | STRIPE_FETCHED};
    params.flags = flags;
    assert_refused(&params, "stripe 3 has flags 0x09", "0x07");
}

static void counts_a_part_of_a_stripe_as_one(void **state)
{
    (void)state;
    struct stripe_map_params params = valid_params();
    const uint64_t sectors[] = {1, 64, 65, STRIPES * 64, STRIPES * 64 + 63};
    const uint32_t stripes[] = {1, 1, 2, STRIPES, STRIPES + 1};
    for (size_t i = 0; i < sizeof(sectors) / sizeof(sectors[0]); i++) {
        struct stripe_map *map;
        params.sector_count = sectors[i];
        assert_int_equal(0, stripe_map_create(&params, &map, NULL));
        assert_int_equal(stripes[i], map->stripe_count);
        assert_int_equal(stripes[i] - 1, stripe_map_stripe_of(map, sectors[i] - 1));
        stripe_map_destroy(map);
    }
}

static void takes_every_stripe_as_the_file_has_it(void **state)
{
    (void)state;
    struct stripe_map_params params = valid_params();
    const uint8_t flags[STRIPES] = {STRIPE_DURABLE_MASK, 0, LACKS, HAS};
    params.flags = flags;
    struct stripe_map *map;
    assert_int_equal(0, stripe_map_create(&params, &map, NULL));
    for (uint32_t i = 0; i < STRIPES; i++)
        assert_int_equal(flags[i], stripe_map_flags(map, i));
    assert_int_equal(1, atomic_load(&map->closed_count));
    assert_false(stripe_map_open(map));
    stripe_map_destroy(map);
}

static void destroys_nothing_without_complaint(void **state)
{
    (void)state;
    stripe_map_destroy(NULL);
}

/* --- states ----------------------------------------------------------------------------------- */

static void every_state_lets_pass_what_it_should(void **state)
{
    (void)state;
    static const struct {
        uint8_t flags;
        bool on_base;
        bool write_goes;         /* without track_written */
        bool tracked_write_goes; /* with */
    } rows[] = {
        {LACKS, false, false, false},
        {LACKS | STRIPE_WRITTEN, false, false, false},
        {LACKS | STRIPE_READABLE, true, false, false},
        {LACKS | STRIPE_READABLE | STRIPE_WRITTEN, true, false, false},
        {HAS, true, true, false},
        {HAS | STRIPE_READABLE, true, true, false},
        {HAS | STRIPE_WRITTEN, true, true, true},
        {HAS | STRIPE_READABLE | STRIPE_WRITTEN, true, true, true},
        {0, true, true, false},
        {STRIPE_FETCHED, true, true, false},
        {STRIPE_WRITTEN, true, true, true},
        {STRIPE_FETCHED | STRIPE_WRITTEN, true, true, true},
    };
    for (uint32_t mode = 0; mode < 4; mode++) {
        bool track_written = (mode & 1) != 0;
        bool read_through = (mode & 2) != 0;
        struct stripe_map *map = create(0, track_written, read_through);
        for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
            for (uint32_t asked = 0; asked <= 0x30; asked += 0x10) {
                uint8_t flags = (uint8_t)(rows[i].flags | asked);
                bool write_goes = track_written ? rows[i].tracked_write_goes : rows[i].write_goes;
                assert_int_equal(rows[i].on_base, stripe_on_base(flags));
                assert_int_equal(rows[i].on_base || read_through, stripe_read_goes(map, flags));
                assert_int_equal(write_goes, stripe_write_goes(map, flags));
            }
        }
        stripe_map_destroy(map);
    }
}

/* --- publish ---------------------------------------------------------------------------------- */

static void sets_and_clears_what_it_was_told_and_nothing_else(void **state)
{
    (void)state;
    struct stripe_map *map = create(LACKS, false, false);
    assert_true(stripe_map_ask(map, 1, MISS_READ));
    assert_true(stripe_map_ask(map, 1, MISS_WRITE));
    assert_int_equal(LACKS | STRIPE_READ_ASKED | STRIPE_WRITE_ASKED, stripe_map_flags(map, 1));
    stripe_map_publish(map, 1, STRIPE_READABLE, STRIPE_READ_ASKED);
    assert_int_equal(LACKS | STRIPE_READABLE | STRIPE_WRITE_ASKED, stripe_map_flags(map, 1));
    stripe_map_publish(map, 1, 0, STRIPE_READABLE); /* an fsync failed */
    assert_int_equal(LACKS | STRIPE_WRITE_ASKED, stripe_map_flags(map, 1));
    stripe_map_publish(map, 1, STRIPE_FETCHED | STRIPE_WRITTEN, STRIPE_WRITE_ASKED);
    assert_int_equal(STRIPE_DURABLE_MASK, stripe_map_flags(map, 1));
    for (uint32_t i = 0; i < STRIPES; i++)
        assert_int_equal(i == 1 ? STRIPE_DURABLE_MASK : LACKS, stripe_map_flags(map, i));
    stripe_map_destroy(map);
}

struct publishing {
    struct stripe_map *map;
    uint32_t stripe;
    uint8_t set;
    uint8_t clear;
};

static void publish(void *argument)
{
    struct publishing *publishing = argument;
    stripe_map_publish(publishing->map, publishing->stripe, publishing->set, publishing->clear);
}

static void aborts_on_what_may_never_be_published(void **state)
{
    (void)state;
    struct stripe_map *map = create(0, false, false);
    struct publishing legal = {map, 0, STRIPE_FETCHED | STRIPE_WRITTEN | STRIPE_READABLE,
                               STRIPE_READ_ASKED | STRIPE_WRITE_ASKED};
    assert_false(call_aborts(publish, &legal));
    struct publishing illegal[] = {
        {map, 0, 0, STRIPE_FETCHED},
        {map, 0, 0, STRIPE_WRITTEN},
        {map, 0, 0, STRIPE_HAS_SOURCE},
        {map, 0, STRIPE_HAS_SOURCE, 0}, /* it has none */
        {map, 0, STRIPE_READABLE, STRIPE_READABLE},
        {map, 0, 0x40, 0},
        {map, 0, 0, 0x80},
        {map, STRIPES, STRIPE_FETCHED, 0},
    };
    for (size_t i = 0; i < sizeof(illegal) / sizeof(illegal[0]); i++)
        assert_true(call_aborts(publish, &illegal[i]));
    stripe_map_destroy(map);
}

static void opens_with_the_last_stripe_and_not_before(void **state)
{
    (void)state;
    struct stripe_map *map = create(LACKS, false, false);
    for (uint32_t i = 0; i < STRIPES; i++) {
        assert_int_equal(STRIPES - i, atomic_load(&map->closed_count));
        assert_false(stripe_map_open(map));
        stripe_map_publish(map, i, STRIPE_READABLE, 0); /* writes wait still */
        stripe_map_publish(map, i, STRIPE_WRITTEN, 0);
        assert_false(stripe_map_open(map));
        stripe_map_publish(map, i, STRIPE_FETCHED, 0);
        assert_int_equal(i == STRIPES - 1, stripe_map_open(map));
        stripe_map_publish(map, i, STRIPE_FETCHED, STRIPE_READABLE); /* counted once */
    }
    assert_int_equal(0, atomic_load(&map->closed_count));
    assert_true(stripe_map_open(map));
    stripe_map_destroy(map);
}

static void opens_with_track_written_when_all_was_written_to(void **state)
{
    (void)state;
    struct stripe_map *map = create(LACKS, true, false);
    for (uint32_t i = 0; i < STRIPES; i++)
        stripe_map_publish(map, i, i % 2 == 0 ? STRIPE_FETCHED : STRIPE_WRITTEN, 0);
    assert_int_equal(STRIPES, atomic_load(&map->closed_count));
    for (uint32_t i = 0; i < STRIPES; i++) {
        assert_false(stripe_map_open(map));
        stripe_map_publish(map, i, i % 2 == 0 ? STRIPE_WRITTEN : STRIPE_FETCHED, 0);
    }
    assert_true(stripe_map_open(map));
    stripe_map_destroy(map);
}

static void is_open_from_the_start_when_no_request_would_wait(void **state)
{
    (void)state;
    const struct {
        uint8_t flags;
        bool track_written;
        bool open;
    } rows[] = {
        {0, false, true},      {0, true, false},     {STRIPE_WRITTEN, true, true},
        {HAS, false, true},    {HAS, true, false},   {STRIPE_DURABLE_MASK, true, true},
        {LACKS, false, false}, {LACKS, true, false},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct stripe_map *map = create(rows[i].flags, rows[i].track_written, false);
        assert_int_equal(rows[i].open, stripe_map_open(map));
        stripe_map_destroy(map);
    }
    /* Writes wait for what reads need not. */
    struct stripe_map *map = create(LACKS, false, true);
    assert_false(stripe_map_open(map));
    stripe_map_destroy(map);
}

/* --- wake ------------------------------------------------------------------------------------- */

static void wakes_those_that_wait(void **state)
{
    (void)state;
    struct stripe_map *map = create(LACKS, false, false);
    stripe_map_wake(map);
    stripe_map_set_waiting(map, 0, true);
    stripe_map_set_waiting(map, 1, true);
    stripe_map_set_waiting(map, 0, false);
    for (uint32_t i = 0; i < 3; i++) {
        assert_false(is_signalled(map, i));
        assert_false(stripe_map_was_woken(map, i));
    }
    stripe_map_wake(map);
    stripe_map_wake(map);
    for (uint32_t i = 0; i < 3; i++) {
        assert_int_equal(i == 1, is_signalled(map, i));
        assert_int_equal(i == 1, stripe_map_was_woken(map, i));
        assert_false(stripe_map_was_woken(map, i)); /* since the last call */
    }
    stripe_map_destroy(map);
}

static void wakes_all_whether_they_wait_or_not(void **state)
{
    (void)state;
    struct stripe_map *map = create(LACKS, false, false);
    stripe_map_set_waiting(map, 1, true);
    stripe_map_wake_all(map);
    for (uint32_t i = 0; i < 3; i++) {
        assert_true(is_signalled(map, i));
        assert_true(stripe_map_was_woken(map, i));
    }
    stripe_map_destroy(map);
}

static void signals_by_eventfds_that_never_block(void **state)
{
    (void)state;
    struct stripe_map *map = create(LACKS, false, false);
    for (uint32_t i = 0; i < 3; i++) {
        int fd = stripe_map_wake_fd(map, i);
        assert_true((fcntl(fd, F_GETFL) & O_NONBLOCK) != 0);
        assert_true((fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0);
        uint64_t full = UINT64_MAX - 1;
        assert_int_equal(sizeof(full), write(fd, &full, sizeof(full)));
    }
    stripe_map_wake_all(map);
    assert_true(is_signalled(map, 2));
    stripe_map_destroy(map);
}

/* --- ask -------------------------------------------------------------------------------------- */

static void tells_of_a_stripe_once(void **state)
{
    (void)state;
    struct stripe_map *map = create(LACKS, false, false);
    assert_true(stripe_map_ask(map, 2, MISS_READ));
    assert_true(stripe_map_ask(map, 2, MISS_READ));
    assert_true(stripe_map_ask(map, 3, MISS_READ));
    assert_asked(map, 2, MISS_READ);
    assert_true(stripe_map_ask(map, 2, MISS_READ)); /* with the control plane */
    assert_asked(map, 3, MISS_READ);
    assert_nothing_asked(map);
    stripe_map_publish(map, 2, 0, STRIPE_READ_ASKED); /* which has given it back */
    assert_true(stripe_map_ask(map, 2, MISS_READ));
    assert_asked(map, 2, MISS_READ);
    stripe_map_destroy(map);
}

static void a_write_miss_implies_a_read_miss_and_not_the_other_way(void **state)
{
    (void)state;
    struct stripe_map *map = create(LACKS, false, false);
    assert_true(stripe_map_ask(map, 0, MISS_WRITE));
    assert_true(stripe_map_ask(map, 0, MISS_READ));
    assert_asked(map, 0, MISS_WRITE);
    assert_int_equal(LACKS | STRIPE_WRITE_ASKED, stripe_map_flags(map, 0));
    assert_true(stripe_map_ask(map, 1, MISS_READ));
    assert_true(stripe_map_ask(map, 1, MISS_WRITE));
    assert_asked(map, 1, MISS_READ);
    assert_asked(map, 1, MISS_WRITE);
    assert_nothing_asked(map);
    stripe_map_destroy(map);
}

static void asks_for_nothing_that_need_not_be_waited_for(void **state)
{
    (void)state;
    struct stripe_map *map = create(LACKS, true, true);
    assert_true(stripe_map_ask(map, 0, MISS_READ)); /* goes to the image */
    stripe_map_publish(map, 1, STRIPE_FETCHED | STRIPE_WRITTEN, 0);
    assert_true(stripe_map_ask(map, 1, MISS_WRITE));
    assert_nothing_asked(map);
    stripe_map_publish(map, 2, STRIPE_FETCHED, 0);
    assert_true(stripe_map_ask(map, 2, MISS_WRITE)); /* WRITTEN is not durable */
    assert_asked(map, 2, MISS_WRITE);
    stripe_map_destroy(map);
    map = create(LACKS, false, false);
    stripe_map_publish(map, 0, STRIPE_READABLE, 0);
    assert_true(stripe_map_ask(map, 0, MISS_READ));
    assert_nothing_asked(map);
    stripe_map_destroy(map);
}

static void forgets_what_found_the_ring_full_and_wakes_the_queues_when_it_has_room(void **state)
{
    (void)state;
    struct stripe_map *map = create(LACKS, false, false);
    struct miss miss;
    fill(map);
    stripe_map_set_waiting(map, 1, true);
    assert_false(stripe_map_ask(map, 2, MISS_WRITE));
    assert_int_equal(LACKS, stripe_map_flags(map, 2));
    assert_false(stripe_map_was_woken(map, 1));
    assert_int_equal(1, stripe_map_await_misses(map, &miss, 1));
    assert_true(stripe_map_was_woken(map, 1));
    assert_true(is_signalled(map, 1));
    assert_false(is_signalled(map, 0)); /* does not wait */
    assert_true(stripe_map_ask(map, 2, MISS_WRITE));
    assert_int_equal(LACKS | STRIPE_WRITE_ASKED, stripe_map_flags(map, 2));
    assert_int_equal(1, stripe_map_await_misses(map, &miss, 1));
    assert_false(stripe_map_was_woken(map, 1)); /* nobody was refused since */
    stripe_map_destroy(map);
}

static void awaits_misses_until_the_ring_is_closed(void **state)
{
    (void)state;
    struct stripe_map *map = create(LACKS, false, false);
    struct miss misses[STRIPES];
    for (uint32_t i = 0; i < STRIPES; i++)
        assert_true(stripe_map_ask(map, i, MISS_READ));
    assert_int_equal(3, stripe_map_await_misses(map, misses, 3));
    assert_int_equal(2, misses[2].stripe);
    miss_ring_close(map->misses);
    assert_int_equal(-ESHUTDOWN, stripe_map_await_misses(map, misses, STRIPES));
    stripe_map_destroy(map);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refuses_stripes_of_another_size_than_the_format_has),
        cmocka_unit_test(refuses_no_queue_and_too_many),
        cmocka_unit_test(refuses_no_stripe_and_too_many),
        cmocka_unit_test(refuses_flags_that_no_file_may_have),
        cmocka_unit_test(counts_a_part_of_a_stripe_as_one),
        cmocka_unit_test(takes_every_stripe_as_the_file_has_it),
        cmocka_unit_test(destroys_nothing_without_complaint),
        cmocka_unit_test(every_state_lets_pass_what_it_should),
        cmocka_unit_test(sets_and_clears_what_it_was_told_and_nothing_else),
        cmocka_unit_test(aborts_on_what_may_never_be_published),
        cmocka_unit_test(opens_with_the_last_stripe_and_not_before),
        cmocka_unit_test(opens_with_track_written_when_all_was_written_to),
        cmocka_unit_test(is_open_from_the_start_when_no_request_would_wait),
        cmocka_unit_test(wakes_those_that_wait),
        cmocka_unit_test(wakes_all_whether_they_wait_or_not),
        cmocka_unit_test(signals_by_eventfds_that_never_block),
        cmocka_unit_test(tells_of_a_stripe_once),
        cmocka_unit_test(a_write_miss_implies_a_read_miss_and_not_the_other_way),
        cmocka_unit_test(asks_for_nothing_that_need_not_be_waited_for),
        cmocka_unit_test(forgets_what_found_the_ring_full_and_wakes_the_queues_when_it_has_room),
        cmocka_unit_test(awaits_misses_until_the_ring_is_closed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
