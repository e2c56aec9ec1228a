/* SPDX-License-Identifier: AGPL-3.0-only */
/* What the making of an engine leaves of its keys where other code runs: nothing. */
#include <string.h>

#include "base/sector.h"
#include "mem/secret.h"
#include "support/cmocka_test.h"
#include "support/key_traces.h"
#include "support/reference_aes.h"
#include "support/test_scale.h"
#include "support/xts_check.h"

#if KEY_TRACES_CAN_BE_SEEN

/* Not on the stack, where the caller's own copy would be found. */
static uint8_t data_key[XTS_KEY_BYTES], tweak_key[XTS_KEY_BYTES];

static int make_keys(void **state)
{
    (void)state;
    struct test_random random = {test_seed()};
    test_random_fill(&random, data_key, XTS_KEY_BYTES);
    test_random_fill(&random, tweak_key, XTS_KEY_BYTES);
    key_traces_forget();
    secret_clear_traces();
    return 0;
}

typedef size_t (*count_traces_fn)(const uint8_t *secret, size_t byte_len);

/* Both keys are the beginnings of their schedules for encryption. */
static size_t count_schedules(count_traces_fn count)
{
    const uint8_t *const keys[] = {data_key, tweak_key};
    size_t found = 0;
    for (int i = 0; i < 2; i++) {
        uint8_t encrypt[REFERENCE_SCHEDULE_BYTES], decrypt[REFERENCE_SCHEDULE_BYTES];
        reference_expand(keys[i], encrypt, decrypt);
        found += count(encrypt, sizeof(encrypt)) + count(decrypt, sizeof(decrypt));
    }
    return found;
}

static void assert_no_traces(const char *what)
{
    size_t registers = count_schedules(key_traces_in_registers);
    size_t stack = count_schedules(key_traces_on_stack);
    if (registers + stack > 0)
        fail_msg("%s: %zu traces in registers, %zu on the stack", what, registers, stack);
}

static __attribute__((noinline)) void leave_on_the_stack(void)
{
    volatile uint8_t stale[16 * XTS_KEY_BYTES];
    for (size_t i = 0; i < sizeof(stale); i++)
        stale[i] = data_key[i % XTS_KEY_BYTES];
}

/* Without this the tests below would say nothing. */
static void traces_that_are_left_are_found(void **state)
{
    (void)state;
    leave_on_the_stack();
    key_traces_note();
    assert_true(key_traces_on_stack(data_key, XTS_KEY_BYTES) > 0);
    assert_int_equal(key_traces_on_stack(tweak_key, XTS_KEY_BYTES), 0);
    __asm__ volatile("movdqu %0, %%xmm15" : : "m"(data_key) : "xmm15");
    key_traces_note();
    assert_true(key_traces_in_registers(data_key, XTS_KEY_BYTES / 2) > 0);
    assert_int_equal(key_traces_in_registers(tweak_key, XTS_KEY_BYTES), 0);
    if (__builtin_cpu_supports("avx")) {
        __asm__ volatile("vmovdqu %0, %%ymm14" : : "m"(data_key) : "xmm14");
        key_traces_note();
        assert_true(key_traces_in_registers(data_key + XTS_KEY_BYTES / 2, XTS_KEY_BYTES / 2) > 0);
    }
}

#define LOAD(number) "vmovdqu %0, %%ymm" #number "\n\t"

static void registers_are_cleared_in_their_full_width(void **state)
{
    (void)state;
    if (__builtin_cpu_supports("avx")) {
        __asm__ volatile(LOAD(0) LOAD(1) LOAD(2) LOAD(3) LOAD(4) LOAD(5) LOAD(6) LOAD(7) LOAD(8)
                             LOAD(9) LOAD(10) LOAD(11) LOAD(12) LOAD(13) LOAD(14) LOAD(15)
                         :
                         : "m"(data_key)
                         : "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8",
                           "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15");
    } else {
        __asm__ volatile("movdqu %0, %%xmm15" : : "m"(data_key) : "xmm15");
    }
    secret_clear_traces();
    key_traces_note();
    assert_no_traces("secret_clear_traces");
}

static void engines_leave_nothing_when_they_expand_keys(void **state)
{
    (void)state;
    for (enum xts_engine_kind kind = XTS_ENGINE_VAES512; kind <= XTS_ENGINE_OPENSSL; kind++) {
        const struct xts_engine *engine = xts_check_engine_of(kind);
        void *opened;
        key_traces_forget();
        if (!engine || engine->create(data_key, tweak_key, NULL, &opened, NULL) != 0)
            continue;
        key_traces_note();
        assert_no_traces(engine->name);
        engine->destroy(opened);
    }
}

static void a_choice_of_engine_leaves_nothing(void **state)
{
    (void)state;
    for (enum xts_engine_kind kind = XTS_ENGINE_AUTO; kind <= XTS_ENGINE_OPENSSL; kind++) {
        struct xts *xts;
        key_traces_forget();
        if (xts_create(data_key, tweak_key, kind, NULL, &xts, NULL) != 0)
            continue;
        key_traces_note();
        assert_no_traces(xts_engine_name(xts));
        xts_destroy(xts);
    }
}

/* Registers keep round keys until something else uses them; the stack might for as long as the
 * thread lives, and is not locked. */
static void our_engines_put_no_round_keys_on_the_stack(void **state)
{
    (void)state;
    enum { COUNT = 11 };
    static uint8_t sectors[COUNT * SECTOR_BYTES];
    for (enum xts_engine_kind kind = XTS_ENGINE_VAES512; kind <= XTS_ENGINE_AESNI; kind++) {
        const struct xts_engine *engine = xts_check_engine_of(kind);
        void *opened;
        if (!engine || engine->create(data_key, tweak_key, NULL, &opened, NULL) != 0)
            continue;
        for (int decrypt = 0; decrypt < 2; decrypt++) {
            key_traces_forget();
            (decrypt ? engine->decrypt : engine->encrypt)(opened, (struct xts_tweak){0, 7}, sectors,
                                                          sectors, COUNT);
            key_traces_note();
            if (count_schedules(key_traces_on_stack) > 0)
                fail_msg("%s: round keys on the stack", engine->name);
        }
        engine->destroy(opened);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(traces_that_are_left_are_found, make_keys),
        cmocka_unit_test_setup(registers_are_cleared_in_their_full_width, make_keys),
        cmocka_unit_test_setup(engines_leave_nothing_when_they_expand_keys, make_keys),
        cmocka_unit_test_setup(a_choice_of_engine_leaves_nothing, make_keys),
        cmocka_unit_test_setup(our_engines_put_no_round_keys_on_the_stack, make_keys),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#else

static void says_nothing(void **state)
{
    (void)state;
#if defined(__x86_64__)
    skip_because("says nothing under a sanitizer");
#else
    skip_because("the CPU lacks the registers that it looks at");
#endif
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(says_nothing)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#endif
