/* SPDX-License-Identifier: AGPL-3.0-only */
/* wrap: dlopen */
/* The engine on ISA-L crypto, with stand-ins of the library in both generations of its interface.
 */
#include <dlfcn.h>
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "support/cmocka_test.h"
#include "support/xts_check.h"

#define SONAME "libisal_crypto.so.2"
#define NEW_STANDIN UBIBLK_TEST_SHARED_DIR "/libisal_standin.so"
#define OLD_STANDIN UBIBLK_TEST_SHARED_DIR "/libisal_old_standin.so"

void *__real_dlopen(const char *name, int flags);
void *__wrap_dlopen(const char *name, int flags);

static const uint8_t data_key[XTS_KEY_BYTES] = {1}, tweak_key[XTS_KEY_BYTES] = {2};
static const char *installed;

void *__wrap_dlopen(const char *name, int flags)
{
    return __real_dlopen(strcmp(name, SONAME) == 0 ? installed : name, flags);
}

static int remove_faults(void **state)
{
    (void)state;
    return unsetenv("ISALCRYPTO_STANDIN");
}

static int create(struct xts **xts, struct error *error)
{
    return xts_create(data_key, tweak_key, XTS_ENGINE_ISAL, NULL, xts, error);
}

static void says_that_the_library_is_missing(void **state)
{
    (void)state;
    installed = "/nonexistent/" SONAME;
    struct error error;
    struct xts *xts;
    assert_int_equal(create(&xts, &error), -ENOTSUP);
    assert_non_null(strstr(error.message, "isa-l"));
    assert_non_null(strstr(error.message, SONAME));
}

static void says_which_function_the_library_lacks(void **state)
{
    (void)state;
    installed = "libm.so.6";
    struct error error;
    struct xts *xts;
    assert_int_equal(create(&xts, &error), -ENOTSUP);
    assert_non_null(strstr(error.message, "aes_keyexp_256"));
}

static void refuses_a_library_that_encrypts_wrongly(void **state)
{
    (void)state;
    static const char *const libraries[] = {NEW_STANDIN, OLD_STANDIN};
    setenv("ISALCRYPTO_STANDIN", "wrong", 1);
    for (int i = 0; i < 2; i++) {
        installed = libraries[i];
        struct error error;
        struct xts *xts;
        assert_int_equal(create(&xts, &error), -EBADMSG);
        assert_non_null(strstr(error.message, "self-test"));
    }
}

static void refuses_a_library_that_cannot_expand_keys(void **state)
{
    (void)state;
    installed = NEW_STANDIN;
    setenv("ISALCRYPTO_STANDIN", "expand", 1);
    struct error error;
    struct xts *xts;
    assert_int_equal(create(&xts, &error), -ENOTSUP);
    assert_non_null(strstr(error.message, "expand"));
}

static sigjmp_buf before_abort;

static void leave_abort(int signal_number)
{
    (void)signal_number;
    siglongjmp(before_abort, 1);
}

static void ends_the_process_when_the_library_fails_in_service(void **state)
{
    (void)state;
    installed = NEW_STANDIN;
    struct xts *xts;
    assert_int_equal(create(&xts, NULL), 0);
    assert_string_equal(xts_engine_name(xts), "isa-l");
    setenv("ISALCRYPTO_STANDIN", "encrypt", 1);
    signal(SIGABRT, leave_abort);
    volatile bool returned = false;
    if (sigsetjmp(before_abort, 1) == 0) {
        uint8_t sector[512] = {0};
        xts_encrypt(xts, 0, sector, sector, 1);
        returned = true;
    }
    signal(SIGABRT, SIG_DFL);
    assert_false(returned);
    xts_destroy(xts);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(says_that_the_library_is_missing, remove_faults),
        cmocka_unit_test_teardown(says_which_function_the_library_lacks, remove_faults),
        cmocka_unit_test_teardown(refuses_a_library_that_encrypts_wrongly, remove_faults),
        cmocka_unit_test_teardown(refuses_a_library_that_cannot_expand_keys, remove_faults),
        cmocka_unit_test_teardown(ends_the_process_when_the_library_fails_in_service,
                                  remove_faults),
    };
    int failures = cmocka_run_group_tests(tests, NULL, NULL);
    installed = NEW_STANDIN;
    failures += xts_check_engine(XTS_ENGINE_ISAL);
    installed = OLD_STANDIN;
    return failures + xts_check_engine(XTS_ENGINE_ISAL);
}
