/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * AES-XTS engine for x86-64 with AES-NI, 128 bits wide.
 *
 * Design: one sector is 32 blocks, in four batches of eight that go through the rounds together,
 * which hides the latency of AESENC. A data unit of 512 bytes costs one tweak encryption, a serial
 * chain of 14 rounds; four of them are done together, and those of the next four sectors advance by
 * one round after each batch of the current four (16 batches for 15 steps), so that only the first
 * four of a call are waited for.
 *
 * Block tweaks: the first eight of a sector come straight from the sector's encrypted tweak by
 * shifts and one carry-less multiplication each; each of these eight then steps by x^8, a byte
 * shift and one multiplication, once per batch. No block waits for its neighbour's tweak.
 *
 * Loads and stores are unaligned; each byte is loaded once and stored once. Input is prefetched
 * about 2 KiB ahead, also past the end, where a prefetch has no effect.
 */
#include <string.h>

#include "base/sector.h"
#include "crypt/aes_schedule.h"
#include "crypt/cpu.h"
#include "crypt/xts_engine.h"
#include "mem/secret.h"

#if defined(__x86_64__)

#include <immintrin.h>

#define TARGET __attribute__((target("sse4.1,aes,pclmul")))
#define INLINE static inline __attribute__((always_inline)) TARGET

#if defined(__clang__)
#define UNROLL
#else
#define UNROLL _Pragma("GCC unroll 16")
#endif

enum {
    BATCH_BLOCKS = 8,
    BATCH_BYTES = BATCH_BLOCKS * AES_BLOCK_BYTES,
    SECTOR_BATCHES = SECTOR_BYTES / BATCH_BYTES,
    GROUP_SECTORS = 4,
    PREFETCH_BYTES = 2048,
};

_Static_assert(GROUP_SECTORS *SECTOR_BATCHES > AES_ROUNDS, "a group hides the next one's tweaks");

/* x^128 = x^7 + x^2 + x + 1 */
INLINE __m128i reduction(void)
{
    return _mm_cvtsi32_si128(0x87);
}

/* value · x^8 */
INLINE __m128i times_x8(__m128i value)
{
    __m128i carry = _mm_clmulepi64_si128(_mm_srli_si128(value, 15), reduction(), 0x00);
    return _mm_xor_si128(_mm_slli_si128(value, 1), carry);
}

/* value · x^power, for a constant power of 1 to 7 */
INLINE __m128i times_x(__m128i value, int power)
{
    __m128i carry = _mm_srli_epi64(value, 64 - power);
    __m128i shifted = _mm_xor_si128(_mm_slli_epi64(value, power), _mm_slli_si128(carry, 8));
    return _mm_xor_si128(shifted, _mm_clmulepi64_si128(carry, reduction(), 0x01));
}

/* The tweaks of a group before encryption. */
INLINE void tweaks_start(struct xts_tweak first, __m128i tweak[GROUP_SECTORS])
{
    UNROLL
    for (int i = 0; i < GROUP_SECTORS; i++)
        tweak[i] = _mm_set_epi64x((long long)(first.high + (uint64_t)i), (long long)first.low);
}

/* One of the AES_ROUNDS + 1 steps in which the tweaks of a group are encrypted. */
INLINE void tweaks_step(const __m128i *key, int step, __m128i tweak[GROUP_SECTORS])
{
    UNROLL
    for (int i = 0; i < GROUP_SECTORS; i++) {
        if (step == 0)
            tweak[i] = _mm_xor_si128(tweak[i], key[0]);
        else if (step < AES_ROUNDS)
            tweak[i] = _mm_aesenc_si128(tweak[i], key[step]);
        else if (step == AES_ROUNDS)
            tweak[i] = _mm_aesenclast_si128(tweak[i], key[AES_ROUNDS]);
    }
}

INLINE void tweaks_of_blocks(__m128i tweak, __m128i block_tweak[BATCH_BLOCKS])
{
    block_tweak[0] = tweak;
    block_tweak[1] = times_x(tweak, 1);
    block_tweak[2] = times_x(tweak, 2);
    block_tweak[3] = times_x(tweak, 3);
    block_tweak[4] = times_x(tweak, 4);
    block_tweak[5] = times_x(tweak, 5);
    block_tweak[6] = times_x(tweak, 6);
    block_tweak[7] = times_x(tweak, 7);
}

/* One batch; leaves the tweaks of the batch after it in tweak. */
INLINE void crypt_batch(const __m128i *key, bool decrypt, __m128i tweak[BATCH_BLOCKS],
                        const uint8_t *source, uint8_t *destination)
{
    __m128i block[BATCH_BLOCKS];
    UNROLL
    for (int i = 0; i < BATCH_BLOCKS; i++) {
        block[i] = _mm_loadu_si128((const __m128i *)(source + AES_BLOCK_BYTES * i));
        block[i] = _mm_xor_si128(block[i], _mm_xor_si128(tweak[i], key[0]));
    }
    UNROLL
    for (int round = 1; round < AES_ROUNDS; round++) {
        UNROLL
        for (int i = 0; i < BATCH_BLOCKS; i++)
            block[i] = decrypt ? _mm_aesdec_si128(block[i], key[round])
                               : _mm_aesenc_si128(block[i], key[round]);
    }
    UNROLL
    for (int i = 0; i < BATCH_BLOCKS; i++) {
        __m128i last = _mm_xor_si128(tweak[i], key[AES_ROUNDS]);
        block[i] =
            decrypt ? _mm_aesdeclast_si128(block[i], last) : _mm_aesenclast_si128(block[i], last);
        _mm_storeu_si128((__m128i *)(destination + AES_BLOCK_BYTES * i), block[i]);
        tweak[i] = times_x8(tweak[i]);
    }
}

INLINE void prefetch_batch(const uint8_t *source)
{
    _mm_prefetch((const char *)source + PREFETCH_BYTES, _MM_HINT_T0);
    _mm_prefetch((const char *)source + PREFETCH_BYTES + BATCH_BYTES / 2, _MM_HINT_T0);
}

/* Up to a group of sectors under tweak; advances next, the tweaks of the group after it, from
 * plain to encrypted if the group is whole. */
INLINE void crypt_group(const __m128i *key, const __m128i *tweak_key, bool decrypt,
                        const __m128i tweak[GROUP_SECTORS], __m128i next[GROUP_SECTORS],
                        const uint8_t *source, uint8_t *destination, size_t sector_count)
{
    int step = 0;
    for (size_t i = 0; i < sector_count; i++) {
        __m128i block_tweak[BATCH_BLOCKS];
        tweaks_of_blocks(tweak[i], block_tweak);
        for (int batch = 0; batch < SECTOR_BATCHES; batch++) {
            prefetch_batch(source);
            crypt_batch(key, decrypt, block_tweak, source, destination);
            tweaks_step(tweak_key, step++, next);
            source += BATCH_BYTES;
            destination += BATCH_BYTES;
        }
    }
}

INLINE void crypt_sectors(const struct aes_schedule *schedule, const struct aes_schedule *tweaks,
                          bool decrypt, struct xts_tweak first, const uint8_t *source,
                          uint8_t *destination, size_t sector_count)
{
    const __m128i *key = (const __m128i *)schedule->round;
    const __m128i *tweak_key = (const __m128i *)tweaks->round;
    __m128i tweak[GROUP_SECTORS], next[GROUP_SECTORS];
    tweaks_start(first, next);
    for (int step = 0; step <= AES_ROUNDS; step++)
        tweaks_step(tweak_key, step, next);
    while (sector_count > 0) {
        size_t count = sector_count < GROUP_SECTORS ? sector_count : GROUP_SECTORS;
        memcpy(tweak, next, sizeof(tweak));
        first.high += GROUP_SECTORS;
        tweaks_start(first, next);
        crypt_group(key, tweak_key, decrypt, tweak, next, source, destination, count);
        source += sectors_to_bytes(count);
        destination += sectors_to_bytes(count);
        sector_count -= count;
    }
}

static TARGET void aesni_encrypt(void *opaque, struct xts_tweak tweak, const uint8_t *source,
                                 uint8_t *destination, size_t sector_count)
{
    const struct xts_schedules *state = opaque;
    crypt_sectors(&state->encrypt, &state->tweak, false, tweak, source, destination, sector_count);
}

static TARGET void aesni_decrypt(void *opaque, struct xts_tweak tweak, const uint8_t *source,
                                 uint8_t *destination, size_t sector_count)
{
    const struct xts_schedules *state = opaque;
    crypt_sectors(&state->decrypt, &state->tweak, true, tweak, source, destination, sector_count);
}

static int aesni_create(const uint8_t *data_key, const uint8_t *tweak_key, struct log *log,
                        void **out, struct error *error)
{
    return xts_schedules_create(cpu_lacks_for_aesni(), data_key, tweak_key, log, out, error);
}

const struct xts_engine xts_aesni_engine = {
    .name = "aesni",
    .kind = XTS_ENGINE_AESNI,
    .single_pass = true,
    .create = aesni_create,
    .destroy = secret_free,
    .encrypt = aesni_encrypt,
    .decrypt = aesni_decrypt,
};

#endif
