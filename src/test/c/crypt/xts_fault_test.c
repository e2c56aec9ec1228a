/* SPDX-License-Identifier: AGPL-3.0-only */
/* wrap: secret_alloc calloc aligned_alloc dlsym */
/* Engines without memory, and on an OpenSSL that refuses. */
#include <dlfcn.h>
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/sector.h"
#include "crypt/xts.h"
#include "mem/secret.h"
#include "support/cmocka_test.h"
#include "support/xts_check.h"

void *__real_secret_alloc(size_t byte_len, struct log *log);
void *__wrap_secret_alloc(size_t byte_len, struct log *log);
void *__real_calloc(size_t count, size_t byte_len);
void *__wrap_calloc(size_t count, size_t byte_len);
void *__real_aligned_alloc(size_t alignment, size_t byte_len);
void *__wrap_aligned_alloc(size_t alignment, size_t byte_len);
void *__real_dlsym(void *library, const char *name);
void *__wrap_dlsym(void *library, const char *name);

static const uint8_t data_key[XTS_KEY_BYTES] = {1}, tweak_key[XTS_KEY_BYTES] = {2};

static bool fail_secret_alloc, fail_aligned_alloc;
static int calloc_calls_before_failure = -1;
static const char *replaced;
static void *replacement;

void *__wrap_secret_alloc(size_t byte_len, struct log *log)
{
    return fail_secret_alloc ? NULL : __real_secret_alloc(byte_len, log);
}

void *__wrap_calloc(size_t count, size_t byte_len)
{
    if (calloc_calls_before_failure >= 0 && calloc_calls_before_failure-- == 0)
        return NULL;
    return __real_calloc(count, byte_len);
}

void *__wrap_aligned_alloc(size_t alignment, size_t byte_len)
{
    return fail_aligned_alloc ? NULL : __real_aligned_alloc(alignment, byte_len);
}

void *__wrap_dlsym(void *library, const char *name)
{
    if (replaced && strcmp(name, replaced) == 0)
        return replacement;
    return __real_dlsym(library, name);
}

static int mend(void **state)
{
    (void)state;
    fail_secret_alloc = fail_aligned_alloc = false;
    calloc_calls_before_failure = -1;
    replaced = NULL;
    return 0;
}

static int create(enum xts_engine_kind kind, struct error *error)
{
    struct xts *xts;
    int result = xts_create(data_key, tweak_key, kind, NULL, &xts, error);
    if (result == 0)
        xts_destroy(xts);
    return result;
}

static void says_when_there_is_no_memory_for_schedules(void **state)
{
    (void)state;
    static const enum xts_engine_kind kinds[] = {XTS_ENGINE_VAES512, XTS_ENGINE_VAES256,
                                                 XTS_ENGINE_AESNI};
    for (int i = 0; i < 3; i++) {
        if (!xts_check_available(kinds[i]))
            continue;
        struct error error;
        fail_secret_alloc = true;
        assert_int_equal(create(kinds[i], &error), -ENOMEM);
        fail_secret_alloc = false;
        assert_non_null(strstr(error.message, "no memory for the key schedules"));
    }
    fail_secret_alloc = true;
    assert_int_equal(create(XTS_ENGINE_ISAL, NULL), -ENOMEM);
}

static void auto_falls_to_an_engine_that_needs_no_secret_memory(void **state)
{
    (void)state;
    if (!xts_check_available(XTS_ENGINE_OPENSSL))
        skip();
    fail_secret_alloc = true;
    struct xts *xts;
    assert_int_equal(xts_create(data_key, tweak_key, XTS_ENGINE_AUTO, NULL, &xts, NULL), 0);
    assert_string_equal(xts_engine_name(xts), "openssl");
    xts_destroy(xts);
}

static void says_when_there_is_no_memory_for_contexts(void **state)
{
    (void)state;
    if (!xts_check_available(XTS_ENGINE_OPENSSL))
        skip();
    fail_aligned_alloc = true;
    assert_int_equal(create(XTS_ENGINE_OPENSSL, NULL), -ENOMEM);
    fail_aligned_alloc = false;
    calloc_calls_before_failure = 1; /* the first is for struct xts */
    assert_int_equal(create(XTS_ENGINE_OPENSSL, NULL), -ENOMEM);
}

/* --- an OpenSSL that refuses --- */

static int init_nothing(uint64_t options, const void *settings)
{
    (void)options;
    (void)settings;
    return 0;
}

static void *fetch_nothing(void *library_context, const char *algorithm, const char *properties)
{
    (void)library_context;
    (void)algorithm;
    (void)properties;
    return NULL;
}

static int refuse_keys(void *context, const void *cipher, const uint8_t *key, const uint8_t *iv,
                       int encrypt, const void *parameters)
{
    (void)context;
    (void)cipher;
    (void)key;
    (void)iv;
    (void)encrypt;
    (void)parameters;
    return 0;
}

static void *function_bytes(const void *function_pointer)
{
    void *function;
    memcpy(&function, function_pointer, sizeof(function));
    return function;
}

static void assert_refused(const char *name, const void *function_pointer, const char *sentence)
{
    struct error error;
    replaced = name;
    replacement = function_bytes(function_pointer);
    assert_int_equal(create(XTS_ENGINE_OPENSSL, &error), -ENOTSUP);
    assert_non_null(strstr(error.message, sentence));
}

static void says_what_openssl_refuses(void **state)
{
    (void)state;
    if (!xts_check_available(XTS_ENGINE_OPENSSL))
        skip();
    assert_refused("OPENSSL_init_crypto", &(int (*)(uint64_t, const void *)){init_nothing},
                   "does not initialise");
    assert_refused("EVP_CIPHER_fetch",
                   &(void *(*)(void *, const char *, const char *)){fetch_nothing},
                   "offers no AES-256-XTS");
    assert_refused("EVP_CipherInit_ex2",
                   &(int (*)(void *, const void *, const uint8_t *, const uint8_t *, int,
                             const void *)){refuse_keys},
                   "refuses AES-256-XTS with these keys");
}

static int (*real_update)(void *context, uint8_t *out, int *out_bytes, const uint8_t *in,
                          int in_bytes);
static bool fail_update;

static int update_or_fail(void *context, uint8_t *out, int *out_bytes, const uint8_t *in,
                          int in_bytes)
{
    return fail_update ? 0 : real_update(context, out, out_bytes, in, in_bytes);
}

static sigjmp_buf before_abort;

static void leave_abort(int signal_number)
{
    (void)signal_number;
    siglongjmp(before_abort, 1);
}

static void ends_the_process_when_openssl_fails_in_service(void **state)
{
    (void)state;
    if (!xts_check_available(XTS_ENGINE_OPENSSL))
        skip();
    void *library = dlopen("libcrypto.so.3", RTLD_NOW);
    void *update = __real_dlsym(library, "EVP_CipherUpdate");
    memcpy(&real_update, &update, sizeof(update));
    replaced = "EVP_CipherUpdate";
    replacement =
        function_bytes(&(int (*)(void *, uint8_t *, int *, const uint8_t *, int)){update_or_fail});
    struct xts *xts = xts_check_create(XTS_ENGINE_OPENSSL, data_key, tweak_key);
    fail_update = true;
    signal(SIGABRT, leave_abort);
    volatile bool returned = false;
    if (sigsetjmp(before_abort, 1) == 0) {
        uint8_t sector[SECTOR_BYTES] = {0};
        xts_encrypt(xts, 0, sector, sector, 1);
        returned = true;
    }
    signal(SIGABRT, SIG_DFL);
    fail_update = false;
    assert_false(returned);
    xts_destroy(xts);
    dlclose(library);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(says_when_there_is_no_memory_for_schedules, mend),
        cmocka_unit_test_teardown(auto_falls_to_an_engine_that_needs_no_secret_memory, mend),
        cmocka_unit_test_teardown(says_when_there_is_no_memory_for_contexts, mend),
        cmocka_unit_test_teardown(says_what_openssl_refuses, mend),
        cmocka_unit_test_teardown(ends_the_process_when_openssl_fails_in_service, mend),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
