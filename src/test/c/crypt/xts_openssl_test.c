/* SPDX-License-Identifier: AGPL-3.0-only */
/* wrap: dlopen dlsym */
/* The engine on OpenSSL's libcrypto. */
#include <dlfcn.h>
#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "base/error.h"
#include "base/sector.h"
#include "support/cmocka_test.h"
#include "support/xts_check.h"

void *__real_dlopen(const char *name, int flags);
void *__wrap_dlopen(const char *name, int flags);
void *__real_dlsym(void *library, const char *name);
void *__wrap_dlsym(void *library, const char *name);

static const uint8_t key[XTS_KEY_BYTES] = {1}, other_key[XTS_KEY_BYTES] = {2};
static bool library_missing;
static const char *function_missing;

void *__wrap_dlopen(const char *name, int flags)
{
    return __real_dlopen(library_missing ? "/nonexistent/libcrypto.so.3" : name, flags);
}

void *__wrap_dlsym(void *library, const char *name)
{
    if (function_missing && strcmp(name, function_missing) == 0)
        return NULL;
    return __real_dlsym(library, name);
}

static int install_all(void **state)
{
    (void)state;
    library_missing = false;
    function_missing = NULL;
    return 0;
}

static void says_that_the_library_is_missing(void **state)
{
    (void)state;
    library_missing = true;
    struct error error;
    struct xts *xts;
    assert_int_equal(xts_create(key, other_key, XTS_ENGINE_OPENSSL, NULL, &xts, &error), -ENOTSUP);
    assert_non_null(strstr(error.message, "libcrypto.so.3"));
}

static void says_which_function_the_library_lacks(void **state)
{
    (void)state;
    if (!xts_check_available(XTS_ENGINE_OPENSSL))
        skip();
    function_missing = "EVP_CipherInit_ex2";
    struct error error;
    struct xts *xts;
    assert_int_equal(xts_create(key, other_key, XTS_ENGINE_OPENSSL, NULL, &xts, &error), -ENOTSUP);
    assert_non_null(strstr(error.message, "EVP_CipherInit_ex2"));
}

/* OpenSSL itself refuses to encrypt with such keys; disks that have them must stay usable. */
static void encrypts_and_decrypts_with_equal_key_halves(void **state)
{
    (void)state;
    enum { COUNT = 11, BYTES = COUNT * SECTOR_BYTES };
    if (!xts_check_available(XTS_ENGINE_OPENSSL))
        skip();
    struct xts *xts = xts_check_create(XTS_ENGINE_OPENSSL, key, key);
    uint8_t plain[BYTES], cipher[BYTES], expected[BYTES];
    for (size_t i = 0; i < BYTES; i++)
        plain[i] = (uint8_t)(i * 7 + i / SECTOR_BYTES);
    xts_reference(key, key, false, UINT64_MAX - 5, plain, expected, COUNT);
    xts_encrypt(xts, UINT64_MAX - 5, plain, cipher, COUNT);
    assert_memory_equal(cipher, expected, BYTES);
    xts_decrypt(xts, UINT64_MAX - 5, cipher, cipher, COUNT);
    assert_memory_equal(cipher, plain, BYTES);
    xts_destroy(xts);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(says_that_the_library_is_missing, install_all),
        cmocka_unit_test_teardown(says_which_function_the_library_lacks, install_all),
        cmocka_unit_test_teardown(encrypts_and_decrypts_with_equal_key_halves, install_all),
    };
    int failures = cmocka_run_group_tests(tests, NULL, NULL);
    return failures + xts_check_engine(XTS_ENGINE_OPENSSL);
}
