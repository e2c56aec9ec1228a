/* SPDX-License-Identifier: AGPL-3.0-only */
/* Counters, latency buckets, and pairs that a reader sees whole. */
#include "blk/queue_stats.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>

#include "support/cmocka_test.h"
#include "support/test_scale.h"

enum { SLOTS = 8 };

static uint64_t load(const _Atomic uint64_t *word)
{
    return atomic_load_explicit((_Atomic uint64_t *)(uintptr_t)word, memory_order_relaxed);
}

static void begins_with_zeroes_on_cache_lines(void **state)
{
    (void)state;
    struct queue_stats *stats = queue_stats_create(SLOTS);
    assert_non_null(stats);
    assert_int_equal(0, (uintptr_t)stats % CACHELINE_BYTES);
    assert_int_equal(0, (uintptr_t)stats->activity % CACHELINE_BYTES);
    const uint8_t *bytes = (const uint8_t *)stats;
    assert_int_equal(sizeof(*stats) + SLOTS * 16, queue_stats_bytes(SLOTS));
    for (uint64_t i = 0; i < queue_stats_bytes(SLOTS); i++) {
        assert_int_equal(0, bytes[i]);
    }
    queue_stats_destroy(stats);
    queue_stats_destroy(NULL);
}

static void counts_what_succeeded_and_what_failed(void **state)
{
    (void)state;
    struct queue_stats *stats = queue_stats_create(SLOTS);
    queue_stats_finished(stats, 0, QUEUE_OP_READ, 4096, 0, 100);
    queue_stats_finished(stats, 1, QUEUE_OP_READ, 512, 0, 50);
    queue_stats_finished(stats, 2, QUEUE_OP_READ, 8192, -EIO, 70);
    queue_stats_finished(stats, 3, QUEUE_OP_FLUSH, 0, 0, 1);
    const struct queue_op_stats *reads = &stats->op[QUEUE_OP_READ];
    assert_int_equal(3, load(&reads->ops));
    assert_int_equal(4608, load(&reads->bytes));
    assert_int_equal(1, load(&reads->errors));
    assert_int_equal(220, load(&reads->latency_sum_ns));
    assert_int_equal(100, load(&reads->latency_max_ns));
    assert_int_equal(1, load(&reads->latency[latency_bucket(100)]));
    assert_int_equal(1, load(&reads->latency[latency_bucket(50)]));
    assert_int_equal(1, load(&reads->latency[latency_bucket(70)]));
    assert_int_equal(1, load(&stats->op[QUEUE_OP_FLUSH].ops));
    assert_int_equal(0, load(&stats->op[QUEUE_OP_WRITE].ops));
    assert_int_equal(0, load(&stats->op[QUEUE_OP_OTHER].ops));
    queue_stats_destroy(stats);
}

static void shows_a_request_while_it_is_in_its_slot(void **state)
{
    (void)state;
    struct queue_stats *stats = queue_stats_create(SLOTS);
    const struct queue_activity *activity = &stats->activity[SLOTS - 1];
    queue_stats_started(stats, SLOTS - 1, QUEUE_OP_WRITE, UINT64_MAX, UINT32_MAX);
    assert_true(load(&activity->kind_sectors) ==
                ((uint64_t)(QUEUE_OP_WRITE + 1) << 32 | UINT32_MAX));
    assert_true(load(&activity->sector) == UINT64_MAX);
    queue_stats_finished(stats, SLOTS - 1, QUEUE_OP_WRITE, 0, 0, 0);
    assert_int_equal(0, load(&activity->kind_sectors));
    queue_stats_started(stats, SLOTS - 1, QUEUE_OP_READ, 7, 0);
    assert_true(load(&activity->kind_sectors) == (uint64_t)(QUEUE_OP_READ + 1) << 32);
    assert_int_equal(0, load(&stats->activity[0].kind_sectors));
    queue_stats_destroy(stats);
}

static void puts_small_latencies_into_buckets_of_their_own(void **state)
{
    (void)state;
    for (uint32_t ns = 0; ns < 32; ns++) {
        assert_int_equal(ns, latency_bucket(ns));
    }
    assert_int_equal(32, latency_bucket(32));
    assert_int_equal(32, latency_bucket(33));
    assert_int_equal(33, latency_bucket(34));
}

/* The lowest latency of a bucket, by the words of queue_stats.h. */
static uint64_t bucket_start(uint32_t bucket)
{
    if (bucket < 16) {
        return bucket;
    }
    uint32_t exponent = bucket / 16 + 3;
    return (UINT64_C(16) + bucket % 16) << (exponent - 4);
}

static void leaves_no_gap_between_buckets(void **state)
{
    (void)state;
    for (uint32_t bucket = 1; bucket < LATENCY_BUCKETS; bucket++) {
        uint64_t start = bucket_start(bucket);
        assert_int_equal(bucket, latency_bucket(start));
        assert_int_equal(bucket - 1, latency_bucket(start - 1));
        /* at most 1/16 of its value wide */
        uint64_t next = bucket + 1 < LATENCY_BUCKETS ? bucket_start(bucket + 1) : start + 1;
        assert_true(bucket < 16 || (next - start) * 16 <= start);
    }
}

static void puts_everything_too_long_into_the_last_bucket(void **state)
{
    (void)state;
    assert_int_equal(608, LATENCY_BUCKETS);
    assert_int_equal(LATENCY_BUCKETS - 1, latency_bucket((UINT64_C(1) << 41) - 1));
    assert_int_equal(LATENCY_BUCKETS - 1, latency_bucket(UINT64_C(1) << 41));
    assert_int_equal(LATENCY_BUCKETS - 1, latency_bucket(UINT64_MAX));
    assert_int_equal(LATENCY_BUCKETS - 16, latency_bucket(UINT64_C(1) << 40));
}

struct race {
    struct queue_stats *stats;
    uint64_t rounds;
    _Atomic bool ended;
};

/* Sector and count of a round are the same number, so that a torn pair shows. */
static void *write_pairs(void *argument)
{
    struct race *race = argument;
    for (uint64_t i = 1; i <= race->rounds; i++) {
        queue_stats_started(race->stats, 0, QUEUE_OP_READ, i, (uint32_t)i);
        queue_stats_finished(race->stats, 0, QUEUE_OP_READ, 0, 0, 0);
    }
    atomic_store(&race->ended, true);
    return NULL;
}

static void lets_a_reader_see_whole_pairs_only(void **state)
{
    (void)state;
    struct race race = {.stats = queue_stats_create(1), .rounds = test_count(50000, 5000000)};
    test_print_scale(race.rounds, "requests in one slot");
    const struct queue_activity *activity = &race.stats->activity[0];
    pthread_t writer;
    assert_int_equal(0, pthread_create(&writer, NULL, write_pairs, &race));
    uint64_t whole = 0;
    while (!atomic_load(&race.ended)) {
        uint64_t before = atomic_load_explicit(
            (_Atomic uint64_t *)(uintptr_t)&activity->kind_sectors, memory_order_acquire);
        uint64_t sector = atomic_load_explicit((_Atomic uint64_t *)(uintptr_t)&activity->sector,
                                               memory_order_acquire);
        uint64_t after = load(&activity->kind_sectors);
        if (before != 0 && before == after) {
            assert_int_equal((uint32_t)before, sector);
            whole++;
        }
    }
    pthread_join(writer, NULL);
    assert_int_equal(race.rounds, load(&race.stats->op[QUEUE_OP_READ].ops));
    printf("%" PRIu64 " whole pairs seen\n", whole);
    queue_stats_destroy(race.stats);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(begins_with_zeroes_on_cache_lines),
        cmocka_unit_test(counts_what_succeeded_and_what_failed),
        cmocka_unit_test(shows_a_request_while_it_is_in_its_slot),
        cmocka_unit_test(puts_small_latencies_into_buckets_of_their_own),
        cmocka_unit_test(leaves_no_gap_between_buckets),
        cmocka_unit_test(puts_everything_too_long_into_the_last_bucket),
        cmocka_unit_test(lets_a_reader_see_whole_pairs_only),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
