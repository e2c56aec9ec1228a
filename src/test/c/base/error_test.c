/* SPDX-License-Identifier: AGPL-3.0-only */
/* Failures as a person reads them. */
#include "base/error.h"

#include <errno.h>
#include <string.h>

#include "support/cmocka_test.h"

static void returns_the_code_and_keeps_the_sentence(void **state)
{
    (void)state;
    struct error error;
    assert_int_equal(-EINVAL, error_set(&error, -EINVAL, "queue_size %d is odd", 3));
    assert_int_equal(-EINVAL, error.code);
    assert_string_equal("queue_size 3 is odd", error.message);
}

static void returns_the_code_when_nobody_wants_the_sentence(void **state)
{
    (void)state;
    assert_int_equal(-EINVAL, error_set(NULL, -EINVAL, "%d", 1));
    assert_int_equal(-EIO, error_set_errno(NULL, -EIO, "%d", 1));
}

static void appends_the_text_of_the_errno(void **state)
{
    (void)state;
    struct error error;
    assert_int_equal(-ENOENT, error_set_errno(&error, -ENOENT, "disk %s", "/a"));
    assert_int_equal(-ENOENT, error.code);
    assert_string_equal("disk /a: No such file or directory", error.message);
}

static void appends_something_for_an_errno_that_does_not_exist(void **state)
{
    (void)state;
    struct error error;
    assert_int_equal(-99999, error_set_errno(&error, -99999, "disk"));
    assert_non_null(strstr(error.message, "99999"));
}

static void replaces_what_was_there(void **state)
{
    (void)state;
    struct error error;
    error_set(&error, -EIO, "a long sentence about something else");
    error_set(&error, -EINVAL, "short");
    assert_int_equal(-EINVAL, error.code);
    assert_string_equal("short", error.message);
}

/* The struct with bytes behind it that must stay. */
struct guarded_error {
    struct error error;
    char guard[64];
};

static void cuts_a_sentence_that_is_too_long(void **state)
{
    (void)state;
    char long_text[2 * ERROR_MESSAGE_BYTES];
    memset(long_text, 'x', sizeof(long_text) - 1);
    long_text[sizeof(long_text) - 1] = '\0';
    struct guarded_error guarded;
    memset(guarded.guard, 'g', sizeof(guarded.guard));
    assert_int_equal(-EIO, error_set(&guarded.error, -EIO, "%s", long_text));
    assert_int_equal(ERROR_MESSAGE_BYTES - 1, strlen(guarded.error.message));
    assert_int_equal(-EIO, error_set_errno(&guarded.error, -EIO, "%s", long_text));
    assert_int_equal(ERROR_MESSAGE_BYTES - 1, strlen(guarded.error.message));
    /* room for a part of the errno's text only */
    assert_int_equal(
        -EIO, error_set_errno(&guarded.error, -EIO, "%.*s", ERROR_MESSAGE_BYTES - 5, long_text));
    assert_string_equal("x: In", guarded.error.message + ERROR_MESSAGE_BYTES - 6);
    for (size_t i = 0; i < sizeof(guarded.guard); i++) {
        assert_int_equal('g', guarded.guard[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(returns_the_code_and_keeps_the_sentence),
        cmocka_unit_test(returns_the_code_when_nobody_wants_the_sentence),
        cmocka_unit_test(appends_the_text_of_the_errno),
        cmocka_unit_test(appends_something_for_an_errno_that_does_not_exist),
        cmocka_unit_test(replaces_what_was_there),
        cmocka_unit_test(cuts_a_sentence_that_is_too_long),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
