/* SPDX-License-Identifier: AGPL-3.0-only */
/* Clearing the unused part of a stack. */
#include "mem/stack.h"

#include <pthread.h>
#include <stdint.h>
#include <string.h>

#include "support/cmocka_test.h"

/* A sanitizer lays out stacks of its own, so what is left below one says nothing. */
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)

enum { DEEP_BYTES = 256 * 1024, MARK = 0x5a };

/* Fills much of the stack below its caller. */
static __attribute__((noinline)) void leave_traces(void)
{
    volatile uint8_t stale[DEEP_BYTES];
    for (size_t i = 0; i < sizeof(stale); i++)
        stale[i] = MARK;
}

/* How many bytes of leave_traces are still below the caller's frame. */
static __attribute__((noinline)) size_t count_traces(void)
{
    volatile uint8_t stale[DEEP_BYTES];
    size_t count = 0;
    for (size_t i = 0; i < sizeof(stale); i++)
        /* NOLINTNEXTLINE(clang-analyzer-core.UndefinedBinaryOperatorResult): that is the point */
        count += *(&stale[0] + i) == MARK;
    return count;
}

static void *leave_and_count(void *counts)
{
    size_t *before_and_after = counts;
    leave_traces();
    before_and_after[0] = count_traces();
    stack_clear_unused();
    before_and_after[1] = count_traces();
    return NULL;
}

static void assert_cleared(const size_t counts[2])
{
    assert_true(counts[0] > DEEP_BYTES - 256);
    assert_true(counts[1] < 16);
}

static void clears_what_is_deep_in_the_stack_of_a_thread(void **state)
{
    (void)state;
    pthread_t thread;
    size_t counts[2];
    assert_int_equal(pthread_create(&thread, NULL, leave_and_count, counts), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_cleared(counts);
}

static void clears_it_in_the_first_thread_too(void **state)
{
    (void)state;
    size_t counts[2];
    leave_and_count(counts);
    assert_cleared(counts);
}

#else

static void clears_what_is_deep_in_the_stack_of_a_thread(void **state)
{
    (void)state;
    skip_because("says nothing under a sanitizer");
}

static void clears_it_in_the_first_thread_too(void **state)
{
    (void)state;
    skip_because("says nothing under a sanitizer");
}

#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(clears_what_is_deep_in_the_stack_of_a_thread),
        cmocka_unit_test(clears_it_in_the_first_thread_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
