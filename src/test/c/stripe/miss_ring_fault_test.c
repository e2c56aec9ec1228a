/* SPDX-License-Identifier: AGPL-3.0-only */
/* A ring without memory, and what it asks of the kernel: the futex calls are scripted. */
/* wrap: aligned_alloc syscall */
#include "stripe/miss_ring.h"

#include "support/cmocka_test.h"

#include <errno.h>
#include <linux/futex.h>
#include <stdlib.h>
#include <sys/syscall.h>

static bool aligned_alloc_fails;

/* What happens while the reader is in the kernel, and how often it was there. */
static struct miss_ring *ring;
static void (*while_asleep)(void);
static uint32_t waits;
static uint32_t wakes;

void *__real_aligned_alloc(size_t alignment, size_t byte_len);
void *__wrap_aligned_alloc(size_t alignment, size_t byte_len);
long __wrap_syscall(long number, ...);

void *__wrap_aligned_alloc(size_t alignment, size_t byte_len)
{
    if (aligned_alloc_fails) {
        errno = ENOMEM;
        return NULL;
    }
    return __real_aligned_alloc(alignment, byte_len);
}

long __wrap_syscall(long number, ...)
{
    va_list args;
    va_start(args, number);
    const uint32_t *word = va_arg(args, const uint32_t *);
    int operation = va_arg(args, int);
    va_end(args);
    assert_int_equal(SYS_futex, number);
    if (operation == FUTEX_WAKE_PRIVATE) {
        assert_int_equal(0, *word); /* or it would fall asleep again at once */
        wakes++;
        return 1;
    }
    assert_int_equal(FUTEX_WAIT_PRIVATE, operation);
    assert_int_equal(1, *word);
    waits++;
    while_asleep();
    errno = EINTR;
    return -1;
}

static int setup(void **state)
{
    (void)state;
    ring = miss_ring_create(4);
    waits = 0;
    wakes = 0;
    return ring == NULL;
}

static int teardown(void **state)
{
    (void)state;
    miss_ring_destroy(ring);
    return 0;
}

static int await(void)
{
    struct miss misses[4];
    bool was_full;
    return miss_ring_await(ring, misses, 4, &was_full);
}

static bool offer(void)
{
    return miss_ring_offer(ring, (struct miss){.kind = MISS_READ, .stripe = 7});
}

static void reports_that_memory_is_short(void **state)
{
    (void)state;
    aligned_alloc_fails = true;
    errno = 0;
    struct miss_ring *none = miss_ring_create(4);
    aligned_alloc_fails = false;
    assert_null(none);
    assert_int_equal(ENOMEM, errno);
}

static void makes_no_system_call_while_the_reader_is_awake(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < 3; i++)
        assert_true(offer());
    assert_int_equal(3, await());
    assert_true(offer());
    assert_int_equal(1, await());
    assert_int_equal(0, waits);
    assert_int_equal(0, wakes);
}

static void offer_two(void)
{
    assert_true(offer());
    assert_true(offer());
}

static void wakes_a_sleeping_reader_once(void **state)
{
    (void)state;
    while_asleep = offer_two;
    assert_int_equal(2, await());
    assert_int_equal(1, waits);
    assert_int_equal(1, wakes);
    assert_true(offer()); /* it is awake */
    assert_int_equal(1, wakes);
}

static void offer_the_third_time(void)
{
    if (waits == 3)
        assert_true(offer());
}

static void sleeps_again_when_it_was_woken_for_nothing(void **state)
{
    (void)state;
    while_asleep = offer_the_third_time;
    assert_int_equal(1, await());
    assert_int_equal(3, waits);
    assert_int_equal(1, wakes);
}

static void close_ring(void)
{
    miss_ring_close(ring);
}

static void wakes_a_sleeping_reader_to_end_it(void **state)
{
    (void)state;
    while_asleep = close_ring;
    assert_int_equal(-ESHUTDOWN, await());
    assert_int_equal(1, waits);
    assert_int_equal(1, wakes);
    assert_int_equal(-ESHUTDOWN, await());
    assert_int_equal(1, waits);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(reports_that_memory_is_short),
        TEST(makes_no_system_call_while_the_reader_is_awake),
        TEST(wakes_a_sleeping_reader_once),
        TEST(sleeps_again_when_it_was_woken_for_nothing),
        TEST(wakes_a_sleeping_reader_to_end_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
