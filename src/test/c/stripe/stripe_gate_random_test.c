/* SPDX-License-Identifier: AGPL-3.0-only */
/* A gate under random requests and publications, against what must hold after every step. */
#include "stripe/stripe_gate.h"

#include "support/cmocka_test.h"

#include <string.h>

#include "support/test_scale.h"
#include "support/test_stripes.h"

enum { STRIPES = 32, CAPACITY = 16, STEPS = 500, TIMEOUT_NS = 1000 };

static struct stripe_map *map;
static struct stripe_gate *gate;
static struct stripe_waiter waiters[CAPACITY];

static bool goes(const struct stripe_waiter *waiter, uint8_t flags)
{
    uint8_t wanted = waiter->write ? STRIPE_FETCHED : STRIPE_FETCHED | STRIPE_READABLE;
    return (flags & wanted) != 0;
}

/* Whether all its stripes go. *asked: whether one that does not is asked for. */
static bool may_go(const struct stripe_waiter *waiter, bool *asked)
{
    bool all_go = true;
    *asked = false;
    uint64_t last = (waiter->sector + waiter->sector_count - 1) / TEST_STRIPE_SECTORS;
    for (uint64_t i = waiter->sector / TEST_STRIPE_SECTORS; i <= last; i++) {
        uint8_t flags = stripe_map_flags(map, (uint32_t)i);
        uint8_t wanted =
            waiter->write ? STRIPE_WRITE_ASKED : STRIPE_READ_ASKED | STRIPE_WRITE_ASKED;
        all_go = all_go && goes(waiter, flags);
        *asked = *asked || (!goes(waiter, flags) && (flags & wanted) != 0);
    }
    return all_go;
}

static void enter_at_random(struct test_random *random, struct stripe_waiter *waiter,
                            uint64_t now_ns)
{
    const uint64_t sectors = (uint64_t)STRIPES * TEST_STRIPE_SECTORS;
    waiter->sector = test_random_below(random, sectors);
    uint64_t most = sectors - waiter->sector;
    uint64_t longest = most < 400 ? most : 400;
    waiter->sector_count = 1 + (uint32_t)test_random_below(random, longest);
    waiter->write = test_random_one_in(random, 2);
    bool asked;
    bool expected = may_go(waiter, &asked);
    assert_int_equal(expected, stripe_gate_enter(gate, waiter, now_ns));
    assert_int_equal(!expected, waiter->held);
}

static void publish_at_random(struct test_random *random)
{
    uint32_t stripe = (uint32_t)test_random_below(random, STRIPES);
    const uint8_t asked_flags = STRIPE_READ_ASKED | STRIPE_WRITE_ASKED;
    if (test_random_one_in(random, 20))
        stripe_map_publish(map, stripe, STRIPE_FETCHED, asked_flags);
    else if (test_random_one_in(random, 2))
        stripe_map_publish(map, stripe, STRIPE_READABLE, asked_flags);
    else
        stripe_map_publish(map, stripe, 0, STRIPE_READABLE);
    stripe_map_wake(map);
}

/* After a look: held is exactly what may not go and is in time, and what it waits for is asked
 * for. */
static void look_and_check(uint64_t now_ns)
{
    bool was_held[CAPACITY];
    bool asked;
    uint32_t held = 0;
    for (uint32_t i = 0; i < CAPACITY; i++)
        was_held[i] = waiters[i].held;
    stripe_gate_look(gate, now_ns);
    for (struct stripe_waiter *out = stripe_gate_next(gate); out; out = stripe_gate_next(gate)) {
        assert_true(was_held[out - waiters]);
        assert_false(out->held);
        assert_int_equal(!may_go(out, &asked), out->expired);
        assert_true(!out->expired || out->deadline_ns <= now_ns);
    }
    uint64_t deadline_ns = UINT64_MAX;
    for (uint32_t i = 0; i < CAPACITY; i++) {
        if (!waiters[i].held)
            continue;
        held++;
        assert_false(may_go(&waiters[i], &asked));
        assert_true(asked);
        assert_true(waiters[i].deadline_ns > now_ns);
        if (waiters[i].deadline_ns < deadline_ns)
            deadline_ns = waiters[i].deadline_ns;
    }
    assert_int_equal(held, stripe_gate_held(gate));
    assert_true(stripe_gate_deadline_ns(gate) <= deadline_ns);
}

static void drain_misses(void)
{
    struct miss misses[STRIPES];
    const struct miss last = {.kind = 99};
    assert_true(miss_ring_offer(map->misses, last));
    int count;
    do {
        count = stripe_map_await_misses(map, misses, STRIPES);
    } while (misses[count - 1].kind != 99);
}

static void step_at_random(struct test_random *random, uint64_t now_ns)
{
    struct stripe_waiter *waiter = &waiters[test_random_below(random, CAPACITY)];
    if (test_random_one_in(random, 3))
        publish_at_random(random);
    else if (!waiter->held)
        enter_at_random(random, waiter, now_ns);
    else if (test_random_one_in(random, 30))
        stripe_gate_withdraw(gate, waiter);
}

static void run_round(struct test_random *random)
{
    map = test_stripes_create(
        &(struct test_stripes_params){.stripe_count = STRIPES, .flags = STRIPE_HAS_SOURCE});
    assert_int_equal(0, stripe_gate_create(map, 0, CAPACITY, TIMEOUT_NS, &gate, NULL));
    memset(waiters, 0, sizeof(waiters));
    for (uint64_t step = 0; step < STEPS; step++) {
        step_at_random(random, step);
        look_and_check(step + (test_random_one_in(random, 100) ? TIMEOUT_NS * 3 / 4 : 0));
        drain_misses();
    }
    stripe_gate_expire_all(gate);
    while (stripe_gate_next(gate))
        continue;
    stripe_gate_destroy(gate);
    stripe_map_destroy(map);
}

static void holds_what_may_not_go_and_nothing_else(void **state)
{
    (void)state;
    uint64_t rounds = test_count(300, 20000);
    struct test_random random = {test_seed()};
    test_print_scale(rounds * STEPS, "random steps at a gate");
    for (uint64_t round = 0; round < rounds; round++)
        run_round(&random);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(holds_what_may_not_go_and_nothing_else),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
