/* SPDX-License-Identifier: AGPL-3.0-only */
#include "mem/buffer_pool.h"

#include "support/cmocka_test.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/align.h"
#include "support/test_scale.h"

enum { LENT_MAX = 4096 };

static struct buffer_pool *create(uint64_t bytes)
{
    struct buffer_pool *pool;
    struct error error;
    int ret = buffer_pool_create(bytes, NULL, &pool, &error);
    if (ret != 0) {
        fail_msg("%s", error.message);
    }
    return pool;
}

static void refuses_sizes_out_of_bounds(void **state)
{
    (void)state;
    struct buffer_pool *pool;
    struct error error;
    assert_int_equal(-EINVAL, buffer_pool_create(BUFFER_POOL_BYTES_MIN - 1, NULL, &pool, &error));
    assert_non_null(strstr(error.message, "131071"));
    assert_int_equal(-EINVAL,
                     buffer_pool_create(BUFFER_POOL_BYTES_MAX + 1ull, NULL, &pool, &error));
}

static void the_smallest_pool_has_both_sizes(void **state)
{
    (void)state;
    struct buffer_pool *pool = create(BUFFER_POOL_BYTES_MIN);
    struct bounce_buffer *large = buffer_pool_take(pool, BUFFER_POOL_PIECE_BYTES_MAX);
    assert_non_null(large);
    assert_int_equal(BUFFER_POOL_PIECE_BYTES_MAX, large->byte_len);
    assert_null(buffer_pool_take(pool, BUFFER_POOL_SMALL_BYTES + 1));
    struct bounce_buffer *small = buffer_pool_take(pool, 1);
    assert_non_null(small);
    assert_int_equal(BUFFER_POOL_SMALL_BYTES, small->byte_len);
    assert_int_equal(2, buffer_pool_lent(pool));
    buffer_pool_give(pool, large);
    buffer_pool_give(pool, small);
    assert_int_equal(0, buffer_pool_lent(pool));
    buffer_pool_destroy(pool);
}

static void a_small_request_takes_a_large_buffer_rather_than_none(void **state)
{
    (void)state;
    struct buffer_pool *pool = create(BUFFER_POOL_BYTES_MIN);
    struct bounce_buffer *lent[64];
    uint32_t count = 0;
    while ((lent[count] = buffer_pool_take(pool, 512)) != NULL) {
        count++;
    }
    assert_int_equal(BUFFER_POOL_PIECE_BYTES_MAX / BUFFER_POOL_SMALL_BYTES + 1, count);
    assert_int_equal(BUFFER_POOL_PIECE_BYTES_MAX, lent[count - 1]->byte_len);
    buffer_pool_give(pool, lent[0]);
    assert_null(buffer_pool_take(pool, BUFFER_POOL_PIECE_BYTES_MAX));
    buffer_pool_give(pool, lent[count - 1]); /* goes back to the large ones */
    lent[0] = buffer_pool_take(pool, BUFFER_POOL_PIECE_BYTES_MAX);
    assert_non_null(lent[0]);
    for (uint32_t i = 0; i < count - 1; i++) {
        buffer_pool_give(pool, lent[i]);
    }
    buffer_pool_destroy(pool);
}

static void every_byte_lies_in_the_area_to_register(void **state)
{
    (void)state;
    struct buffer_pool *pool = create((4 << 20) + 5000);
    uint32_t area_count;
    const struct iovec *areas = buffer_pool_areas(pool, &area_count);
    assert_int_equal(1, area_count);
    assert_int_equal(4 << 20, areas[0].iov_len);
    static struct bounce_buffer *lent[LENT_MAX];
    uint32_t count = 0;
    uint64_t bytes = 0;
    while ((lent[count] = buffer_pool_take(pool, 1)) != NULL) {
        char *start = lent[count]->bytes;
        assert_true(is_aligned((uintptr_t)start, 4096));
        assert_int_equal(0, lent[count]->buffer_index);
        assert_true(start >= (char *)areas[0].iov_base);
        assert_true(start + lent[count]->byte_len <= (char *)areas[0].iov_base + areas[0].iov_len);
        memset(start, (int)count, lent[count]->byte_len);
        bytes += lent[count++]->byte_len;
    }
    assert_int_equal(areas[0].iov_len, bytes);
    for (uint32_t i = 0; i < count; i++) { /* no two of them share a byte */
        unsigned char *start = lent[i]->bytes;
        assert_int_equal(i & 0xff, start[0]);
        assert_int_equal(i & 0xff, start[lent[i]->byte_len - 1]);
        buffer_pool_give(pool, lent[i]);
    }
    buffer_pool_destroy(pool);
}

static void lends_each_buffer_to_one_at_a_time(void **state)
{
    (void)state;
    uint64_t rounds = test_count(20000, 2000000);
    struct test_random random = {test_seed()};
    struct buffer_pool *pool = create(1 << 20);
    static struct bounce_buffer *lent[LENT_MAX];
    uint32_t count = 0;
    test_print_scale(rounds, "takes and gives");
    for (uint64_t i = 0; i < rounds; i++) {
        if (test_random_one_in(&random, 2)) {
            uint32_t byte_len = test_random_one_in(&random, 4)
                                    ? 1 + (uint32_t)test_random_below(&random, 65536)
                                    : 4096;
            struct bounce_buffer *buffer = buffer_pool_take(pool, byte_len);
            if (buffer != NULL) {
                assert_true(buffer->byte_len >= byte_len);
                *(uint64_t *)buffer->bytes = i;
                buffer->next = (struct bounce_buffer *)(uintptr_t)i; /* free for the borrower */
                lent[count++] = buffer;
            }
        } else if (count > 0) {
            uint32_t index = (uint32_t)test_random_below(&random, count);
            struct bounce_buffer *buffer = lent[index];
            assert_int_equal((uintptr_t)buffer->next, *(uint64_t *)buffer->bytes);
            buffer_pool_give(pool, buffer);
            lent[index] = lent[--count];
        }
        assert_int_equal(count, buffer_pool_lent(pool));
    }
    while (count > 0) {
        buffer_pool_give(pool, lent[--count]);
    }
    buffer_pool_destroy(pool);
}

static void destroys_nothing_without_complaint(void **state)
{
    (void)state;
    buffer_pool_destroy(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refuses_sizes_out_of_bounds),
        cmocka_unit_test(the_smallest_pool_has_both_sizes),
        cmocka_unit_test(a_small_request_takes_a_large_buffer_rather_than_none),
        cmocka_unit_test(every_byte_lies_in_the_area_to_register),
        cmocka_unit_test(lends_each_buffer_to_one_at_a_time),
        cmocka_unit_test(destroys_nothing_without_complaint),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
