/* SPDX-License-Identifier: AGPL-3.0-only */
/* The ring of log lines, from one thread and from several. */
#include "base/log.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

#include "support/cmocka_test.h"
#include "support/test_scale.h"

static void hands_out_lines_in_order(void **state)
{
    (void)state;
    struct log *log = log_create(LOG_INFO, 4);
    struct log_record record;
    log_write(log, LOG_WARN, "first %d", 1);
    log_write(log, LOG_ERROR, "second");
    assert_int_equal(1, log_wait(log, &record, 0));
    assert_int_equal(LOG_WARN, record.level);
    assert_string_equal("first 1", record.message);
    assert_int_equal(1, log_wait(log, &record, -1));
    assert_int_equal(LOG_ERROR, record.level);
    assert_string_equal("second", record.message);
    assert_int_equal(0, log_wait(log, &record, 0));
    log_destroy(log);
}

static void keeps_only_what_its_level_lets_through(void **state)
{
    (void)state;
    struct log *log = log_create(LOG_WARN, 4);
    struct log_record record;
    log_write(log, LOG_DEBUG, "no");
    log_write(log, LOG_INFO, "no");
    log_write(log, LOG_WARN, "yes");
    assert_int_equal(1, log_wait(log, &record, 0));
    assert_string_equal("yes", record.message);
    assert_int_equal(0, log_wait(log, &record, 0));
    log_destroy(log);
}

static void drops_lines_when_there_is_no_log(void **state)
{
    (void)state;
    log_write(NULL, LOG_ERROR, "nobody reads this");
    log_destroy(NULL);
}

static void cuts_a_long_line(void **state)
{
    (void)state;
    struct log *log = log_create(LOG_INFO, 1);
    struct log_record record;
    log_write(log, LOG_INFO, "%*d", 2 * LOG_RECORD_BYTES, 1);
    assert_int_equal(1, log_wait(log, &record, 0));
    assert_int_equal(LOG_RECORD_BYTES - 1, strlen(record.message));
    log_destroy(log);
}

static void goes_round_its_ring(void **state)
{
    (void)state;
    struct log *log = log_create(LOG_INFO, 3);
    struct log_record record;
    char expected[16];
    for (int i = 0; i < 10; i++) {
        log_write(log, LOG_INFO, "%d", 2 * i);
        log_write(log, LOG_INFO, "%d", 2 * i + 1);
        for (int n = 2 * i; n <= 2 * i + 1; n++) {
            assert_int_equal(1, log_wait(log, &record, 0));
            snprintf(expected, sizeof(expected), "%d", n);
            assert_string_equal(expected, record.message);
        }
    }
    log_destroy(log);
}

static void counts_lines_that_it_dropped_and_says_so_once(void **state)
{
    (void)state;
    struct log *log = log_create(LOG_INFO, 2);
    struct log_record record;
    for (int i = 0; i < 5; i++) {
        log_write(log, LOG_INFO, "line %d", i);
    }
    assert_int_equal(1, log_wait(log, &record, 0));
    assert_string_equal("line 0", record.message);
    assert_int_equal(1, log_wait(log, &record, 0));
    assert_string_equal("line 1", record.message);
    assert_int_equal(1, log_wait(log, &record, -1));
    assert_int_equal(LOG_WARN, record.level);
    assert_non_null(strstr(record.message, "3 log lines were dropped"));
    assert_int_equal(0, log_wait(log, &record, 0));
    log_write(log, LOG_INFO, "again");
    assert_int_equal(1, log_wait(log, &record, 0));
    assert_string_equal("again", record.message);
    log_destroy(log);
}

/* The minute that begins during the test at the latest has no room for all of them. */
static void leaves_out_what_is_too_much_for_a_minute_but_no_error(void **state)
{
    (void)state;
    enum { LINES = 2 * LOG_LINES_PER_MINUTE + 10 };
    struct log *log = log_create(LOG_INFO, LINES + 2);
    struct log_record record;
    for (int i = 0; i < LINES; i++) {
        log_write(log, LOG_WARN, "again");
    }
    log_write(log, LOG_ERROR, "broken");
    log_close(log);
    uint64_t lines = 0;
    uint64_t left_out = 0;
    bool error_seen = false;
    while (log_wait(log, &record, 0) == 1) {
        error_seen |= record.level == LOG_ERROR;
        lines += strcmp(record.message, "again") == 0;
        if (strstr(record.message, "log lines were left out")) {
            left_out += strtoull(record.message, NULL, 10);
        }
    }
    assert_true(error_seen);
    assert_in_range(lines, LOG_LINES_PER_MINUTE, 2 * LOG_LINES_PER_MINUTE);
    assert_int_equal(LINES, lines + left_out);
    log_destroy(log);
}

static void gives_up_after_the_timeout(void **state)
{
    (void)state;
    struct log *log = log_create(LOG_INFO, 2);
    struct log_record record;
    assert_int_equal(0, log_wait(log, &record, 1));
    assert_int_equal(0, log_wait(log, &record, 0));
    log_destroy(log);
}

static void hands_out_what_is_left_after_the_close(void **state)
{
    (void)state;
    struct log *log = log_create(LOG_INFO, 2);
    struct log_record record;
    log_write(log, LOG_INFO, "last");
    log_close(log);
    assert_int_equal(1, log_wait(log, &record, -1));
    assert_string_equal("last", record.message);
    assert_int_equal(-ESHUTDOWN, log_wait(log, &record, -1));
    assert_int_equal(-ESHUTDOWN, log_wait(log, &record, 0));
    log_destroy(log);
}

static void *wait_for_one(void *argument)
{
    struct log_record record;
    return (void *)(intptr_t)log_wait(argument, &record, -1);
}

static int joined(pthread_t thread)
{
    void *result;
    assert_int_equal(0, pthread_join(thread, &result));
    return (int)(intptr_t)result;
}

static void wakes_a_reader_that_waits(void **state)
{
    (void)state;
    struct log *log = log_create(LOG_INFO, 2);
    pthread_t reader;
    assert_int_equal(0, pthread_create(&reader, NULL, wait_for_one, log));
    log_write(log, LOG_INFO, "wake up");
    assert_int_equal(1, joined(reader));
    assert_int_equal(0, pthread_create(&reader, NULL, wait_for_one, log));
    log_close(log);
    assert_int_equal(-ESHUTDOWN, joined(reader));
    log_destroy(log);
}

enum { WRITERS = 3 };

struct writer {
    struct log *log;
    uint64_t count;
};

static void *write_many(void *argument)
{
    const struct writer *writer = argument;
    for (uint64_t i = 0; i < writer->count; i++) {
        log_write(writer->log, LOG_ERROR, "line");
    }
    return NULL;
}

static void accounts_for_every_line_of_several_writers(void **state)
{
    (void)state;
    struct writer writer = {log_create(LOG_INFO, 16), test_count(500, 20000)};
    test_print_scale(writer.count, "lines for each of 3 writers");
    pthread_t threads[WRITERS];
    for (int i = 0; i < WRITERS; i++) {
        assert_int_equal(0, pthread_create(&threads[i], NULL, write_many, &writer));
    }
    uint64_t seen = 0;
    struct log_record record;
    while (seen < WRITERS * writer.count) {
        assert_int_equal(1, log_wait(writer.log, &record, 10000));
        seen += record.level == LOG_WARN ? strtoull(record.message, NULL, 10) : 1;
    }
    assert_int_equal(WRITERS * writer.count, seen);
    for (int i = 0; i < WRITERS; i++) {
        pthread_join(threads[i], NULL);
    }
    assert_int_equal(0, log_wait(writer.log, &record, 0));
    log_destroy(writer.log);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hands_out_lines_in_order),
        cmocka_unit_test(keeps_only_what_its_level_lets_through),
        cmocka_unit_test(drops_lines_when_there_is_no_log),
        cmocka_unit_test(cuts_a_long_line),
        cmocka_unit_test(goes_round_its_ring),
        cmocka_unit_test(counts_lines_that_it_dropped_and_says_so_once),
        cmocka_unit_test(leaves_out_what_is_too_much_for_a_minute_but_no_error),
        cmocka_unit_test(gives_up_after_the_timeout),
        cmocka_unit_test(hands_out_what_is_left_after_the_close),
        cmocka_unit_test(wakes_a_reader_that_waits),
        cmocka_unit_test(accounts_for_every_line_of_several_writers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
