/* SPDX-License-Identifier: AGPL-3.0-only */
/* A gate without memory, and what is published in the middle of an entrance. */
/* wrap: calloc stripe_map_set_waiting stripe_map_ask */
#include "stripe/stripe_gate.h"

#include "support/cmocka_test.h"

#include <errno.h>
#include <string.h>

#include "support/test_stripes.h"

enum { LACKS = STRIPE_HAS_SOURCE };

/* The call that fails, counted from 1 and down; 0: none. */
static uint32_t calloc_countdown;
/* What the control plane does before it can see that the queue waits, and when it was asked. */
static void (*before_waiting)(struct stripe_map *map);
static void (*after_asking)(struct stripe_map *map);

void *__real_calloc(size_t count, size_t byte_len);
void *__wrap_calloc(size_t count, size_t byte_len);
void __real_stripe_map_set_waiting(struct stripe_map *map, uint32_t queue, bool waiting);
void __wrap_stripe_map_set_waiting(struct stripe_map *map, uint32_t queue, bool waiting);
bool __real_stripe_map_ask(struct stripe_map *map, uint32_t stripe, enum miss_kind kind);
bool __wrap_stripe_map_ask(struct stripe_map *map, uint32_t stripe, enum miss_kind kind);

void *__wrap_calloc(size_t count, size_t byte_len)
{
    if (calloc_countdown > 0 && --calloc_countdown == 0)
        return NULL;
    return __real_calloc(count, byte_len);
}

void __wrap_stripe_map_set_waiting(struct stripe_map *map, uint32_t queue, bool waiting)
{
    if (waiting && before_waiting)
        before_waiting(map);
    __real_stripe_map_set_waiting(map, queue, waiting);
}

bool __wrap_stripe_map_ask(struct stripe_map *map, uint32_t stripe, enum miss_kind kind)
{
    bool told = __real_stripe_map_ask(map, stripe, kind);
    if (after_asking)
        after_asking(map);
    return told;
}

static struct stripe_map *map;
static struct stripe_gate *gate;

static int setup(void **state)
{
    (void)state;
    map = test_stripes_create(
        &(struct test_stripes_params){.stripe_count = 4, .queue_count = 1, .flags = LACKS});
    before_waiting = NULL;
    after_asking = NULL;
    return stripe_gate_create(map, 0, 4, UINT64_MAX, &gate, NULL);
}

static int teardown(void **state)
{
    (void)state;
    stripe_gate_destroy(gate);
    stripe_map_destroy(map);
    return 0;
}

static void reports_that_memory_is_short(void **state)
{
    (void)state;
    for (uint32_t nth = 1; nth <= 3; nth++) { /* the gate, its lines, its buckets */
        struct stripe_gate *none = NULL;
        struct error error = {0};
        calloc_countdown = nth;
        assert_int_equal(-ENOMEM, stripe_gate_create(map, 0, 77, UINT64_MAX, &none, &error));
        assert_int_equal(0, calloc_countdown);
        assert_int_equal(-ENOMEM, error.code);
        assert_non_null(strstr(error.message, "77 held requests"));
        assert_null(none);
    }
}

static void publish_first(struct stripe_map *published)
{
    stripe_map_publish(published, 0, STRIPE_FETCHED, 0);
    stripe_map_wake(published);
}

static void publish_both(struct stripe_map *published)
{
    stripe_map_publish(published, 1, STRIPE_FETCHED, 0);
    publish_first(published);
}

static void lets_pass_what_was_published_while_it_entered(void **state)
{
    (void)state;
    struct stripe_waiter waiter = {.sector_count = 2 * TEST_STRIPE_SECTORS, .write = true};
    before_waiting = publish_both;
    assert_true(stripe_gate_enter(gate, &waiter, 0));
    assert_false(stripe_map_was_woken(map, 0));
    assert_false(waiter.held);
    assert_int_equal(0, stripe_gate_held(gate));
    assert_null(stripe_gate_next(gate));
}

static void waits_for_the_next_when_the_first_was_published_while_it_entered(void **state)
{
    (void)state;
    struct stripe_waiter waiter = {.sector_count = 2 * TEST_STRIPE_SECTORS, .write = true};
    before_waiting = publish_first;
    assert_false(stripe_gate_enter(gate, &waiter, 0));
    assert_false(stripe_map_was_woken(map, 0));
    stripe_map_publish(map, 1, STRIPE_FETCHED, STRIPE_WRITE_ASKED);
    stripe_map_wake(map);
    stripe_gate_look(gate, 0);
    assert_ptr_equal(&waiter, stripe_gate_next(gate));
}

static void take_one(struct stripe_map *asked)
{
    struct miss miss;
    assert_int_equal(1, stripe_map_await_misses(asked, &miss, 1));
}

static void is_woken_when_the_full_ring_has_room_while_it_enters(void **state)
{
    (void)state;
    struct stripe_waiter waiter = {.sector_count = 1};
    while (miss_ring_offer(map->misses, (struct miss){.stripe = 3}))
        continue;
    after_asking = take_one;
    assert_false(stripe_gate_enter(gate, &waiter, 0));
    assert_true(stripe_map_was_woken(map, 0));
    stripe_gate_withdraw(gate, &waiter);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(reports_that_memory_is_short),
        TEST(lets_pass_what_was_published_while_it_entered),
        TEST(waits_for_the_next_when_the_first_was_published_while_it_entered),
        TEST(is_woken_when_the_full_ring_has_room_while_it_enters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
