/* SPDX-License-Identifier: AGPL-3.0-only */
#include "stripe/miss_ring.h"

#include "support/cmocka_test.h"

#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <time.h>

#include "support/test_scale.h"

enum { CAPACITY = 8 };

static struct miss_ring *create(uint32_t capacity)
{
    struct miss_ring *ring = miss_ring_create(capacity);
    assert_non_null(ring);
    return ring;
}

static bool offer(struct miss_ring *ring, uint32_t stripe)
{
    return miss_ring_offer(ring, (struct miss){.kind = stripe & 1, .stripe = stripe});
}

/* Takes up to max at once, which must be the stripes from first on; returns how many. */
static uint32_t await(struct miss_ring *ring, uint32_t max, uint32_t first, bool *was_full)
{
    struct miss misses[CAPACITY];
    int count = miss_ring_await(ring, misses, max, was_full);
    assert_in_range(count, 1, max);
    for (uint32_t i = 0; i < (uint32_t)count; i++) {
        assert_int_equal(first + i, misses[i].stripe);
        assert_int_equal((first + i) & 1, misses[i].kind);
    }
    return (uint32_t)count;
}

static void refuses_a_capacity_that_is_no_power_of_two_or_out_of_bounds(void **state)
{
    (void)state;
    const uint32_t refused[] = {
        0, 1, 3, 12, MISS_RING_CAPACITY_MAX + 1, 2 * MISS_RING_CAPACITY_MAX, UINT32_C(1) << 31};
    for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
        errno = 0;
        assert_null(miss_ring_create(refused[i]));
        assert_int_equal(EINVAL, errno);
    }
    miss_ring_destroy(create(2));
    miss_ring_destroy(create(MISS_RING_CAPACITY_MAX));
}

static void hands_out_what_was_offered_oldest_first(void **state)
{
    (void)state;
    struct miss_ring *ring = create(CAPACITY);
    bool was_full;
    for (uint32_t i = 0; i < 5; i++)
        assert_true(offer(ring, i));
    assert_int_equal(3, await(ring, 3, 0, &was_full));
    assert_false(was_full);
    assert_true(offer(ring, 5));
    assert_int_equal(3, await(ring, CAPACITY, 3, &was_full));
    assert_false(was_full);
    miss_ring_destroy(ring);
}

static void holds_as_many_as_its_capacity_in_every_round(void **state)
{
    (void)state;
    struct miss_ring *ring = create(CAPACITY);
    bool was_full;
    uint32_t offered = 0;
    uint32_t taken = 0;
    for (uint32_t round = 0; round < 100; round++) {
        while (offer(ring, offered))
            offered++;
        assert_int_equal(CAPACITY, offered - taken);
        taken += await(ring, 1 + round % CAPACITY, taken, &was_full);
        assert_false(was_full); /* refused, but nobody said that he waits */
    }
    miss_ring_destroy(ring);
}

static void tells_the_reader_that_somebody_waits_for_room(void **state)
{
    (void)state;
    struct miss_ring *ring = create(CAPACITY);
    bool was_full;
    for (uint32_t i = 0; i < CAPACITY; i++)
        assert_true(offer(ring, i));
    assert_false(offer(ring, 99));
    assert_true(miss_ring_still_full(ring));
    assert_int_equal(1, await(ring, 1, 0, &was_full));
    assert_true(was_full);
    assert_int_equal(1, await(ring, 1, 1, &was_full));
    assert_false(was_full);
    miss_ring_destroy(ring);
}

static void tells_the_writer_that_there_is_room_again(void **state)
{
    (void)state;
    struct miss_ring *ring = create(CAPACITY);
    bool was_full;
    for (uint32_t i = 0; i < CAPACITY; i++)
        assert_true(offer(ring, i));
    assert_false(offer(ring, CAPACITY));
    assert_int_equal(1, await(ring, 1, 0, &was_full));
    assert_false(was_full);
    assert_false(miss_ring_still_full(ring));
    assert_true(offer(ring, CAPACITY));
    miss_ring_destroy(ring);
}

static void ends_the_waiting_for_ever_whatever_it_holds(void **state)
{
    (void)state;
    struct miss_ring *ring = create(CAPACITY);
    struct miss miss;
    bool was_full;
    assert_true(offer(ring, 1));
    miss_ring_close(ring);
    assert_int_equal(-ESHUTDOWN, miss_ring_await(ring, &miss, 1, &was_full));
    assert_true(offer(ring, 2));
    assert_int_equal(-ESHUTDOWN, miss_ring_await(ring, &miss, 1, &was_full));
    miss_ring_close(ring);
    assert_int_equal(-ESHUTDOWN, miss_ring_await(ring, &miss, 1, &was_full));
    miss_ring_destroy(ring);
}

static void destroys_nothing_without_complaint(void **state)
{
    (void)state;
    miss_ring_destroy(NULL);
}

/* --- with threads ----------------------------------------------------------------------------- */

enum { WRITERS = 4, NUMBER_BITS = 28 };

/* Writers that keep the ring full, each with its own ascending numbers, and sleep when it is. */
struct stress {
    struct miss_ring *ring;
    uint32_t count; /* of misses per writer */
    _Atomic uint32_t started;
    _Atomic uint32_t stuck;
    struct writer {
        _Atomic bool waiting;
        sem_t room;
    } writers[WRITERS];
};

static bool wait_for_room(struct writer *writer)
{
    struct timespec deadline;
    clock_gettime(CLOCK_REALTIME, &deadline);
    deadline.tv_sec += 60;
    int result;
    do {
        result = sem_timedwait(&writer->room, &deadline);
    } while (result != 0 && errno == EINTR);
    return result == 0;
}

static void *write_misses(void *argument)
{
    struct stress *stress = argument;
    uint32_t index = atomic_fetch_add(&stress->started, 1);
    struct writer *writer = &stress->writers[index];
    for (uint32_t i = 0; i < stress->count; i++) {
        struct miss miss = {.kind = ~i, .stripe = index << NUMBER_BITS | i};
        atomic_store(&writer->waiting, true);
        while (!miss_ring_offer(stress->ring, miss)) {
            if (miss_ring_still_full(stress->ring) && !wait_for_room(writer)) {
                atomic_fetch_add(&stress->stuck, 1);
                miss_ring_close(stress->ring);
                return NULL;
            }
        }
        atomic_store(&writer->waiting, false);
    }
    return NULL;
}

static void read_misses(struct stress *stress)
{
    uint32_t next[WRITERS] = {0};
    uint64_t left = (uint64_t)stress->count * WRITERS;
    while (left > 0) {
        struct miss misses[3];
        bool was_full;
        int count = miss_ring_await(stress->ring, misses, 3, &was_full);
        assert_in_range(count, 1, 3); /* closed: a writer was never told of room */
        left -= (uint32_t)count;
        for (int i = 0; i < count; i++) {
            uint32_t number = misses[i].stripe & ((1u << NUMBER_BITS) - 1);
            assert_int_equal(next[misses[i].stripe >> NUMBER_BITS]++, number);
            assert_int_equal(~number, misses[i].kind);
        }
        for (uint32_t i = 0; was_full && i < WRITERS; i++) {
            if (atomic_load(&stress->writers[i].waiting))
                sem_post(&stress->writers[i].room);
        }
    }
}

static void loses_nothing_between_many_writers_and_a_reader_that_both_sleep(void **state)
{
    (void)state;
    static struct stress stress;
    pthread_t threads[WRITERS];
    stress.count = (uint32_t)test_count(20000, 1000000);
    stress.ring = create(CAPACITY);
    test_print_scale((uint64_t)stress.count * WRITERS, "misses of four writers");
    for (uint32_t i = 0; i < WRITERS; i++)
        sem_init(&stress.writers[i].room, 0, 0);
    for (uint32_t i = 0; i < WRITERS; i++)
        assert_int_equal(0, pthread_create(&threads[i], NULL, write_misses, &stress));
    read_misses(&stress);
    for (uint32_t i = 0; i < WRITERS; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(0, atomic_load(&stress.stuck));
    miss_ring_destroy(stress.ring);
}

static void spin(struct test_random *random, uint64_t limit)
{
    for (volatile uint64_t left = test_random_below(random, limit); left > 0;)
        left = left - 1;
}

/* False: nobody reached number in a minute. */
static bool wait_until(_Atomic uint32_t *counter, uint32_t number)
{
    time_t start = time(NULL);
    while (atomic_load(counter) != number) {
        if (time(NULL) - start > 60)
            return false;
    }
    return true;
}

/* Both sides take a moment of random length, so that one meets the other at any point of its way.
 */
enum { MOMENT = 300 };

struct sleeper {
    struct miss_ring *ring;
    _Atomic uint32_t taken;
    int result;
};

static void *take_until_closed(void *argument)
{
    struct sleeper *sleeper = argument;
    struct test_random random = {test_seed() + 1};
    struct miss miss;
    bool was_full;
    while ((sleeper->result = miss_ring_await(sleeper->ring, &miss, 1, &was_full)) == 1) {
        atomic_fetch_add(&sleeper->taken, 1);
        spin(&random, MOMENT);
    }
    return NULL;
}

static void wakes_a_reader_that_falls_asleep(void **state)
{
    (void)state;
    uint32_t rounds = (uint32_t)test_count(100000, 1000000);
    struct sleeper sleeper = {.ring = create(CAPACITY)};
    struct test_random random = {test_seed()};
    pthread_t reader;
    test_print_scale(rounds, "rounds of a reader that falls asleep");
    assert_int_equal(0, pthread_create(&reader, NULL, take_until_closed, &sleeper));
    for (uint32_t i = 0; i < rounds; i++) {
        spin(&random, MOMENT);
        assert_true(offer(sleeper.ring, i));
        if (!wait_until(&sleeper.taken, i + 1))
            fail_msg("the reader sleeps beside miss %u", i);
    }
    miss_ring_close(sleeper.ring);
    pthread_join(reader, NULL);
    assert_int_equal(-ESHUTDOWN, sleeper.result);
    miss_ring_destroy(sleeper.ring);
}

/* A reader that goes from ring to ring as each is closed. */
struct wanderer {
    struct miss_ring *ring;
    uint32_t rounds;
    _Atomic uint32_t made;
    _Atomic uint32_t left;
    uint32_t others; /* what it got beside -ESHUTDOWN */
};

static void *await_the_end_of_each(void *argument)
{
    struct wanderer *wanderer = argument;
    struct test_random random = {test_seed() + 1};
    for (uint32_t i = 1; i <= wanderer->rounds && wait_until(&wanderer->made, i); i++) {
        struct miss miss;
        bool was_full;
        spin(&random, MOMENT);
        if (miss_ring_await(wanderer->ring, &miss, 1, &was_full) != -ESHUTDOWN)
            wanderer->others++;
        atomic_store(&wanderer->left, i);
    }
    return NULL;
}

static void wakes_a_reader_that_falls_asleep_when_it_is_closed(void **state)
{
    (void)state;
    struct wanderer wanderer = {.rounds = (uint32_t)test_count(100000, 1000000)};
    struct test_random random = {test_seed()};
    pthread_t reader;
    test_print_scale(wanderer.rounds, "closed rings");
    assert_int_equal(0, pthread_create(&reader, NULL, await_the_end_of_each, &wanderer));
    for (uint32_t i = 1; i <= wanderer.rounds; i++) {
        wanderer.ring = create(CAPACITY);
        atomic_store(&wanderer.made, i);
        spin(&random, MOMENT);
        miss_ring_close(wanderer.ring);
        if (!wait_until(&wanderer.left, i))
            fail_msg("the reader sleeps at closed ring %u", i);
        miss_ring_destroy(wanderer.ring);
    }
    pthread_join(reader, NULL);
    assert_int_equal(0, wanderer.others);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refuses_a_capacity_that_is_no_power_of_two_or_out_of_bounds),
        cmocka_unit_test(hands_out_what_was_offered_oldest_first),
        cmocka_unit_test(holds_as_many_as_its_capacity_in_every_round),
        cmocka_unit_test(tells_the_reader_that_somebody_waits_for_room),
        cmocka_unit_test(tells_the_writer_that_there_is_room_again),
        cmocka_unit_test(ends_the_waiting_for_ever_whatever_it_holds),
        cmocka_unit_test(destroys_nothing_without_complaint),
        cmocka_unit_test(loses_nothing_between_many_writers_and_a_reader_that_both_sleep),
        cmocka_unit_test(wakes_a_reader_that_falls_asleep),
        cmocka_unit_test(wakes_a_reader_that_falls_asleep_when_it_is_closed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
