/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Queue threads that sleep on their eventfd, and a control plane that held_count in the ring of
 * misses. What is lost between them shows as a queue that held_count until SLEEP_MS is over.
 */
#include "stripe/stripe_gate.h"

#include "support/cmocka_test.h"

#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "base/event.h"
#include "support/test_scale.h"
#include "support/test_stripes.h"

enum { LACKS = STRIPE_HAS_SOURCE, SLEEP_MS = 60000, MISSES = 64 };

/* Sleeps until the queue is woken, and looks. False: it never was. */
static bool sleep_and_look(struct stripe_map *map, uint32_t queue, struct stripe_gate *gate)
{
    struct pollfd pollfd = {.fd = stripe_map_wake_fd(map, queue), .events = POLLIN};
    if (poll(&pollfd, 1, SLEEP_MS) != 1)
        return false;
    event_drain(pollfd.fd);
    stripe_gate_look(gate, 0);
    return true;
}

/* --- one queue -------------------------------------------------------------------------------- */

/*
 * A request for stripe after stripe. Every other stripe is published by `fetch` because it was
 * asked for; the rest by `autofetch`, which is told of no miss and publishes about when the request
 * enters. Whoever publishes has written the content before, in plain memory.
 */
struct one_queue {
    struct stripe_map *map;
    struct stripe_gate *gate;
    uint32_t *content;
    _Atomic uint32_t next; /* the stripe that the queue enters for */
};

static void spin(struct test_random *random, uint64_t limit)
{
    for (volatile uint64_t left = test_random_below(random, limit); left > 0;)
        left = left - 1;
}

static void *fetch(void *argument)
{
    struct one_queue *test = argument;
    struct test_random random = {test_seed() + 2};
    struct miss misses[MISSES];
    int count;
    while ((count = stripe_map_await_misses(test->map, misses, MISSES)) > 0) {
        for (int i = 0; i < count; i++) {
            uint32_t stripe = misses[i].stripe;
            if (stripe % 2 != 0)
                continue;
            spin(&random, 2000);
            test->content[stripe] = ~stripe;
            if (misses[i].kind == MISS_WRITE)
                stripe_map_publish(test->map, stripe, STRIPE_FETCHED, STRIPE_WRITE_ASKED);
            else
                stripe_map_publish(test->map, stripe, STRIPE_READABLE, STRIPE_READ_ASKED);
        }
        stripe_map_wake(test->map);
    }
    return NULL;
}

static void *autofetch(void *argument)
{
    struct one_queue *test = argument;
    struct test_random random = {test_seed() + 1};
    for (uint32_t stripe = 1; stripe < test->map->stripe_count; stripe += 2) {
        while (atomic_load(&test->next) < stripe)
            continue;
        spin(&random, 1000);
        test->content[stripe] = ~stripe;
        stripe_map_publish(test->map, stripe, STRIPE_FETCHED,
                           STRIPE_READ_ASKED | STRIPE_WRITE_ASKED);
        stripe_map_wake(test->map);
    }
    return NULL;
}

/* Returns how often it was held. */
static uint32_t enter_for_every_stripe(struct one_queue *test)
{
    struct test_random random = {test_seed()};
    uint32_t held_count = 0;
    for (uint32_t stripe = 0; stripe < test->map->stripe_count; stripe++) {
        struct stripe_waiter waiter = {.sector = (uint64_t)stripe * TEST_STRIPE_SECTORS,
                                       .sector_count = TEST_STRIPE_SECTORS,
                                       .write = test_random_one_in(&random, 2)};
        atomic_store(&test->next, stripe);
        spin(&random, 1000);
        bool goes = stripe_gate_enter(test->gate, &waiter, 0);
        while (!goes) {
            held_count++;
            if (!sleep_and_look(test->map, 0, test->gate))
                fail_msg("stripe %u: nobody woke the queue", stripe);
            goes = stripe_gate_next(test->gate) == &waiter;
        }
        assert_int_equal(~stripe, test->content[stripe]);
    }
    return held_count;
}

static void loses_no_wake_up_between_publishers_and_a_sleeping_queue(void **state)
{
    (void)state;
    uint32_t rounds = (uint32_t)test_count(100000, 1000000);
    struct one_queue test = {.content = calloc(rounds, sizeof(uint32_t))};
    pthread_t threads[2];
    test.map =
        test_stripes_create(&(struct test_stripes_params){.stripe_count = rounds, .flags = LACKS});
    assert_int_equal(0, stripe_gate_create(test.map, 0, 1, UINT64_MAX, &test.gate, NULL));
    test_print_scale(rounds, "rounds of a queue that held_count");
    assert_int_equal(0, pthread_create(&threads[0], NULL, fetch, &test));
    assert_int_equal(0, pthread_create(&threads[1], NULL, autofetch, &test));
    uint32_t held_count = enter_for_every_stripe(&test);
    assert_in_range(held_count, rounds / 100, UINT32_MAX);
    miss_ring_close(test.map->misses);
    for (uint32_t i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    stripe_gate_destroy(test.gate);
    stripe_map_destroy(test.map);
    free(test.content);
}

/* --- many queues and a full ring -------------------------------------------------------------- */

enum { QUEUES = 3, HELD = 8, STRIPES = 4 * STRIPE_MISSES_MAX, LONGEST = STRIPE_MISSES_MAX };

/*
 * Queues whose large reads overlap and want more stripes than the ring holds. Before each batch a
 * queue takes back stripes that are readable, so that others wait for what they have passed.
 */
struct queue {
    struct stripe_map *map;
    uint32_t index;
    uint32_t rounds;
    bool stuck;
    struct stripe_gate *gate;
    struct stripe_waiter waiters[HELD];
};

static void *publish_whatever_is_asked(void *argument)
{
    struct stripe_map *map = argument;
    struct miss misses[MISSES];
    int count;
    while ((count = stripe_map_await_misses(map, misses, MISSES)) > 0) {
        for (int i = 0; i < count; i++)
            stripe_map_publish(map, misses[i].stripe, STRIPE_READABLE, STRIPE_READ_ASKED);
        stripe_map_wake(map);
    }
    return NULL;
}

static void take_back(struct stripe_map *map, struct test_random *random)
{
    uint32_t first = (uint32_t)test_random_below(random, STRIPES / 2);
    for (uint32_t i = 0; i < STRIPES / 2; i++)
        stripe_map_publish(map, first + i, 0, STRIPE_READABLE);
    stripe_map_wake(map);
}

static bool run_batch(struct queue *queue, struct test_random *random)
{
    take_back(queue->map, random);
    for (uint32_t i = 0; i < HELD; i++) {
        uint64_t first = test_random_below(random, STRIPES - LONGEST);
        queue->waiters[i] = (struct stripe_waiter){
            .sector = first * TEST_STRIPE_SECTORS,
            .sector_count =
                (uint32_t)(1 + test_random_below(random, LONGEST)) * TEST_STRIPE_SECTORS};
        stripe_gate_enter(queue->gate, &queue->waiters[i], 0);
    }
    if (test_random_one_in(random, 2) && queue->waiters[0].held)
        stripe_gate_withdraw(queue->gate, &queue->waiters[0]);
    while (stripe_gate_held(queue->gate) > 0) {
        if (!sleep_and_look(queue->map, queue->index, queue->gate))
            return false;
        while (stripe_gate_next(queue->gate))
            continue;
    }
    return true;
}

static void *run_queue(void *argument)
{
    struct queue *queue = argument;
    struct test_random random = {test_seed() + queue->index};
    for (uint32_t i = 0; i < queue->rounds && !queue->stuck; i++)
        queue->stuck = !run_batch(queue, &random);
    stripe_gate_expire_all(queue->gate);
    while (stripe_gate_next(queue->gate))
        continue;
    return NULL;
}

static void queues_that_find_the_ring_full_are_served_in_the_end(void **state)
{
    (void)state;
    uint32_t rounds = (uint32_t)test_count(100, 5000);
    struct stripe_map *map = test_stripes_create(&(struct test_stripes_params){
        .stripe_count = STRIPES, .queue_count = QUEUES, .flags = LACKS});
    struct queue queues[QUEUES];
    pthread_t publisher, threads[QUEUES];
    test_print_scale((uint64_t)rounds * QUEUES, "batches of large requests at a full ring");
    assert_int_equal(0, pthread_create(&publisher, NULL, publish_whatever_is_asked, map));
    for (uint32_t i = 0; i < QUEUES; i++) {
        queues[i] = (struct queue){.map = map, .index = i, .rounds = rounds};
        assert_int_equal(0, stripe_gate_create(map, i, HELD, UINT64_MAX, &queues[i].gate, NULL));
        assert_int_equal(0, pthread_create(&threads[i], NULL, run_queue, &queues[i]));
    }
    for (uint32_t i = 0; i < QUEUES; i++) {
        pthread_join(threads[i], NULL);
        assert_false(queues[i].stuck);
        stripe_gate_destroy(queues[i].gate);
    }
    miss_ring_close(map->misses);
    pthread_join(publisher, NULL);
    stripe_map_destroy(map);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(loses_no_wake_up_between_publishers_and_a_sleeping_queue),
        cmocka_unit_test(queues_that_find_the_ring_full_are_served_in_the_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
