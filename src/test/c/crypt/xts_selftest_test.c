/* SPDX-License-Identifier: AGPL-3.0-only */
/* The self-test, with the engines of this machine; xts_test.c has engines that fail it. */
#include "crypt/xts_selftest.h"

#include <errno.h>
#include <string.h>

#include "base/error.h"
#include "support/cmocka_test.h"

static const struct xts_engine *const engines[] = {
#if defined(__x86_64__)
    &xts_vaes512_engine, &xts_vaes256_engine, &xts_aesni_engine,
#endif
    &xts_isal_engine,    &xts_openssl_engine,
};

enum { ENGINE_COUNT = sizeof(engines) / sizeof(engines[0]) };

static const uint8_t data_key[XTS_KEY_BYTES] = {1}, tweak_key[XTS_KEY_BYTES] = {2};

static void each_engine_here_knows_the_answers(void **state)
{
    (void)state;
    for (int i = 0; i < ENGINE_COUNT; i++) {
        struct error error = {0};
        int result = xts_selftest_known_answers(engines[i], &error);
        print_message("%s: %s\n", engines[i]->name, result == 0 ? "right" : error.message);
        assert_true(result == 0 || result == -ENOTSUP);
    }
}

/* The result for two engines with their keys, or -ENOTSUP where one of them is missing. */
static int compare(const struct xts_engine *one, const uint8_t *one_tweak_key,
                   const struct xts_engine *two, const uint8_t *two_tweak_key, struct error *error)
{
    void *one_state, *two_state;
    int result = one->create(data_key, one_tweak_key, NULL, &one_state, error);
    if (result < 0)
        return result;
    result = two->create(data_key, two_tweak_key, NULL, &two_state, error);
    if (result == 0) {
        result = xts_selftest_compare(one, one_state, two, two_state, error);
        two->destroy(two_state);
    }
    one->destroy(one_state);
    return result;
}

static void all_engines_here_agree_on_random_sectors(void **state)
{
    (void)state;
    for (int i = 0; i < ENGINE_COUNT; i++) {
        for (int other = 0; other < ENGINE_COUNT; other++) {
            int result = compare(engines[i], tweak_key, engines[other], tweak_key, NULL);
            assert_true(result == 0 || result == -ENOTSUP);
        }
    }
}

static void engines_with_different_keys_differ(void **state)
{
    (void)state;
    for (int i = 0; i < ENGINE_COUNT; i++) {
        struct error error = {0};
        int result = compare(engines[i], tweak_key, engines[i], data_key, &error);
        if (result == -ENOTSUP)
            continue;
        assert_int_equal(result, -EBADMSG);
        assert_non_null(strstr(error.message, "differs from"));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_engine_here_knows_the_answers),
        cmocka_unit_test(all_engines_here_agree_on_random_sectors),
        cmocka_unit_test(engines_with_different_keys_differ),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
