/* SPDX-License-Identifier: AGPL-3.0-only */
/* Clearing the vector registers. */
#include "mem/registers.h"

#include <stdint.h>
#include <string.h>

#include "support/cmocka_test.h"

enum { REGISTERS = 16, REGISTER_BYTES = 32 };

#if defined(__x86_64__)

#define EACH_REGISTER(operation)                                                                   \
    operation(0) operation(1) operation(2) operation(3) operation(4) operation(5) operation(6)     \
        operation(7) operation(8) operation(9) operation(10) operation(11) operation(12)           \
            operation(13) operation(14) operation(15)
#define LOAD(number) "vmovdqu (%0), %%ymm" #number "\n\t"
#define STORE(number) "vmovdqu %%ymm" #number ", 32*" #number "(%0)\n\t"
#define CLOBBERED                                                                                  \
    "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10",       \
        "xmm11", "xmm12", "xmm13", "xmm14", "xmm15", "memory"

/* Compiled without AVX, lest the compiler clears upper halves before the call by itself. */
static __attribute__((noinline)) void load_and_store(const uint8_t *value, uint8_t *stored,
                                                     void (*between)(void))
{
    __asm__ volatile(EACH_REGISTER(LOAD) : : "r"(value) : CLOBBERED);
    between();
    __asm__ volatile(EACH_REGISTER(STORE) : : "r"(stored) : CLOBBERED);
}

static void nothing(void)
{
}

static void are_zero_in_full_width(void **state)
{
    (void)state;
    uint8_t value[REGISTER_BYTES], stored[REGISTERS * REGISTER_BYTES];
    if (!__builtin_cpu_supports("avx"))
        skip_because("the CPU lacks AVX");
    memset(value, 0xa5, sizeof(value));
    load_and_store(value, stored, nothing);
    for (size_t i = 0; i < sizeof(stored); i++)
        assert_int_equal(stored[i], 0xa5);
    load_and_store(value, stored, registers_clear);
    for (size_t i = 0; i < sizeof(stored); i++)
        assert_int_equal(stored[i], 0);
}

#else

static void are_zero_in_full_width(void **state)
{
    (void)state;
    skip_because("the CPU lacks AVX");
}

#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(are_zero_in_full_width),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
