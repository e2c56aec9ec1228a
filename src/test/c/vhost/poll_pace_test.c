/* SPDX-License-Identifier: AGPL-3.0-only */
#include "vhost/poll_pace.h"

#include "support/cmocka_test.h"

enum { LIMIT = 1000000, START = 5 };

/* Requests that come gap_ns after each other. */
static uint64_t requests(struct poll_pace *pace, uint64_t now_ns, uint64_t gap_ns, int count)
{
    for (int i = 0; i < count; i++) {
        poll_pace_continues(pace, now_ns);
        now_ns += gap_ns;
        poll_pace_works(pace, now_ns);
    }
    return now_ns;
}

static void polls_for_the_configured_time_and_no_longer(void **state)
{
    (void)state;
    struct poll_pace pace;
    poll_pace_init(&pace, LIMIT);
    assert_true(poll_pace_continues(&pace, START));
    assert_true(poll_pace_continues(&pace, START + LIMIT - 1));
    assert_false(poll_pace_continues(&pace, START + LIMIT));
    poll_pace_works(&pace, START + LIMIT);
    assert_true(poll_pace_continues(&pace, START + LIMIT));
}

static void never_polls_without_a_poll_time(void **state)
{
    (void)state;
    struct poll_pace pace;
    poll_pace_init(&pace, 0);
    assert_false(poll_pace_continues(&pace, START));
    poll_pace_works(&pace, START + 1);
    assert_false(poll_pace_continues(&pace, START + 1));
}

static void stops_polling_for_a_guest_that_is_slower_than_the_poll_time(void **state)
{
    (void)state;
    struct poll_pace pace;
    poll_pace_init(&pace, LIMIT);
    uint64_t now = requests(&pace, START, 100 * (uint64_t)LIMIT, 8);
    assert_false(poll_pace_continues(&pace, now));
}

static void keeps_polling_for_a_guest_that_is_faster(void **state)
{
    (void)state;
    struct poll_pace pace;
    poll_pace_init(&pace, LIMIT);
    uint64_t now = requests(&pace, START, LIMIT / 2, 1000);
    assert_true(poll_pace_continues(&pace, now));
}

static void polls_again_soon_after_a_long_pause(void **state)
{
    (void)state;
    struct poll_pace pace;
    poll_pace_init(&pace, LIMIT);
    uint64_t now = requests(&pace, START, UINT64_C(1) << 50, 100);
    assert_false(poll_pace_continues(&pace, now));
    now = requests(&pace, now, LIMIT / 100, 8);
    assert_true(poll_pace_continues(&pace, now));
}

static void waiting_for_something_else_does_not_count(void **state)
{
    (void)state;
    struct poll_pace pace;
    poll_pace_init(&pace, LIMIT);
    uint64_t now = START;
    for (int i = 0; i < 100; i++) {
        poll_pace_continues(&pace, now);
        poll_pace_waits_otherwise(&pace);
        now += 100 * (uint64_t)LIMIT;
        poll_pace_works(&pace, now);
    }
    assert_true(poll_pace_continues(&pace, now));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(polls_for_the_configured_time_and_no_longer),
        cmocka_unit_test(never_polls_without_a_poll_time),
        cmocka_unit_test(stops_polling_for_a_guest_that_is_slower_than_the_poll_time),
        cmocka_unit_test(keeps_polling_for_a_guest_that_is_faster),
        cmocka_unit_test(polls_again_soon_after_a_long_pause),
        cmocka_unit_test(waiting_for_something_else_does_not_count),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
