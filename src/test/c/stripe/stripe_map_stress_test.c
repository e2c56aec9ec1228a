/* SPDX-License-Identifier: AGPL-3.0-only */
/* Many threads on the same stripes. */
#include "stripe/stripe_map.h"

#include "support/cmocka_test.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "support/test_scale.h"
#include "support/test_stripes.h"

enum { LACKS = STRIPE_HAS_SOURCE, ASKED = STRIPE_READ_ASKED | STRIPE_WRITE_ASKED };

/* --- one step --------------------------------------------------------------------------------- */

enum { ONE_STATE = LACKS | STRIPE_READABLE, OTHER_STATE = LACKS | ASKED };

struct toggling {
    struct stripe_map *map;
    _Atomic bool enough;
};

static void *toggle(void *argument)
{
    struct toggling *toggling = argument;
    while (!atomic_load(&toggling->enough)) {
        stripe_map_publish(toggling->map, 0, STRIPE_READABLE, ASKED);
        stripe_map_publish(toggling->map, 0, ASKED, STRIPE_READABLE);
    }
    return NULL;
}

static void nobody_sees_a_state_between_before_and_after(void **state)
{
    (void)state;
    uint64_t looks = test_count(1000000, 100000000);
    struct toggling toggling = {.map = NULL};
    pthread_t thread;
    uint64_t changes = 0;
    toggling.map =
        test_stripes_create(&(struct test_stripes_params){.stripe_count = 1, .flags = LACKS});
    stripe_map_publish(toggling.map, 0, ASKED, 0);
    test_print_scale(looks, "looks at a stripe that changes to and fro");
    assert_int_equal(0, pthread_create(&thread, NULL, toggle, &toggling));
    uint8_t before = OTHER_STATE;
    for (uint64_t i = 0; i < looks || changes < 2; i++) {
        uint8_t flags = stripe_map_flags(toggling.map, 0);
        if (flags != ONE_STATE && flags != OTHER_STATE)
            fail_msg("saw 0x%02x", flags);
        changes += flags != before;
        before = flags;
    }
    atomic_store(&toggling.enough, true);
    pthread_join(thread, NULL);
    stripe_map_destroy(toggling.map);
}

/* --- many publishers -------------------------------------------------------------------------- */

enum { STRIPES = 64, OWN = 16, ALL = STRIPES + 2 * OWN };

/*
 * Two publishers have one flag each, of the first STRIPES; OWN further ones are each one's alone,
 * so that nothing but the count of closed stripes tells one what the other did there. Both note in
 * plain memory what they did before they publish it.
 */
struct filling {
    struct stripe_map *map;
    pthread_barrier_t start;
    uint32_t fetched[ALL];
    uint32_t written[ALL];
};

static void publish_own(struct filling *filling, uint32_t first)
{
    for (uint32_t i = first; i < first + OWN; i++) {
        filling->fetched[i] = i + 1;
        filling->written[i] = i + 1;
        stripe_map_publish(filling->map, i, STRIPE_FETCHED | STRIPE_WRITTEN, ASKED);
    }
}

static void *publish_fetched(void *argument)
{
    struct filling *filling = argument;
    pthread_barrier_wait(&filling->start);
    for (uint32_t i = 0; i < STRIPES; i++) {
        filling->fetched[i] = i + 1;
        stripe_map_publish(filling->map, i, STRIPE_FETCHED, ASKED);
    }
    publish_own(filling, STRIPES);
    return NULL;
}

static void *publish_written(void *argument)
{
    struct filling *filling = argument;
    pthread_barrier_wait(&filling->start);
    for (uint32_t i = 0; i < STRIPES; i++) {
        filling->written[i] = i + 1;
        stripe_map_publish(filling->map, i, STRIPE_WRITTEN, STRIPE_WRITE_ASKED);
    }
    publish_own(filling, STRIPES + OWN);
    return NULL;
}

static void *publish_readable_and_take_it_back(void *argument)
{
    struct filling *filling = argument;
    pthread_barrier_wait(&filling->start);
    for (uint32_t i = ALL; i-- > 0;) {
        stripe_map_publish(filling->map, i, STRIPE_READABLE, STRIPE_READ_ASKED);
        stripe_map_publish(filling->map, i, 0, STRIPE_READABLE);
    }
    return NULL;
}

static void *ask_for_all(void *argument)
{
    struct filling *filling = argument;
    pthread_barrier_wait(&filling->start);
    for (uint32_t i = 0; i < ALL; i++)
        stripe_map_ask(filling->map, i, i % 2 == 0 ? MISS_WRITE : MISS_READ);
    return NULL;
}

/* The plain memory first: it is the open map alone that makes it visible. */
static void assert_all_went(const struct filling *filling)
{
    for (uint32_t i = 0; i < ALL; i++) {
        assert_int_equal(i + 1, filling->fetched[i]);
        assert_int_equal(i + 1, filling->written[i]);
    }
    for (uint32_t i = 0; i < ALL; i++)
        assert_true(stripe_write_goes(filling->map, stripe_map_flags(filling->map, i)));
}

static void opens_once_for_many_publishers_and_loses_no_flag(void **state)
{
    (void)state;
    void *(*const mains[])(void *) = {publish_fetched, publish_written,
                                      publish_readable_and_take_it_back, ask_for_all};
    enum { THREADS = sizeof(mains) / sizeof(mains[0]) };
    uint64_t rounds = test_count(500, 10000);
    test_print_scale(rounds, "maps that open");
    for (uint64_t round = 0; round < rounds; round++) {
        static struct filling filling;
        pthread_t threads[THREADS];
        memset(&filling, 0, sizeof(filling));
        filling.map = test_stripes_create(&(struct test_stripes_params){
            .stripe_count = ALL, .flags = LACKS, .track_written = true});
        pthread_barrier_init(&filling.start, NULL, THREADS);
        for (uint32_t i = 0; i < THREADS; i++)
            assert_int_equal(0, pthread_create(&threads[i], NULL, mains[i], &filling));
        while (!stripe_map_open(filling.map))
            continue;
        assert_all_went(&filling);
        for (uint32_t i = 0; i < THREADS; i++)
            pthread_join(threads[i], NULL);
        assert_int_equal(0, atomic_load(&filling.map->closed_count));
        assert_true(stripe_map_open(filling.map));
        for (uint32_t i = 0; i < ALL; i++)
            assert_int_equal(0, stripe_map_flags(filling.map, i) & STRIPE_READABLE);
        pthread_barrier_destroy(&filling.start);
        stripe_map_destroy(filling.map);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nobody_sees_a_state_between_before_and_after),
        cmocka_unit_test(opens_once_for_many_publishers_and_loses_no_flag),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
