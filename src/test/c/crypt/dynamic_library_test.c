/* SPDX-License-Identifier: AGPL-3.0-only */
/* Optional libraries, with the C library's own as the example. */
#include "crypt/dynamic_library.h"

#include <errno.h>
#include <string.h>

#include "base/error.h"
#include "support/cmocka_test.h"

struct table {
    int (*absolute)(int);
    unsigned long (*length)(const char *);
};

static const struct dynamic_function known[] = {
    {"abs", offsetof(struct table, absolute)},
    {"strlen", offsetof(struct table, length)},
};

static void finds_functions_by_name(void **state)
{
    (void)state;
    void *library;
    struct table table;
    assert_int_equal(dynamic_library_open("libc.so.6", &library, NULL), 0);
    assert_int_equal(dynamic_library_resolve(library, "libc.so.6", known, 2, &table, NULL), 0);
    assert_int_equal(table.absolute(-3), 3);
    assert_int_equal(table.length("four"), 4);
    dynamic_library_close(library);
    dynamic_library_close(NULL);
}

static void names_the_library_that_is_missing(void **state)
{
    (void)state;
    void *library;
    struct error error;
    assert_int_equal(dynamic_library_open("libnothing.so.9", &library, &error), -ENOTSUP);
    assert_non_null(strstr(error.message, "libnothing.so.9"));
}

static void names_the_function_that_is_missing(void **state)
{
    (void)state;
    static const struct dynamic_function unknown[] = {{"no_such_function", 0}};
    void *library;
    struct table table;
    struct error error;
    assert_int_equal(dynamic_library_open("libc.so.6", &library, &error), 0);
    assert_int_equal(dynamic_library_resolve(library, "libc.so.6", unknown, 1, &table, &error),
                     -ENOTSUP);
    assert_string_equal(error.message, "libc.so.6 has no function no_such_function");
    dynamic_library_close(library);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_functions_by_name),
        cmocka_unit_test(names_the_library_that_is_missing),
        cmocka_unit_test(names_the_function_that_is_missing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
