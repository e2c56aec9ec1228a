/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * CPUID and XGETBV, asked directly: what the compilers offer for this differs between gcc 12 and
 * clang 14. A vector extension counts only when the kernel also saves its registers (XCR0).
 */
#include "cpu.h"

#include <stddef.h>
#include <stdint.h>

#if defined(__x86_64__)

#include <cpuid.h>

enum cpu_leaf { LEAF_1_ECX, LEAF_7_EBX, LEAF_7_ECX, LEAF_COUNT };

struct cpu_bit {
    enum cpu_leaf leaf;
    unsigned bit;
    const char *name;
};

/* XCR0: SSE and AVX registers; with AVX-512 also its mask and upper registers. */
enum { XCR0_AVX = 0x06, XCR0_AVX512 = 0xe6 };

static const struct cpu_bit sse_bits[] = {
    {LEAF_1_ECX, 1, "PCLMULQDQ"}, {LEAF_1_ECX, 19, "SSE4.1"}, {LEAF_1_ECX, 25, "AES-NI"}};

static const struct cpu_bit avx2_bits[] = {
    {LEAF_1_ECX, 27, "OSXSAVE"}, {LEAF_1_ECX, 28, "AVX"},        {LEAF_7_EBX, 5, "AVX2"},
    {LEAF_7_ECX, 9, "VAES"},     {LEAF_7_ECX, 10, "VPCLMULQDQ"},
};

static const struct cpu_bit avx512_bits[] = {{LEAF_7_EBX, 16, "AVX512F"},
                                             {LEAF_7_EBX, 17, "AVX512DQ"},
                                             {LEAF_7_EBX, 30, "AVX512BW"},
                                             {LEAF_7_EBX, 31, "AVX512VL"}};

static const char *first_missing(const struct cpu_bit *bits, size_t count)
{
    unsigned eax, ebx, ecx, edx;
    uint32_t leaf[LEAF_COUNT] = {0};
    if (__get_cpuid(1, &eax, &ebx, &ecx, &edx))
        leaf[LEAF_1_ECX] = ecx;
    if (__get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx)) {
        leaf[LEAF_7_EBX] = ebx;
        leaf[LEAF_7_ECX] = ecx;
    }
    for (size_t i = 0; i < count; i++) {
        if ((leaf[bits[i].leaf] >> bits[i].bit & 1) == 0)
            return bits[i].name;
    }
    return NULL;
}

/* Only after OSXSAVE was found. */
static bool kernel_saves(uint32_t registers)
{
    uint32_t low, high;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    (void)high;
    return (low & registers) == registers;
}

#define FIRST_MISSING(bits) first_missing(bits, sizeof(bits) / sizeof((bits)[0]))

const char *cpu_lacks_for_aesni(void)
{
    return FIRST_MISSING(sse_bits);
}

const char *cpu_lacks_for_vaes256(void)
{
    const char *missing = cpu_lacks_for_aesni();
    if (!missing)
        missing = FIRST_MISSING(avx2_bits);
    if (!missing && !kernel_saves(XCR0_AVX))
        missing = "kernel support for AVX";
    return missing;
}

const char *cpu_lacks_for_vaes512(void)
{
    const char *missing = cpu_lacks_for_vaes256();
    if (!missing)
        missing = FIRST_MISSING(avx512_bits);
    if (!missing && !kernel_saves(XCR0_AVX512))
        missing = "kernel support for AVX-512";
    return missing;
}

#endif
