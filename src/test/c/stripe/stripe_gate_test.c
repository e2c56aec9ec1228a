/* SPDX-License-Identifier: AGPL-3.0-only */
#include "stripe/stripe_gate.h"

#include "support/cmocka_test.h"

#include <poll.h>
#include <string.h>

#include "base/event.h"
#include "support/aborts.h"
#include "support/test_stripes.h"

enum {
    LACKS = STRIPE_HAS_SOURCE,
    HAS = STRIPE_HAS_SOURCE | STRIPE_FETCHED,
    STRIPES = 32,
    CAPACITY = 16,
    TIMEOUT_NS = 1000,
};

static struct stripe_map *map;
static struct stripe_gate *gate;
static struct stripe_waiter waiters[CAPACITY + 1];

static void open_gate(uint64_t timeout_ns)
{
    struct error error;
    if (stripe_gate_create(map, 0, CAPACITY, timeout_ns, &gate, &error) != 0)
        fail_msg("%s", error.message);
}

static void open_map(const struct test_stripes_params *params)
{
    map = test_stripes_create(params);
    memset(waiters, 0, sizeof(waiters));
}

static int setup(void **state)
{
    (void)state;
    open_map(&(struct test_stripes_params){.stripe_count = STRIPES, .flags = LACKS});
    open_gate(TIMEOUT_NS);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    stripe_gate_destroy(gate);
    stripe_map_destroy(map);
    return 0;
}

/* A request for the last sector of first up to the first one of last. */
static bool enter_across(uint32_t index, uint32_t first, uint32_t last, bool write, uint64_t now_ns)
{
    struct stripe_waiter *waiter = &waiters[index];
    uint64_t end = (uint64_t)last * TEST_STRIPE_SECTORS + 1;
    waiter->sector = (uint64_t)first * TEST_STRIPE_SECTORS + TEST_STRIPE_SECTORS - 1;
    if (first == last)
        waiter->sector = end - 1;
    waiter->sector_count = (uint32_t)(end - waiter->sector);
    waiter->write = write;
    bool goes = stripe_gate_enter(gate, waiter, now_ns);
    assert_int_equal(!goes, waiter->held);
    return goes;
}

static bool enter(uint32_t index, uint32_t stripe, bool write)
{
    return enter_across(index, stripe, stripe, write, 0);
}

static void publish(uint32_t stripe, uint8_t set)
{
    stripe_map_publish(map, stripe, set, STRIPE_READ_ASKED | STRIPE_WRITE_ASKED);
    stripe_map_wake(map);
}

/* The next one that comes out is waiters[index], because it may go or because it expired. */
static void assert_out(uint32_t index, bool expired)
{
    assert_ptr_equal(&waiters[index], stripe_gate_next(gate));
    assert_false(waiters[index].held);
    assert_int_equal(expired, waiters[index].expired);
}

static void assert_no_more(uint32_t held)
{
    assert_null(stripe_gate_next(gate));
    assert_int_equal(held, stripe_gate_held(gate));
}

/* The misses since the last call, as bits of their stripes; of one kind. */
static uint32_t asked(enum miss_kind kind)
{
    struct miss misses[STRIPES + 1];
    const struct miss last = {.kind = 99};
    assert_true(miss_ring_offer(map->misses, last));
    int count = stripe_map_await_misses(map, misses, STRIPES + 1);
    uint32_t stripes = 0;
    assert_int_equal(99, misses[count - 1].kind);
    for (int i = 0; i < count - 1; i++) {
        assert_int_equal(kind, misses[i].kind);
        assert_int_equal(0, stripes & 1u << misses[i].stripe); /* once */
        stripes |= 1u << misses[i].stripe;
    }
    return stripes;
}

/* --- who goes --------------------------------------------------------------------------------- */

struct row {
    uint8_t flags;
    uint8_t published;
    bool read_goes;
    bool write_goes;         /* without track_written */
    bool tracked_write_goes; /* with */
};

static void check_row(const struct row *row, bool track_written, bool read_through)
{
    bool read_goes = row->read_goes || read_through;
    bool write_goes = track_written ? row->tracked_write_goes : row->write_goes;
    open_map(&(struct test_stripes_params){.stripe_count = STRIPES,
                                           .flags = row->flags,
                                           .track_written = track_written,
                                           .read_through = read_through});
    open_gate(TIMEOUT_NS);
    publish(3, row->published);
    assert_int_equal(read_goes, enter(0, 3, false));
    assert_int_equal(read_goes ? 0 : 1u << 3, asked(MISS_READ));
    assert_int_equal(write_goes, enter(1, 3, true));
    assert_int_equal(write_goes ? 0 : 1u << 3, asked(MISS_WRITE));
    assert_int_equal(!read_goes + !write_goes, stripe_gate_held(gate));
    stripe_gate_expire_all(gate);
    while (stripe_gate_next(gate))
        continue;
}

/* Without the fixture's gate and map. */
static void every_state_lets_go_or_holds_what_it_should(void **state)
{
    static const struct row rows[] = {
        {LACKS, 0, false, false, false},
        {LACKS | STRIPE_WRITTEN, 0, false, false, false},
        {LACKS, STRIPE_READABLE, true, false, false},
        {LACKS, STRIPE_READABLE | STRIPE_WRITTEN, true, false, false},
        {HAS, 0, true, true, false},
        {HAS, STRIPE_READABLE, true, true, false},
        {HAS | STRIPE_WRITTEN, 0, true, true, true},
        {0, 0, true, true, false},
        {STRIPE_WRITTEN, 0, true, true, true},
    };
    for (uint32_t mode = 0; mode < 4; mode++) {
        for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
            check_row(&rows[i], (mode & 1) != 0, (mode & 2) != 0);
            teardown(state);
        }
    }
}

static void does_not_touch_a_request_once_the_map_is_open(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < STRIPES; i++)
        publish(i, STRIPE_FETCHED);
    struct stripe_waiter untouched;
    memset(&untouched, 0xa5, sizeof(untouched));
    struct stripe_waiter waiter = untouched;
    assert_true(stripe_gate_enter(gate, &waiter, 0));
    assert_memory_equal(&untouched, &waiter, sizeof(waiter));
}

static void lets_go_what_waited_when_it_is_published(void **state)
{
    (void)state;
    assert_false(enter(0, 5, false));
    assert_int_equal(1u << 5, asked(MISS_READ));
    publish(5, STRIPE_READABLE);
    stripe_gate_look(gate, 0);
    assert_out(0, false);
    assert_no_more(0);
}

static void a_readable_stripe_lets_reads_go_and_keeps_writes(void **state)
{
    (void)state;
    assert_false(enter(0, 5, true));
    assert_false(enter(1, 5, false));
    assert_false(enter(2, 5, true));
    publish(5, STRIPE_READABLE);
    stripe_gate_look(gate, 0);
    assert_out(1, false);
    assert_no_more(2);
    publish(5, STRIPE_FETCHED);
    stripe_gate_look(gate, 0);
    assert_out(0, false);
    assert_out(2, false);
    assert_no_more(0);
}

static void with_track_written_a_write_waits_for_both_flags(void **state)
{
    teardown(state);
    open_map(&(struct test_stripes_params){
        .stripe_count = STRIPES, .flags = LACKS, .track_written = true});
    open_gate(TIMEOUT_NS);
    assert_false(enter(0, 5, true));
    assert_int_equal(1u << 5, asked(MISS_WRITE));
    stripe_map_publish(map, 5, STRIPE_FETCHED, STRIPE_READ_ASKED);
    stripe_map_wake(map);
    stripe_gate_look(gate, 0);
    assert_no_more(1);
    assert_int_equal(0, asked(MISS_WRITE)); /* still with the control plane */
    publish(5, STRIPE_WRITTEN);
    stripe_gate_look(gate, 0);
    assert_out(0, false);
    assert_no_more(0);
}

static void lets_requests_of_one_stripe_go_in_their_order(void **state)
{
    (void)state;
    const uint32_t order[] = {4, 2, 9, 0, 7};
    for (uint32_t i = 0; i < 5; i++) {
        assert_false(enter(order[i], 1, i % 2 == 0));
        assert_false(enter(10 + i, 2, true)); /* another line */
    }
    publish(1, STRIPE_FETCHED);
    stripe_gate_look(gate, 0);
    for (uint32_t i = 0; i < 5; i++)
        assert_out(order[i], false);
    assert_no_more(5);
    publish(2, STRIPE_FETCHED);
    stripe_gate_look(gate, 0);
    for (uint32_t i = 0; i < 5; i++)
        assert_out(10 + i, false);
    assert_no_more(0);
}

static void a_held_request_holds_up_no_other_stripe(void **state)
{
    (void)state;
    publish(8, STRIPE_FETCHED);
    assert_false(enter_across(0, 7, 9, true, 0));
    assert_true(enter(1, 8, true));
    assert_true(enter(2, 8, false));
    assert_false(enter(3, 10, true));
    publish(10, STRIPE_FETCHED);
    stripe_gate_look(gate, 0);
    assert_out(3, false);
    assert_no_more(1);
    publish(7, STRIPE_FETCHED);
    publish(9, STRIPE_FETCHED);
    stripe_gate_look(gate, 0);
    assert_out(0, false);
    assert_no_more(0);
}

static void holds_as_many_as_its_capacity_each_for_another_stripe(void **state)
{
    (void)state;
    for (uint32_t round = 0; round < 3; round++) {
        for (uint32_t i = 0; i < CAPACITY; i++)
            assert_false(enter(i, i * 2 % STRIPES, true));
        assert_int_equal(CAPACITY, stripe_gate_held(gate));
        for (uint32_t i = 0; i < CAPACITY; i++)
            stripe_gate_withdraw(gate, &waiters[(i * 5 + round) % CAPACITY]);
        assert_no_more(0);
    }
}

/* --- requests across stripes ------------------------------------------------------------------ */

static void asks_for_all_at_once_and_waits_for_each_in_turn(void **state)
{
    (void)state;
    publish(4, STRIPE_FETCHED);
    assert_false(enter_across(0, 2, 6, true, 0));
    assert_int_equal(1u << 2 | 1u << 3 | 1u << 5 | 1u << 6, asked(MISS_WRITE));
    const uint32_t order[] = {6, 2, 3};
    for (uint32_t i = 0; i < 3; i++) {
        publish(order[i], STRIPE_FETCHED);
        stripe_gate_look(gate, 0);
        assert_no_more(1);
    }
    assert_int_equal(0, asked(MISS_WRITE));
    publish(5, STRIPE_FETCHED);
    stripe_gate_look(gate, 0);
    assert_out(0, false);
    assert_no_more(0);
}

static void touches_no_stripe_beside_its_own(void **state)
{
    (void)state;
    publish(2, STRIPE_FETCHED);
    struct stripe_waiter *waiter = &waiters[0];
    *waiter = (struct stripe_waiter){
        .sector = 2 * TEST_STRIPE_SECTORS, .sector_count = TEST_STRIPE_SECTORS, .write = true};
    assert_true(stripe_gate_enter(gate, waiter, 0));
    waiter->sector_count++;
    assert_false(stripe_gate_enter(gate, waiter, 0));
    assert_int_equal(1u << 3, asked(MISS_WRITE));
    stripe_gate_withdraw(gate, waiter);
    *waiter = (struct stripe_waiter){.sector_count = STRIPES * TEST_STRIPE_SECTORS};
    assert_false(stripe_gate_enter(gate, waiter, 0)); /* the whole disk */
    assert_int_equal(UINT32_MAX & ~(1u << 2) & ~(1u << 3), asked(MISS_READ));
    stripe_gate_withdraw(gate, waiter);
}

static void looks_again_at_stripes_that_were_taken_back(void **state)
{
    (void)state;
    assert_false(enter_across(0, 0, 1, false, 0));
    assert_int_equal(1u << 0 | 1u << 1, asked(MISS_READ));
    publish(0, STRIPE_READABLE);
    stripe_gate_look(gate, 0);
    stripe_map_publish(map, 0, 0, STRIPE_READABLE); /* an fsync failed */
    publish(1, STRIPE_READABLE);
    stripe_gate_look(gate, 0);
    assert_no_more(1);
    assert_int_equal(1u << 0, asked(MISS_READ)); /* nobody had asked since */
    publish(0, STRIPE_FETCHED);
    stripe_gate_look(gate, 0);
    assert_out(0, false);
    assert_no_more(0);
}

static void asks_again_for_what_was_given_back(void **state)
{
    (void)state;
    assert_false(enter(0, 3, true));
    assert_int_equal(1u << 3, asked(MISS_WRITE));
    publish(3, STRIPE_READABLE); /* clears WRITE_ASKED although the write cannot go */
    stripe_gate_look(gate, 0);
    assert_no_more(1);
    assert_int_equal(1u << 3, asked(MISS_WRITE));
    stripe_gate_withdraw(gate, &waiters[0]);
}

/* --- a full ring ------------------------------------------------------------------------------ */

static void fill(void)
{
    while (miss_ring_offer(map->misses, (struct miss){.kind = 98}))
        continue;
}

static void make_room(uint32_t count)
{
    struct miss miss;
    while (count-- > 0)
        assert_int_equal(1, stripe_map_await_misses(map, &miss, 1));
}

/* Takes all but the fill; returns the stripes. */
static uint32_t asked_behind_the_fill(void)
{
    struct miss misses[STRIPE_MISSES_MAX];
    int count = stripe_map_await_misses(map, misses, STRIPE_MISSES_MAX);
    uint32_t stripes = 0;
    for (int i = 0; i < count; i++)
        stripes |= misses[i].kind == 98 ? 0 : 1u << misses[i].stripe;
    return stripes;
}

static void asks_again_when_the_full_ring_has_room(void **state)
{
    (void)state;
    fill();
    assert_false(enter_across(0, 1, 3, true, 0));
    assert_false(enter(1, 9, true));
    stripe_gate_look(gate, 0);
    assert_int_equal(LACKS, stripe_map_flags(map, 1));
    make_room(2); /* for one of each first, and not for two of the large one */
    stripe_gate_look(gate, 0);
    assert_int_equal(LACKS | STRIPE_WRITE_ASKED, stripe_map_flags(map, 1));
    assert_int_equal(LACKS, stripe_map_flags(map, 2));
    assert_int_equal(LACKS | STRIPE_WRITE_ASKED, stripe_map_flags(map, 9));
    assert_int_equal(1u << 1 | 1u << 9, asked_behind_the_fill());
    stripe_gate_look(gate, 0);
    assert_int_equal(1u << 2 | 1u << 3, asked(MISS_WRITE));
    stripe_gate_look(gate, 0);
    assert_int_equal(0, asked(MISS_WRITE));
    publish(9, STRIPE_FETCHED);
    for (uint32_t i = 1; i <= 3; i++)
        publish(i, STRIPE_FETCHED);
    stripe_gate_look(gate, 0);
    assert_out(0, false);
    assert_out(1, false);
    assert_no_more(0);
}

static void is_woken_when_the_full_ring_has_room(void **state)
{
    (void)state;
    struct pollfd pollfd = {.fd = stripe_map_wake_fd(map, 0), .events = POLLIN};
    fill();
    assert_false(enter(0, 3, false));
    assert_int_equal(0, poll(&pollfd, 1, 0));
    make_room(1);
    assert_int_equal(1, poll(&pollfd, 1, 0));
    stripe_gate_withdraw(gate, &waiters[0]);
}

/* --- time ------------------------------------------------------------------------------------- */

static void expires_what_waited_too_long(void **state)
{
    (void)state;
    assert_int_equal(UINT64_MAX, stripe_gate_deadline_ns(gate));
    assert_false(enter_across(0, 3, 3, true, 500));
    assert_false(enter_across(1, 4, 4, true, 600));
    assert_int_equal(500 + TIMEOUT_NS, stripe_gate_deadline_ns(gate));
    stripe_gate_look(gate, 500 + TIMEOUT_NS - 1);
    assert_no_more(2);
    stripe_gate_look(gate, 500 + TIMEOUT_NS);
    assert_out(0, true);
    assert_no_more(1);
    assert_int_equal(600 + TIMEOUT_NS, stripe_gate_deadline_ns(gate));
    stripe_gate_look(gate, 10 * TIMEOUT_NS);
    assert_out(1, true);
    assert_no_more(0);
    assert_int_equal(UINT64_MAX, stripe_gate_deadline_ns(gate));
}

static void time_runs_from_the_entrance_also_for_the_next_stripe(void **state)
{
    (void)state;
    assert_false(enter_across(0, 3, 4, true, 500));
    publish(3, STRIPE_FETCHED);
    stripe_gate_look(gate, 500 + TIMEOUT_NS - 1);
    assert_no_more(1);
    stripe_gate_look(gate, 500 + TIMEOUT_NS);
    assert_out(0, true);
    assert_no_more(0);
}

static void what_may_go_does_not_expire(void **state)
{
    (void)state;
    assert_false(enter_across(0, 3, 3, true, 0));
    publish(3, STRIPE_FETCHED);
    stripe_gate_look(gate, 10 * TIMEOUT_NS);
    assert_out(0, false);
    assert_no_more(0);
}

static void an_expired_request_leaves_its_stripe_to_be_fetched(void **state)
{
    (void)state;
    assert_false(enter_across(0, 3, 3, true, 0));
    stripe_gate_look(gate, TIMEOUT_NS);
    assert_out(0, true);
    assert_false(enter_across(0, 3, 3, true, TIMEOUT_NS));
    assert_false(waiters[0].expired);
    assert_int_equal(1u << 3, asked(MISS_WRITE)); /* once for both */
    publish(3, STRIPE_FETCHED);
    stripe_gate_look(gate, TIMEOUT_NS);
    assert_out(0, false);
}

static void without_a_timeout_nothing_expires(void **state)
{
    (void)state;
    const uint64_t for_ever[] = {UINT64_MAX, UINT64_MAX - 1000};
    for (uint32_t i = 0; i < 2; i++) {
        stripe_gate_destroy(gate);
        open_gate(for_ever[i]);
        assert_false(enter_across(0, 3, 3, true, 5000));
        assert_int_equal(UINT64_MAX, stripe_gate_deadline_ns(gate));
        stripe_gate_look(gate, UINT64_MAX - 1);
        assert_no_more(1);
        stripe_gate_withdraw(gate, &waiters[0]);
    }
}

/* However long a request is, the control plane is told of no more than it can work on. */
static void asks_for_a_long_request_bit_by_bit(void **state)
{
    enum { LONG = 900, AHEAD = 256 };
    struct miss misses[LONG];
    (void)state;
    open_map(&(struct test_stripes_params){.stripe_count = LONG, .flags = LACKS});
    open_gate(UINT64_MAX);
    assert_false(enter_across(0, 0, LONG - 1, false, 0));
    uint32_t told = (uint32_t)stripe_map_await_misses(map, misses, LONG);
    assert_int_equal(AHEAD, told);
    for (uint32_t stripe = 0; stripe < LONG; stripe++) {
        assert_null(stripe_gate_next(gate));
        if (told < LONG && stripe + AHEAD > told)
            told += (uint32_t)stripe_map_await_misses(map, misses, LONG);
        assert_true(told <= stripe + AHEAD);
        publish(stripe, STRIPE_READABLE);
        stripe_gate_look(gate, 0);
    }
    assert_int_equal(LONG, told);
    assert_ptr_equal(&waiters[0], stripe_gate_next(gate));
    stripe_gate_destroy(gate);
    stripe_map_destroy(map);
}

static void expires_all_at_once(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < CAPACITY; i++)
        assert_false(enter(i, i / 2, i % 2 == 0));
    stripe_gate_expire_all(gate);
    for (uint32_t i = 0; i < CAPACITY; i++)
        assert_out(i, true);
    assert_no_more(0);
    stripe_gate_expire_all(gate);
    assert_no_more(0);
}

/* --- withdrawing ------------------------------------------------------------------------------ */

static void withdraws_from_any_place_of_a_line(void **state)
{
    (void)state;
    for (uint32_t gone = 0; gone < 4; gone++) {
        for (uint32_t i = 0; i < 4; i++)
            assert_false(enter(i, 10 + gone, true));
        stripe_gate_withdraw(gate, &waiters[gone]);
        assert_false(waiters[gone].held);
        publish(10 + gone, STRIPE_FETCHED);
        stripe_gate_look(gate, 0);
        for (uint32_t i = 0; i < 4; i++) {
            if (i != gone)
                assert_out(i, false);
        }
        assert_no_more(0);
    }
}

static void is_not_woken_when_it_holds_nothing(void **state)
{
    (void)state;
    struct pollfd pollfd = {.fd = stripe_map_wake_fd(map, 0), .events = POLLIN};
    assert_false(enter(0, 3, true));
    assert_false(enter(1, 3, true));
    stripe_gate_withdraw(gate, &waiters[0]);
    stripe_map_wake(map);
    assert_int_equal(1, poll(&pollfd, 1, 0)); /* one is held still */
    event_drain(pollfd.fd);
    stripe_gate_withdraw(gate, &waiters[1]);
    stripe_map_wake(map);
    assert_int_equal(0, poll(&pollfd, 1, 0));
}

static void destroy(void *argument)
{
    stripe_gate_destroy(argument);
}

static void enter_one_too_many(void *argument)
{
    (void)argument;
    enter(CAPACITY, 1, true);
}

static void withdraw_first(void *argument)
{
    (void)argument;
    stripe_gate_withdraw(gate, &waiters[0]);
}

static void enter_nothing(void *argument)
{
    (void)argument;
    waiters[0] = (struct stripe_waiter){.sector = 0};
    stripe_gate_enter(gate, &waiters[0], 0);
}

static void enter_beyond_the_disk(void *argument)
{
    (void)argument;
    waiters[0] =
        (struct stripe_waiter){.sector = STRIPES * TEST_STRIPE_SECTORS - 1, .sector_count = 2};
    stripe_gate_enter(gate, &waiters[0], 0);
}

static void aborts_when_it_is_used_wrongly(void **state)
{
    (void)state;
    assert_true(call_aborts(enter_nothing, NULL));
    assert_true(call_aborts(enter_beyond_the_disk, NULL));
    assert_true(call_aborts(withdraw_first, NULL)); /* is not held */
    for (uint32_t i = 0; i < CAPACITY; i++)
        assert_false(enter(i, 0, true));
    assert_true(call_aborts(enter_one_too_many, NULL));
    assert_true(call_aborts(destroy, gate)); /* holds requests */
    stripe_gate_expire_all(gate);
    assert_true(call_aborts(destroy, gate)); /* they have not come out */
    while (stripe_gate_next(gate))
        continue;
    assert_false(call_aborts(destroy, gate));
    stripe_gate_destroy(NULL);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_state_lets_go_or_holds_what_it_should),
        TEST(does_not_touch_a_request_once_the_map_is_open),
        TEST(lets_go_what_waited_when_it_is_published),
        TEST(a_readable_stripe_lets_reads_go_and_keeps_writes),
        TEST(with_track_written_a_write_waits_for_both_flags),
        TEST(lets_requests_of_one_stripe_go_in_their_order),
        TEST(a_held_request_holds_up_no_other_stripe),
        TEST(holds_as_many_as_its_capacity_each_for_another_stripe),
        TEST(asks_for_all_at_once_and_waits_for_each_in_turn),
        TEST(touches_no_stripe_beside_its_own),
        TEST(looks_again_at_stripes_that_were_taken_back),
        TEST(asks_again_for_what_was_given_back),
        TEST(asks_again_when_the_full_ring_has_room),
        TEST(is_woken_when_the_full_ring_has_room),
        TEST(expires_what_waited_too_long),
        TEST(time_runs_from_the_entrance_also_for_the_next_stripe),
        TEST(what_may_go_does_not_expire),
        TEST(an_expired_request_leaves_its_stripe_to_be_fetched),
        TEST(without_a_timeout_nothing_expires),
        cmocka_unit_test(asks_for_a_long_request_bit_by_bit),
        TEST(expires_all_at_once),
        TEST(withdraws_from_any_place_of_a_line),
        TEST(is_not_woken_when_it_holds_nothing),
        TEST(aborts_when_it_is_used_wrongly),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
