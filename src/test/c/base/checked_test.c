/* SPDX-License-Identifier: AGPL-3.0-only */
/* The small arithmetic of base/: ranges, alignment, sectors, the clock. */
#include "base/checked.h"

#include "base/align.h"
#include "base/clock.h"
#include "base/minmax.h"
#include "base/sector.h"
#include "support/aborts.h"
#include "support/cmocka_test.h"

static void checks_ranges_without_overflow(void **state)
{
    (void)state;
    assert_true(range_within(0, 0, 0));
    assert_true(range_within(0, 10, 10));
    assert_true(range_within(10, 0, 10));
    assert_false(range_within(11, 0, 10));
    assert_false(range_within(9, 2, 10));
    assert_false(range_within(UINT64_MAX, 2, 10));
    assert_false(range_within(2, UINT64_MAX, 10));
    assert_false(range_within(UINT64_MAX, UINT64_MAX, UINT64_MAX));
    assert_true(range_within(1, UINT64_MAX - 1, UINT64_MAX));
}

static void knows_powers_of_two(void **state)
{
    (void)state;
    assert_false(is_power_of_two(0));
    assert_true(is_power_of_two(1));
    assert_true(is_power_of_two(4096));
    assert_true(is_power_of_two(UINT64_C(1) << 63));
    assert_false(is_power_of_two(3));
    assert_false(is_power_of_two(UINT64_MAX));
}

static void rounds_up_to_powers_of_two(void **state)
{
    (void)state;
    assert_int_equal(0, align_up(0, 4096));
    assert_int_equal(4096, align_up(1, 4096));
    assert_int_equal(4096, align_up(4096, 4096));
    assert_int_equal(7, align_up(7, 1));
    assert_true(is_aligned(0, 512));
    assert_true(is_aligned(1024, 512));
    assert_false(is_aligned(1025, 512));
}

static void takes_the_smaller_number(void **state)
{
    (void)state;
    assert_int_equal(1, min_u32(1, UINT32_MAX));
    assert_int_equal(1, min_u32(UINT32_MAX, 1));
    assert_true(min_u64(UINT64_MAX, UINT64_C(1) << 40) == UINT64_C(1) << 40);
}

static void converts_sectors_and_bytes(void **state)
{
    (void)state;
    assert_int_equal(1536, sectors_to_bytes(3));
    assert_int_equal(3, bytes_to_sectors(1536));
    assert_true(sectors_to_bytes(UINT64_MAX >> 9) == (UINT64_MAX & ~UINT64_C(511)));
}

static void convert_too_many_sectors(void *argument)
{
    (void)argument;
    sectors_to_bytes((UINT64_MAX >> 9) + 1);
}

static void convert_a_part_of_a_sector(void *argument)
{
    (void)argument;
    bytes_to_sectors(513);
}

static void asserts_that_a_conversion_loses_nothing(void **state)
{
    (void)state;
    assert_true(call_aborts(convert_too_many_sectors, NULL));
    assert_true(call_aborts(convert_a_part_of_a_sector, NULL));
}

static void has_a_clock_that_does_not_go_back(void **state)
{
    (void)state;
    uint64_t before = clock_now_ns();
    assert_true(before > 0);
    for (int i = 0; i < 1000; i++) {
        uint64_t now = clock_now_ns();
        assert_true(now >= before);
        before = now;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(checks_ranges_without_overflow),
        cmocka_unit_test(knows_powers_of_two),
        cmocka_unit_test(rounds_up_to_powers_of_two),
        cmocka_unit_test(takes_the_smaller_number),
        cmocka_unit_test(converts_sectors_and_bytes),
        cmocka_unit_test(asserts_that_a_conversion_loses_nothing),
        cmocka_unit_test(has_a_clock_that_does_not_go_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
