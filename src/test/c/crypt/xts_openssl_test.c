/* SPDX-License-Identifier: AGPL-3.0-only */
/* wrap: dlopen dlsym */
/* The engine on OpenSSL's libcrypto. */
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
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

/* More threads than there are contexts on a machine of few CPUs. */
enum { CALLERS = 12, CALLS = 40, CONTEXTS_MAX = 128 };

static bool watch_contexts;
static _Atomic(void *) contexts_in_use[CONTEXTS_MAX];
static _Atomic int contexts_shared;
static int (*real_update)(void *context, uint8_t *out, int *out_bytes, const uint8_t *in,
                          int in_bytes);

/* Gives other threads the CPU while a context is in use, and counts those that use it too. */
static int update_watched(void *context, uint8_t *out, int *out_bytes, const uint8_t *in,
                          int in_bytes)
{
    for (int i = 0; i < CONTEXTS_MAX; i++)
        contexts_shared += contexts_in_use[i] == context;
    int mine = 0;
    void *empty = NULL;
    while (!atomic_compare_exchange_strong(&contexts_in_use[mine], &empty, context)) {
        mine = (mine + 1) % CONTEXTS_MAX;
        empty = NULL;
    }
    sched_yield();
    int result = real_update(context, out, out_bytes, in, in_bytes);
    contexts_in_use[mine] = NULL;
    return result;
}

void *__wrap_dlopen(const char *name, int flags)
{
    return __real_dlopen(library_missing ? "/nonexistent/libcrypto.so.3" : name, flags);
}

void *__wrap_dlsym(void *library, const char *name)
{
    if (function_missing && strcmp(name, function_missing) == 0)
        return NULL;
    void *function = __real_dlsym(library, name);
    if (!watch_contexts || strcmp(name, "EVP_CipherUpdate") != 0)
        return function;
    int (*watched)(void *, uint8_t *, int *, const uint8_t *, int) = update_watched;
    memcpy(&real_update, &function, sizeof(function));
    memcpy(&function, &watched, sizeof(function));
    return function;
}

static int install_all(void **state)
{
    (void)state;
    library_missing = false;
    function_missing = NULL;
    watch_contexts = false;
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

static void *caller_run(void *xts)
{
    for (int i = 0; i < CALLS; i++) {
        uint8_t sectors[3 * SECTOR_BYTES] = {0};
        xts_encrypt(xts, 1, sectors, sectors, 3);
        xts_decrypt(xts, 1, sectors, sectors, 3);
    }
    return NULL;
}

static void no_two_threads_use_a_context_at_once(void **state)
{
    (void)state;
    if (!xts_check_available(XTS_ENGINE_OPENSSL))
        skip();
    watch_contexts = true;
    struct xts *xts = xts_check_create(XTS_ENGINE_OPENSSL, key, other_key);
    pthread_t callers[CALLERS];
    for (int i = 0; i < CALLERS; i++)
        assert_int_equal(pthread_create(&callers[i], NULL, caller_run, xts), 0);
    for (int i = 0; i < CALLERS; i++)
        pthread_join(callers[i], NULL);
    assert_int_equal(contexts_shared, 0);
    xts_destroy(xts);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(says_that_the_library_is_missing, install_all),
        cmocka_unit_test_teardown(says_which_function_the_library_lacks, install_all),
        cmocka_unit_test_teardown(encrypts_and_decrypts_with_equal_key_halves, install_all),
        cmocka_unit_test_teardown(no_two_threads_use_a_context_at_once, install_all),
    };
    int failures = cmocka_run_group_tests(tests, NULL, NULL);
    return failures + xts_check_engine(XTS_ENGINE_OPENSSL);
}
