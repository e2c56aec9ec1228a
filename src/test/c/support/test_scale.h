/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * How much a test does and from which seed.
 *
 * Heavy tests run a reduced count by default, the full one with UBIBLK_CHECK=full, and with
 * UBIBLK_CHECK=brief, for emulated CPUs, a fiftieth of the reduced one; UBIBLK_SEED replaces the
 * seed, so that a failure can be repeated. Every such test prints both.
 */
#ifndef UBIBLK_SUPPORT_TEST_SCALE_H
#define UBIBLK_SUPPORT_TEST_SCALE_H

#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static inline bool test_check_is(const char *wanted)
{
    const char *check = getenv("UBIBLK_CHECK");

    return check != NULL && strcmp(check, wanted) == 0;
}

static inline bool test_is_full(void)
{
    return test_check_is("full");
}

static inline uint64_t test_count(uint64_t reduced, uint64_t full)
{
    if (test_check_is("brief"))
        return (reduced + 49) / 50;
    return test_is_full() ? full : reduced;
}

/* The same for counts that take minutes: a tenth of the full one under a sanitizer, which makes
 * everything so much slower. */
static inline uint64_t test_count_long(uint64_t reduced, uint64_t full)
{
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    full /= 10;
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
    full /= 10;
#endif
#endif
    return test_count(reduced, full);
}

static inline uint64_t test_seed(void)
{
    const char *seed = getenv("UBIBLK_SEED");

    return seed != NULL ? strtoull(seed, NULL, 0) : 42;
}

/* For the report: "1000 requests, seed 42". */
static inline void test_print_scale(uint64_t count, const char *what)
{
    printf("%" PRIu64 " %s, seed %" PRIu64 "\n", count, what, test_seed());
    fflush(stdout);
}

/* A small seeded generator (splitmix64): the same numbers on every machine. */
struct test_random {
    uint64_t state;
};

static inline uint64_t test_random_next(struct test_random *random)
{
    uint64_t z = random->state += UINT64_C(0x9e3779b97f4a7c15);

    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

/* A number in [0, limit); limit is not 0. */
static inline uint64_t test_random_below(struct test_random *random, uint64_t limit)
{
    return test_random_next(random) % limit;
}

static inline void test_random_fill(struct test_random *random, uint8_t *bytes, size_t byte_len)
{
    for (size_t i = 0; i < byte_len; i++)
        bytes[i] = (uint8_t)(test_random_next(random) >> 32);
}

/* Whether an event of probability 1 in odds happened. */
static inline bool test_random_one_in(struct test_random *random, uint64_t odds)
{
    return test_random_below(random, odds) == 0;
}

#endif
