/* SPDX-License-Identifier: AGPL-3.0-only */
/* Lists of segments against the flat bytes that they stand for. */
#include "base/iov.h"

#include <string.h>

#include "support/cmocka_test.h"
#include "support/test_scale.h"

enum { BYTES = 600, SEGMENTS_MAX = 24 };

static void advances_within_and_across_segments(void **state)
{
    (void)state;
    const struct iovec iov[] = {{NULL, 10}, {NULL, 1}, {NULL, 5}};
    struct iov_cursor cursor = {0};
    iov_cursor_advance(iov, &cursor, 0);
    assert_int_equal(0, cursor.index);
    assert_int_equal(0, cursor.offset);
    iov_cursor_advance(iov, &cursor, 9);
    assert_int_equal(0, cursor.index);
    assert_int_equal(9, cursor.offset);
    iov_cursor_advance(iov, &cursor, 1);
    assert_int_equal(1, cursor.index);
    assert_int_equal(0, cursor.offset);
    iov_cursor_advance(iov, &cursor, 3);
    assert_int_equal(2, cursor.index);
    assert_int_equal(2, cursor.offset);
    iov_cursor_advance(iov, &cursor, 3); /* to the very end: nothing behind it is looked at */
    assert_int_equal(3, cursor.index);
    assert_int_equal(0, cursor.offset);
}

static void advances_over_several_segments_at_once(void **state)
{
    (void)state;
    const struct iovec iov[] = {{NULL, 1}, {NULL, 2}, {NULL, 3}, {NULL, 4}};
    struct iov_cursor cursor = {0};
    iov_cursor_advance(iov, &cursor, 7);
    assert_int_equal(3, cursor.index);
    assert_int_equal(1, cursor.offset);
    iov_cursor_advance(iov, &cursor, 3);
    assert_int_equal(4, cursor.index);
    assert_int_equal(0, cursor.offset);
}

static void advances_over_more_than_32_bits(void **state)
{
    (void)state;
    const struct iovec iov[] = {{NULL, UINT64_C(3) << 32}, {NULL, UINT64_C(2) << 32}};
    struct iov_cursor cursor = {0};
    iov_cursor_advance(iov, &cursor, UINT64_C(4) << 32);
    assert_int_equal(1, cursor.index);
    assert_true(cursor.offset == UINT64_C(1) << 32);
}

static void copies_nothing_for_no_bytes(void **state)
{
    (void)state;
    uint8_t byte = 7;
    const struct iovec iov[] = {{&byte, 1}};
    uint8_t other = 9;
    iov_copy_from(iov, (struct iov_cursor){0}, &other, 0);
    iov_copy_to(iov, (struct iov_cursor){.index = 1}, &other, 0);
    assert_int_equal(7, byte);
    assert_int_equal(9, other);
}

/* Cuts flat, of BYTES bytes, into segments of random lengths; returns how many. */
static uint32_t cut(struct test_random *random, uint8_t *flat, struct iovec *iov)
{
    uint32_t count = 0;
    size_t used = 0;
    while (used < BYTES && count < SEGMENTS_MAX - 1) {
        size_t part = 1 + test_random_below(random, test_random_one_in(random, 3) ? 1 : 60);
        part = part < BYTES - used ? part : BYTES - used;
        iov[count++] = (struct iovec){flat + used, part};
        used += part;
    }
    if (used < BYTES) {
        iov[count++] = (struct iovec){flat + used, BYTES - used};
    }
    return count;
}

static void copies_the_same_bytes_as_flat_memory_would_give(void **state)
{
    (void)state;
    struct test_random random = {test_seed()};
    const uint64_t rounds = test_count(1000, 100000);
    test_print_scale(rounds, "lists of segments");
    uint8_t flat[BYTES];
    uint8_t expected[BYTES];
    uint8_t buffer[BYTES];
    struct iovec iov[SEGMENTS_MAX];
    for (uint64_t round = 0; round < rounds; round++) {
        for (uint32_t i = 0; i < BYTES; i++) {
            flat[i] = (uint8_t)test_random_next(&random);
            buffer[i] = (uint8_t)~flat[i];
        }
        uint32_t count = cut(&random, flat, iov);
        size_t start = test_random_below(&random, BYTES);
        size_t byte_len = test_random_below(&random, BYTES - start + 1);
        struct iov_cursor cursor = {0};
        iov_cursor_advance(iov, &cursor, start);
        assert_in_range(cursor.index, 0, count - 1);

        iov_copy_from(iov, cursor, buffer, byte_len);
        assert_memory_equal(flat + start, buffer, byte_len);

        memcpy(expected, flat, BYTES);
        for (size_t i = 0; i < byte_len; i++) {
            buffer[i] = expected[start + i] = (uint8_t)test_random_next(&random);
        }
        iov_copy_to(iov, cursor, buffer, byte_len);
        assert_memory_equal(expected, flat, BYTES);

        memset(expected + start, 0, byte_len);
        iov_clear(iov, cursor, byte_len);
        assert_memory_equal(expected, flat, BYTES);
    }
}

static void passes_over_empty_segments(void **state)
{
    (void)state;
    uint8_t flat[] = {1, 2, 3, 4};
    uint8_t bytes[4] = {0};
    struct iovec iov[] = {{flat, 0}, {flat, 2}, {flat + 2, 0}, {flat + 2, 0}, {flat + 2, 2}};
    iov_copy_from(iov, (struct iov_cursor){0}, bytes, 4);
    assert_memory_equal(flat, bytes, 4);
    memset(bytes, 9, sizeof(bytes));
    iov_copy_to(iov, (struct iov_cursor){0}, bytes, 4);
    assert_memory_equal(flat, bytes, 4);
    struct iov_cursor cursor = {0};
    iov_cursor_advance(iov, &cursor, 3);
    assert_int_equal(4, cursor.index);
    assert_int_equal(1, cursor.offset);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(advances_within_and_across_segments),
        cmocka_unit_test(advances_over_several_segments_at_once),
        cmocka_unit_test(advances_over_more_than_32_bits),
        cmocka_unit_test(copies_nothing_for_no_bytes),
        cmocka_unit_test(passes_over_empty_segments),
        cmocka_unit_test(copies_the_same_bytes_as_flat_memory_would_give),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
