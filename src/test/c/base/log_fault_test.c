/* SPDX-License-Identifier: AGPL-3.0-only */
/* A log without memory. */
/* wrap: calloc */
#include "base/log.h"

#include <stdbool.h>

#include "support/cmocka_test.h"

static bool calloc_fails;

void *__real_calloc(size_t count, size_t byte_len);
void *__wrap_calloc(size_t count, size_t byte_len);

void *__wrap_calloc(size_t count, size_t byte_len)
{
    return calloc_fails ? NULL : __real_calloc(count, byte_len);
}

static void is_none_without_memory(void **state)
{
    (void)state;
    calloc_fails = true;
    struct log *log = log_create(LOG_INFO, 16);
    calloc_fails = false;
    assert_null(log);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(is_none_without_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
