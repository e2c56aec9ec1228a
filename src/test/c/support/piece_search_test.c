/* SPDX-License-Identifier: AGPL-3.0-only */
/* The search for many pieces. */
#include "support/piece_search.h"

#include <stdlib.h>
#include <string.h>

#include "support/cmocka_test.h"
#include "support/test_scale.h"

enum { MEMORY_BYTES = 4096, HITS_MAX = 64 };

struct hits {
    uint32_t count;
    uint64_t addresses[HITS_MAX];
    uint32_t owners[HITS_MAX], offsets[HITS_MAX];
};

static void note(void *context, uint64_t address, uint32_t owner, uint32_t offset)
{
    struct hits *hits = context;

    assert_true(hits->count < HITS_MAX);
    hits->addresses[hits->count] = address;
    hits->owners[hits->count] = owner;
    hits->offsets[hits->count++] = offset;
}

static void randomize(struct test_random *random, uint8_t *bytes, size_t byte_len)
{
    for (size_t i = 0; i < byte_len; i++) {
        bytes[i] = (uint8_t)test_random_next(random);
    }
}

static void finds_a_piece_at_every_alignment(void **state)
{
    (void)state;
    struct test_random random = {test_seed()};
    struct hits hits = {.count = 0};
    struct piece_search *search = piece_search_create(note, &hits);
    uint8_t piece[PIECE_BYTES], memory[MEMORY_BYTES];

    assert_non_null(search);
    randomize(&random, piece, sizeof(piece));
    assert_int_equal(piece_search_add(search, piece, 3, 32), 0);
    for (size_t at = 0; at <= 2 * PIECE_BYTES; at++) {
        randomize(&random, memory, sizeof(memory));
        memcpy(memory + at, piece, sizeof(piece));
        hits.count = 0;
        piece_search_feed(search, 1 << 20, memory, sizeof(memory));
        assert_int_equal(hits.count, 1);
        assert_int_equal(hits.addresses[0], (1 << 20) + at);
        assert_int_equal(hits.owners[0], 3);
        assert_int_equal(hits.offsets[0], 32);
    }
    piece_search_destroy(search);
}

/* Feeds memory in two, three or many parts. */
static void feed_in_parts(struct piece_search *search, const uint8_t *memory, size_t byte_len,
                          size_t first, size_t more)
{
    size_t at = 0;

    while (at < byte_len) {
        size_t count = at == 0 ? first : more;
        count = count < byte_len - at ? count : byte_len - at;
        piece_search_feed(search, at, memory + at, count);
        at += count;
    }
}

static void finds_a_piece_once_wherever_chunks_end(void **state)
{
    (void)state;
    struct test_random random = {test_seed()};
    struct hits hits = {.count = 0};
    struct piece_search *search = piece_search_create(note, &hits);
    uint8_t piece[PIECE_BYTES], memory[256];

    randomize(&random, piece, sizeof(piece));
    assert_int_equal(piece_search_add(search, piece, 0, 0), 0);
    randomize(&random, memory, sizeof(memory));
    memcpy(memory + 100, piece, sizeof(piece));
    for (size_t first = 1; first < sizeof(memory); first++) {
        for (size_t more = 1; more < 40; more++) {
            hits.count = 0;
            feed_in_parts(search, memory, sizeof(memory), first, more);
            assert_int_equal(hits.count, 1);
            assert_int_equal(hits.addresses[0], 100);
        }
    }
    piece_search_destroy(search);
}

static void does_not_join_what_does_not_follow(void **state)
{
    (void)state;
    struct test_random random = {test_seed()};
    struct hits hits = {.count = 0};
    struct piece_search *search = piece_search_create(note, &hits);
    uint8_t piece[PIECE_BYTES];

    randomize(&random, piece, sizeof(piece));
    assert_int_equal(piece_search_add(search, piece, 0, 0), 0);
    piece_search_feed(search, 4096, piece, 10);
    piece_search_feed(search, 8192, piece + 10, PIECE_BYTES - 10);
    assert_int_equal(hits.count, 0);
    piece_search_feed(search, 4096, piece, 10);
    piece_search_feed(search, 4106, piece + 10, PIECE_BYTES - 10);
    assert_int_equal(hits.count, 1);
    piece_search_destroy(search);
}

static void the_same_bytes_may_have_several_owners(void **state)
{
    (void)state;
    struct hits hits = {.count = 0};
    struct piece_search *search = piece_search_create(note, &hits);
    const uint8_t piece[PIECE_BYTES] = "0123456789abcdef";

    assert_int_equal(piece_search_add(search, piece, 1, 0), 0);
    assert_int_equal(piece_search_add(search, piece, 2, 16), 0);
    piece_search_feed(search, 0, piece, sizeof(piece));
    assert_int_equal(hits.count, 2);
    assert_int_equal(hits.owners[0] + hits.owners[1], 3);
    piece_search_destroy(search);
}

static void finds_every_one_of_many_and_nothing_else(void **state)
{
    (void)state;
    enum { PIECES = 20000, STEP = 37 };
    struct test_random random = {test_seed()};
    struct hits hits = {.count = 0};
    struct piece_search *search = piece_search_create(note, &hits);
    uint64_t count = test_count(8 << 20, 256 << 20), searched = 0;
    uint8_t *memory = malloc(PIECES * STEP);

    test_print_scale(count, "random bytes without a hit");
    for (uint32_t i = 0; i < PIECES; i++) {
        uint8_t piece[PIECE_BYTES];
        randomize(&random, piece, sizeof(piece));
        memcpy(memory + (size_t)i * STEP, piece, sizeof(piece));
        randomize(&random, memory + (size_t)i * STEP + PIECE_BYTES, STEP - PIECE_BYTES);
        assert_int_equal(piece_search_add(search, piece, i, 0), 0);
    }
    for (uint32_t i = 0; i < PIECES; i++) {
        hits.count = 0;
        piece_search_feed(search, UINT64_C(1) << 40, memory + (size_t)i * STEP, STEP);
        assert_int_equal(hits.count, 1);
        assert_int_equal(hits.owners[0], i);
    }
    hits.count = 0;
    while (searched < count) {
        randomize(&random, memory, PIECES * STEP);
        piece_search_feed(search, searched, memory, PIECES * STEP);
        searched += PIECES * STEP;
    }
    assert_int_equal(hits.count, 0);
    free(memory);
    piece_search_destroy(search);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_a_piece_at_every_alignment),
        cmocka_unit_test(finds_a_piece_once_wherever_chunks_end),
        cmocka_unit_test(does_not_join_what_does_not_follow),
        cmocka_unit_test(the_same_bytes_may_have_several_owners),
        cmocka_unit_test(finds_every_one_of_many_and_nothing_else),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
