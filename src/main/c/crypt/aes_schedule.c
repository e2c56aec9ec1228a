/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * AES-256 key expansion, two words-of-four at a time with AESKEYGENASSIST, whose round constant
 * must be an immediate: hence the macros in place of a loop.
 */
#include "aes_schedule.h"

#include <errno.h>
#include <stddef.h>

#include "base/error.h"
#include "mem/secret.h"

#if defined(__x86_64__)

#include <immintrin.h>

#define TARGET __attribute__((target("sse4.1,aes,pclmul")))

/* Each word becomes the exclusive or of itself and all words before it. */
static TARGET __m128i sum_words(__m128i words)
{
    words = _mm_xor_si128(words, _mm_slli_si128(words, 4));
    return _mm_xor_si128(words, _mm_slli_si128(words, 8));
}

#define EXPAND_EVEN(key, index, constant)                                                          \
    key[index] = _mm_xor_si128(                                                                    \
        sum_words(key[(index)-2]),                                                                 \
        _mm_shuffle_epi32(_mm_aeskeygenassist_si128(key[(index)-1], constant), 0xff))

#define EXPAND_ODD(key, index)                                                                     \
    key[index] =                                                                                   \
        _mm_xor_si128(sum_words(key[(index)-2]),                                                   \
                      _mm_shuffle_epi32(_mm_aeskeygenassist_si128(key[(index)-1], 0), 0xaa))

static TARGET __attribute__((noinline)) void expand(const uint8_t *bytes, __m128i *key)
{
    key[0] = _mm_loadu_si128((const __m128i *)bytes);
    key[1] = _mm_loadu_si128((const __m128i *)(bytes + AES_BLOCK_BYTES));
    EXPAND_EVEN(key, 2, 0x01);
    EXPAND_ODD(key, 3);
    EXPAND_EVEN(key, 4, 0x02);
    EXPAND_ODD(key, 5);
    EXPAND_EVEN(key, 6, 0x04);
    EXPAND_ODD(key, 7);
    EXPAND_EVEN(key, 8, 0x08);
    EXPAND_ODD(key, 9);
    EXPAND_EVEN(key, 10, 0x10);
    EXPAND_ODD(key, 11);
    EXPAND_EVEN(key, 12, 0x20);
    EXPAND_ODD(key, 13);
    EXPAND_EVEN(key, 14, 0x40);
}

static TARGET __attribute__((noinline)) void invert(const __m128i *encrypt, __m128i *decrypt)
{
    decrypt[0] = encrypt[AES_ROUNDS];
    for (int i = 1; i < AES_ROUNDS; i++)
        decrypt[i] = _mm_aesimc_si128(encrypt[AES_ROUNDS - i]);
    decrypt[AES_ROUNDS] = encrypt[0];
}

void aes_schedule_expand(const uint8_t *key, struct aes_schedule *encrypt,
                         struct aes_schedule *decrypt)
{
    expand(key, (__m128i *)encrypt->round);
    if (decrypt)
        invert((const __m128i *)encrypt->round, (__m128i *)decrypt->round);
    secret_clear_traces();
}

int xts_schedules_create(const char *cpu_lacks, const uint8_t *data_key, const uint8_t *tweak_key,
                         struct log *log, void **out, struct error *error)
{
    if (cpu_lacks)
        return error_set(error, -ENOTSUP, "the CPU lacks %s", cpu_lacks);
    struct xts_schedules *schedules = secret_alloc(sizeof(*schedules), log);
    if (!schedules)
        return error_set(error, -ENOMEM, "no memory for the key schedules");
    aes_schedule_expand(data_key, &schedules->encrypt, &schedules->decrypt);
    aes_schedule_expand(tweak_key, &schedules->tweak, NULL);
    *out = schedules;
    return 0;
}

#endif
