/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * How many AES rounds this CPU takes, by the width of its registers: AESENC over and over on more
 * blocks than it needs to hide the instruction's latency, and nothing else. What XTS at best could
 * be. x86-64 only; elsewhere no width is offered.
 */
#ifndef UBIBLK_BENCH_AES_LIMIT_H
#define UBIBLK_BENCH_AES_LIMIT_H

#include <stdbool.h>
#include <stdint.h>

#include "crypt/cpu.h"

enum aes_width { AES_WIDTH_128, AES_WIDTH_256, AES_WIDTH_512, AES_WIDTHS };

static const int aes_width_bits[AES_WIDTHS] = {128, 256, 512};

#if defined(__x86_64__)

#include <immintrin.h>

enum { AES_LIMIT_REGISTERS = 12, AES_LIMIT_STEPS = 16 };

#if defined(__clang__)
#define AES_LIMIT_UNROLL
#else
#define AES_LIMIT_UNROLL _Pragma("GCC unroll 16")
#endif

/* Does loops · AES_LIMIT_STEPS · AES_LIMIT_REGISTERS instructions. */
#define AES_LIMIT_FUNCTION(name, isa, vector, set, round)                                          \
    __attribute__((noinline, target(isa))) static void name(uint64_t loops)                        \
    {                                                                                              \
        vector block[AES_LIMIT_REGISTERS], key = set(0x5a);                                        \
        AES_LIMIT_UNROLL                                                                           \
        for (int i = 0; i < AES_LIMIT_REGISTERS; i++)                                              \
            block[i] = set((char)i);                                                               \
        for (; loops > 0; loops--) {                                                               \
            AES_LIMIT_UNROLL                                                                       \
            for (int step = 0; step < AES_LIMIT_STEPS; step++) {                                   \
                AES_LIMIT_UNROLL                                                                   \
                for (int i = 0; i < AES_LIMIT_REGISTERS; i++)                                      \
                    block[i] = round(block[i], key);                                               \
            }                                                                                      \
        }                                                                                          \
        AES_LIMIT_UNROLL                                                                           \
        for (int i = 0; i < AES_LIMIT_REGISTERS; i++)                                              \
            __asm__ volatile("" : : "v"(block[i]));                                                \
    }

AES_LIMIT_FUNCTION(aes_limit_128, "aes", __m128i, _mm_set1_epi8, _mm_aesenc_si128)
AES_LIMIT_FUNCTION(aes_limit_256, "avx2,vaes", __m256i, _mm256_set1_epi8, _mm256_aesenc_epi128)
AES_LIMIT_FUNCTION(aes_limit_512, "avx512f,avx512bw,vaes", __m512i, _mm512_set1_epi8,
                   _mm512_aesenc_epi128)

static inline bool aes_width_offered(enum aes_width width)
{
    return width == AES_WIDTH_128   ? !cpu_lacks_for_aesni()
           : width == AES_WIDTH_256 ? !cpu_lacks_for_vaes256()
                                    : !cpu_lacks_for_vaes512();
}

/* Runs loops times on an offered width; returns how many rounds of one block that were. */
static inline uint64_t aes_limit_run(enum aes_width width, uint64_t loops)
{
    if (width == AES_WIDTH_128)
        aes_limit_128(loops);
    else if (width == AES_WIDTH_256)
        aes_limit_256(loops);
    else
        aes_limit_512(loops);
    return loops * AES_LIMIT_STEPS * AES_LIMIT_REGISTERS * ((uint64_t)aes_width_bits[width] / 128);
}

#else

static inline bool aes_width_offered(enum aes_width width)
{
    (void)width;
    return false;
}

static inline uint64_t aes_limit_run(enum aes_width width, uint64_t loops)
{
    (void)width;
    return loops;
}

#endif

#endif
