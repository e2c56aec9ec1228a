/* SPDX-License-Identifier: AGPL-3.0-only */
/* A map that cannot be made, and what other threads do in the middle of asking. */
/* wrap: aligned_alloc calloc eventfd miss_ring_offer miss_ring_still_full */
#include "stripe/stripe_map.h"

#include "support/cmocka_test.h"

#include <dirent.h>
#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>

#include "support/test_stripes.h"

enum { LACKS = STRIPE_HAS_SOURCE };

/* The call that fails, counted from 1 and down; 0: none. */
static uint32_t aligned_alloc_countdown;
static uint32_t calloc_countdown;
static uint32_t eventfd_countdown;
/* How many offers are refused, and what happens before the ring is looked at once more. */
static uint32_t offers_refused;
static void (*before_still_full)(struct stripe_map *map);
static struct stripe_map *asked_map;

void *__real_aligned_alloc(size_t alignment, size_t byte_len);
void *__wrap_aligned_alloc(size_t alignment, size_t byte_len);
void *__real_calloc(size_t count, size_t byte_len);
void *__wrap_calloc(size_t count, size_t byte_len);
int __real_eventfd(unsigned count, int flags);
int __wrap_eventfd(unsigned count, int flags);
bool __real_miss_ring_offer(struct miss_ring *ring, struct miss miss);
bool __wrap_miss_ring_offer(struct miss_ring *ring, struct miss miss);
bool __real_miss_ring_still_full(struct miss_ring *ring);
bool __wrap_miss_ring_still_full(struct miss_ring *ring);

static bool fails(uint32_t *countdown)
{
    return *countdown > 0 && --*countdown == 0;
}

void *__wrap_aligned_alloc(size_t alignment, size_t byte_len)
{
    return fails(&aligned_alloc_countdown) ? NULL : __real_aligned_alloc(alignment, byte_len);
}

void *__wrap_calloc(size_t count, size_t byte_len)
{
    return fails(&calloc_countdown) ? NULL : __real_calloc(count, byte_len);
}

int __wrap_eventfd(unsigned count, int flags)
{
    if (fails(&eventfd_countdown)) {
        errno = EMFILE;
        return -1;
    }
    return __real_eventfd(count, flags);
}

bool __wrap_miss_ring_offer(struct miss_ring *ring, struct miss miss)
{
    if (offers_refused > 0) {
        offers_refused--;
        return false;
    }
    return __real_miss_ring_offer(ring, miss);
}

bool __wrap_miss_ring_still_full(struct miss_ring *ring)
{
    if (before_still_full)
        before_still_full(asked_map);
    return __real_miss_ring_still_full(ring);
}

static int create(struct error *error)
{
    static const uint8_t flags[4];
    const struct stripe_map_params params = {.sector_count = 4 * TEST_STRIPE_SECTORS,
                                             .sector_count_shift = TEST_STRIPE_SHIFT,
                                             .queue_count = 3,
                                             .flags = flags};
    struct stripe_map *map = NULL;
    *error = (struct error){0};
    int result = stripe_map_create(&params, &map, error);
    assert_int_equal(result, error->code);
    assert_int_equal(result == 0, map != NULL);
    stripe_map_destroy(map);
    return result;
}

static uint32_t open_descriptors(void)
{
    DIR *directory = opendir("/proc/self/fd");
    uint32_t count = 0;
    assert_non_null(directory);
    while (readdir(directory))
        count++;
    closedir(directory);
    return count;
}

static void reports_that_memory_is_short(void **state)
{
    (void)state;
    struct error error;
    const char *const sentences[] = {"stripe map", "4 stripes", "3 queues"};
    for (uint32_t i = 0; i < 3; i++) { /* the map, the ring, the wakers */
        aligned_alloc_countdown = i + 1;
        assert_int_equal(-ENOMEM, create(&error));
        assert_non_null(strstr(error.message, sentences[i]));
    }
    calloc_countdown = 1;
    assert_int_equal(-ENOMEM, create(&error));
    assert_non_null(strstr(error.message, "4 stripes"));
    assert_int_equal(0, create(&error));
}

static void reports_an_eventfd_that_is_not_to_be_had_and_keeps_none(void **state)
{
    (void)state;
    struct error error;
    uint32_t before = open_descriptors();
    for (uint32_t i = 0; i < 3; i++) {
        eventfd_countdown = i + 1;
        assert_int_equal(-EMFILE, create(&error));
        assert_non_null(
            strstr(error.message, (const char *[]){"queue 0", "queue 1", "queue 2"}[i]));
        assert_int_equal(before, open_descriptors());
    }
    assert_int_equal(0, create(&error));
    assert_int_equal(before, open_descriptors());
}

static struct stripe_map *create_lacking(void)
{
    asked_map = test_stripes_create(
        &(struct test_stripes_params){.stripe_count = 4, .queue_count = 2, .flags = LACKS});
    before_still_full = NULL;
    return asked_map;
}

static void expect_unasked(struct stripe_map *map)
{
    before_still_full = NULL; /* seen */
    assert_int_equal(LACKS, stripe_map_flags(map, 0));
}

/* Another queue that saw the flag is woken after it is gone, and so asks itself. */
static void takes_its_flag_back_before_it_says_that_the_ring_is_full(void **state)
{
    (void)state;
    struct stripe_map *map = create_lacking();
    struct miss miss;
    while (miss_ring_offer(map->misses, (struct miss){.stripe = 3}))
        continue;
    stripe_map_set_waiting(map, 1, true);
    before_still_full = expect_unasked;
    assert_false(stripe_map_ask(map, 0, MISS_READ));
    assert_null(before_still_full);
    assert_int_equal(1, stripe_map_await_misses(map, &miss, 1));
    assert_true(stripe_map_was_woken(map, 1));
    stripe_map_destroy(map);
}

static void asks_again_when_room_was_made_in_between(void **state)
{
    (void)state;
    struct stripe_map *map = create_lacking();
    struct miss miss;
    offers_refused = 2;
    assert_true(stripe_map_ask(map, 0, MISS_READ));
    assert_int_equal(0, offers_refused);
    assert_int_equal(LACKS | STRIPE_READ_ASKED, stripe_map_flags(map, 0));
    assert_int_equal(1, stripe_map_await_misses(map, &miss, 1));
    assert_int_equal(0, miss.stripe);
    stripe_map_destroy(map);
}

static void publish_fetched(struct stripe_map *map)
{
    stripe_map_publish(map, 0, STRIPE_FETCHED, STRIPE_READ_ASKED);
}

static void does_not_ask_again_for_what_was_published_in_between(void **state)
{
    (void)state;
    struct stripe_map *map = create_lacking();
    offers_refused = 1;
    before_still_full = publish_fetched;
    assert_true(stripe_map_ask(map, 0, MISS_READ));
    assert_int_equal(LACKS | STRIPE_FETCHED, stripe_map_flags(map, 0));
    stripe_map_destroy(map);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reports_that_memory_is_short),
        cmocka_unit_test(reports_an_eventfd_that_is_not_to_be_had_and_keeps_none),
        cmocka_unit_test(takes_its_flag_back_before_it_says_that_the_ring_is_full),
        cmocka_unit_test(asks_again_when_room_was_made_in_between),
        cmocka_unit_test(does_not_ask_again_for_what_was_published_in_between),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
