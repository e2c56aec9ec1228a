/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * AES-XTS engine for x86-64 with AES-NI, 128 bits wide.
 *
 * Design: one sector is 32 blocks, in four batches of eight that go through the rounds together,
 * which hides the latency of AESENC. A data unit of 512 bytes costs one tweak encryption, a serial
 * chain of 14 rounds; four of them are done together, and those of the next four sectors advance by
 * one round after each batch of the current four (16 batches for 14 rounds), so that only the first
 * four of a call are waited for.
 *
 * Block tweaks: the first eight of a sector come straight from the sector's encrypted tweak by
 * shifts and one carry-less multiplication each; each of these eight then steps by x^8, a byte
 * shift and one multiplication, once per batch. No block waits for its neighbour's tweak, and a
 * batch's are derived beside the rounds of the batch before, so that AES units do not idle.
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

_Static_assert(SECTOR_BATCHES == 4, "a sector is four batches");
_Static_assert(GROUP_SECTORS *SECTOR_BATCHES - 1 >= AES_ROUNDS,
               "the next group's tweaks are there before its first batch is prepared");

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

/* One of the AES_ROUNDS rounds in which the tweaks of a group are encrypted; nothing above that.
 * The first key alone is never put on known tweaks, which would give it away on the stack. */
INLINE void tweaks_round(const __m128i *key, int round, __m128i tweak[GROUP_SECTORS])
{
    AES_LOAD_ANEW(key);
    UNROLL
    for (int i = 0; i < GROUP_SECTORS; i++) {
        if (round == 1)
            tweak[i] = _mm_aesenc_si128(_mm_xor_si128(tweak[i], key[0]), key[1]);
        else if (round < AES_ROUNDS)
            tweak[i] = _mm_aesenc_si128(tweak[i], key[round]);
        else if (round == AES_ROUNDS)
            tweak[i] = _mm_aesenclast_si128(tweak[i], key[AES_ROUNDS]);
    }
}

/* One of the BATCH_BLOCKS steps to the block tweaks of a sector's first batch from its own. */
INLINE void derive_first(int step, __m128i sector, __m128i block_tweak[BATCH_BLOCKS])
{
    block_tweak[step] = step == 0 ? sector : times_x(sector, step);
}

INLINE void prefetch_batch(const uint8_t *source)
{
    _mm_prefetch((const char *)source + PREFETCH_BYTES, _MM_HINT_T0);
    _mm_prefetch((const char *)source + PREFETCH_BYTES + BATCH_BYTES / 2, _MM_HINT_T0);
}

/* One batch, and beside its rounds the tweaks of the batch after it: from its own tweaks, or where
 * that begins a sector, from the tweak of this one (else NULL). */
INLINE void crypt_batch(const __m128i *key, bool decrypt, const __m128i tweak[BATCH_BLOCKS],
                        const __m128i *next_sector, __m128i next_tweak[BATCH_BLOCKS],
                        const uint8_t *source, uint8_t *destination)
{
    __m128i block[BATCH_BLOCKS];
    AES_LOAD_ANEW(key);
    prefetch_batch(source);
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
        if (round <= BATCH_BLOCKS && next_sector)
            derive_first(round - 1, *next_sector, next_tweak);
        else if (round <= BATCH_BLOCKS)
            next_tweak[round - 1] = times_x8(tweak[round - 1]);
    }
    UNROLL
    for (int i = 0; i < BATCH_BLOCKS; i++) {
        __m128i last = _mm_xor_si128(tweak[i], key[AES_ROUNDS]);
        block[i] =
            decrypt ? _mm_aesdeclast_si128(block[i], last) : _mm_aesenclast_si128(block[i], last);
        _mm_storeu_si128((__m128i *)(destination + AES_BLOCK_BYTES * i), block[i]);
    }
}

/* One sector, of whose block tweaks the first batch's are there; leaves those of next_sector there.
 */
INLINE void crypt_sector(const __m128i *key, const __m128i *tweak_key, bool decrypt,
                         __m128i block_tweak[BATCH_BLOCKS], const __m128i *next_sector, int round,
                         __m128i next_group[GROUP_SECTORS], const uint8_t *source,
                         uint8_t *destination)
{
    __m128i other[BATCH_BLOCKS];
    crypt_batch(key, decrypt, block_tweak, NULL, other, source, destination);
    tweaks_round(tweak_key, round, next_group);
    crypt_batch(key, decrypt, other, NULL, block_tweak, source + BATCH_BYTES,
                destination + BATCH_BYTES);
    tweaks_round(tweak_key, round + 1, next_group);
    crypt_batch(key, decrypt, block_tweak, NULL, other, source + 2 * BATCH_BYTES,
                destination + 2 * BATCH_BYTES);
    tweaks_round(tweak_key, round + 2, next_group);
    crypt_batch(key, decrypt, other, next_sector, block_tweak, source + 3 * BATCH_BYTES,
                destination + 3 * BATCH_BYTES);
    tweaks_round(tweak_key, round + 3, next_group);
}

/*
 * Up to a group of sectors. sector_tweak has theirs, encrypted, and behind them those of the group
 * after it, not encrypted, which are if this group is whole. block_tweak has
 * those of the first batch, and in the end those of the first batch after this group.
 */
INLINE void crypt_group(const __m128i *key, const __m128i *tweak_key, bool decrypt,
                        __m128i sector_tweak[2 * GROUP_SECTORS], __m128i block_tweak[BATCH_BLOCKS],
                        const uint8_t *source, uint8_t *destination, size_t sector_count)
{
    int round = sector_count == GROUP_SECTORS ? 1 : AES_ROUNDS + 1;
    for (size_t i = 0; i < sector_count; i++) {
        crypt_sector(key, tweak_key, decrypt, block_tweak, &sector_tweak[i + 1], round,
                     sector_tweak + GROUP_SECTORS, source, destination);
        round += SECTOR_BATCHES;
        source += SECTOR_BYTES;
        destination += SECTOR_BYTES;
    }
}

INLINE void crypt_sectors(const struct aes_schedule *schedule, const struct aes_schedule *tweaks,
                          bool decrypt, struct xts_tweak first, const uint8_t *source,
                          uint8_t *destination, size_t sector_count)
{
    const __m128i *key = (const __m128i *)schedule->round;
    const __m128i *tweak_key = (const __m128i *)tweaks->round;
    __m128i sector_tweak[2 * GROUP_SECTORS], block_tweak[BATCH_BLOCKS];
    __m128i *next = sector_tweak + GROUP_SECTORS;
    tweaks_start(first, next);
    for (int round = 1; round <= AES_ROUNDS; round++)
        tweaks_round(tweak_key, round, next);
    UNROLL
    for (int step = 0; step < BATCH_BLOCKS; step++)
        derive_first(step, next[0], block_tweak);
    while (sector_count > 0) {
        size_t count = sector_count < GROUP_SECTORS ? sector_count : GROUP_SECTORS;
        memcpy(sector_tweak, next, GROUP_SECTORS * sizeof(*next));
        first.high += GROUP_SECTORS;
        tweaks_start(first, next);
        crypt_group(key, tweak_key, decrypt, sector_tweak, block_tweak, source, destination, count);
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
