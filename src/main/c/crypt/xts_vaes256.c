/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * AES-XTS engine for x86-64 with VAES and AVX2, 256 bits wide.
 *
 * Design: a register holds two blocks, so one sector is two batches of eight registers that go
 * through the rounds together. The tweaks of four sectors fit two registers and are encrypted at
 * once; those of the next four advance by two rounds during each batch of the current four sectors
 * (eight batches for 15 steps).
 *
 * Block tweaks: the first four registers of a sector come from its encrypted tweak by shifts whose
 * width differs per block, the next four from these by a shift of one byte (x^8), and the second
 * batch's from the first batch's by two bytes (x^16). Each costs one carry-less multiplication.
 *
 * Loads and stores are unaligned; each byte is loaded once and stored once. Input is prefetched
 * about 2 KiB ahead, also past the end, where a prefetch has no effect.
 */
#include "base/sector.h"
#include "crypt/aes_schedule.h"
#include "crypt/cpu.h"
#include "crypt/xts_engine.h"
#include "mem/secret.h"

#if defined(__x86_64__)

#include <immintrin.h>

#define TARGET __attribute__((target("sse4.1,aes,pclmul,avx2,vaes,vpclmulqdq")))
#define INLINE static inline __attribute__((always_inline)) TARGET

#if defined(__clang__)
#define UNROLL
#else
#define UNROLL _Pragma("GCC unroll 16")
#endif

enum {
    VECTOR_BYTES = 32,
    BATCH_VECTORS = 8,
    BATCH_BYTES = BATCH_VECTORS * VECTOR_BYTES,
    GROUP_SECTORS = 4,
    BATCH_TWEAK_STEPS = 2,
    SECTOR_TWEAK_STEPS = BATCH_TWEAK_STEPS * SECTOR_BYTES / BATCH_BYTES,
    PREFETCH_BYTES = 2048,
    CACHE_LINE_BYTES = 64,
};

_Static_assert(SECTOR_BYTES == 2 * BATCH_BYTES, "a sector is two batches");
_Static_assert(GROUP_SECTORS *SECTOR_TWEAK_STEPS > AES_ROUNDS, "a group hides the next's tweaks");

/* The tweaks of four sectors, two in each half. */
struct group_tweaks {
    __m256i half[2];
};

INLINE __m256i round_key(const struct aes_schedule *schedule, int round)
{
    return _mm256_broadcastsi128_si256(_mm_load_si128((const __m128i *)schedule->round[round]));
}

/* x^128 = x^7 + x^2 + x + 1 */
INLINE __m256i reduction(void)
{
    return _mm256_set1_epi64x(0x87);
}

/* A sector's tweak in two copies, times x^first and x^(first + 1); first is 0, 2, 4 or 6. */
INLINE __m256i times_x_each(__m256i tweak, long long first)
{
    __m256i left = _mm256_set_epi64x(first + 1, first + 1, first, first);
    __m256i right = _mm256_sub_epi64(_mm256_set1_epi64x(64), left);
    __m256i carry = _mm256_srlv_epi64(tweak, right);
    __m256i reduced = _mm256_clmulepi64_epi128(carry, reduction(), 0x01);
    __m256i shifted =
        _mm256_xor_si256(_mm256_sllv_epi64(tweak, left), _mm256_bslli_epi128(carry, 8));
    return _mm256_xor_si256(shifted, reduced);
}

/* value · x^(8 · bytes), for a constant number of bytes */
#define TIMES_X8(value, bytes)                                                                     \
    _mm256_xor_si256(                                                                              \
        _mm256_bslli_epi128(value, bytes),                                                         \
        _mm256_clmulepi64_epi128(_mm256_bsrli_epi128(value, 16 - (bytes)), reduction(), 0x00))

/* The tweaks of the first half of a sector from its own in two copies. */
INLINE void tweaks_of_blocks(__m256i tweak, __m256i block_tweak[BATCH_VECTORS])
{
    block_tweak[0] = times_x_each(tweak, 0);
    block_tweak[1] = times_x_each(tweak, 2);
    block_tweak[2] = times_x_each(tweak, 4);
    block_tweak[3] = times_x_each(tweak, 6);
    UNROLL
    for (int i = 0; i < BATCH_VECTORS / 2; i++)
        block_tweak[BATCH_VECTORS / 2 + i] = TIMES_X8(block_tweak[i], 1);
}

/* The tweaks of a group before encryption. */
INLINE struct group_tweaks tweaks_start(struct xts_tweak first)
{
    long long low = (long long)first.low, high = (long long)first.high;
    __m256i all = _mm256_set_epi64x(high, low, high, low);
    return (struct group_tweaks){{_mm256_add_epi64(all, _mm256_set_epi64x(1, 0, 0, 0)),
                                  _mm256_add_epi64(all, _mm256_set_epi64x(3, 0, 2, 0))}};
}

INLINE __m256i tweaks_step_half(const struct aes_schedule *schedule, int step, __m256i tweaks)
{
    if (step == 0)
        return _mm256_xor_si256(tweaks, round_key(schedule, 0));
    if (step < AES_ROUNDS)
        return _mm256_aesenc_epi128(tweaks, round_key(schedule, step));
    if (step == AES_ROUNDS)
        return _mm256_aesenclast_epi128(tweaks, round_key(schedule, AES_ROUNDS));
    return tweaks;
}

/* One of the AES_ROUNDS + 1 steps in which the tweaks of a group are encrypted. */
INLINE void tweaks_step(const struct aes_schedule *schedule, int step, struct group_tweaks *tweaks)
{
    tweaks->half[0] = tweaks_step_half(schedule, step, tweaks->half[0]);
    tweaks->half[1] = tweaks_step_half(schedule, step, tweaks->half[1]);
}

INLINE __m256i cipher_round(__m256i block, __m256i key, bool decrypt)
{
    return decrypt ? _mm256_aesdec_epi128(block, key) : _mm256_aesenc_epi128(block, key);
}

INLINE __m256i cipher_last(__m256i block, __m256i key, bool decrypt)
{
    return decrypt ? _mm256_aesdeclast_epi128(block, key) : _mm256_aesenclast_epi128(block, key);
}

INLINE void crypt_batch(const struct aes_schedule *schedule, bool decrypt,
                        const __m256i block_tweak[BATCH_VECTORS], const uint8_t *source,
                        uint8_t *destination)
{
    __m256i block[BATCH_VECTORS];
    for (int at = 0; at < BATCH_BYTES; at += CACHE_LINE_BYTES)
        _mm_prefetch((const char *)source + PREFETCH_BYTES + at, _MM_HINT_T0);
    __m256i key = round_key(schedule, 0);
    UNROLL
    for (int i = 0; i < BATCH_VECTORS; i++) {
        block[i] = _mm256_loadu_si256((const __m256i *)(source + VECTOR_BYTES * i));
        block[i] = _mm256_xor_si256(block[i], _mm256_xor_si256(block_tweak[i], key));
    }
    UNROLL
    for (int round = 1; round < AES_ROUNDS; round++) {
        key = round_key(schedule, round);
        UNROLL
        for (int i = 0; i < BATCH_VECTORS; i++)
            block[i] = cipher_round(block[i], key, decrypt);
    }
    key = round_key(schedule, AES_ROUNDS);
    UNROLL
    for (int i = 0; i < BATCH_VECTORS; i++) {
        block[i] = cipher_last(block[i], _mm256_xor_si256(key, block_tweak[i]), decrypt);
        _mm256_storeu_si256((__m256i *)(destination + VECTOR_BYTES * i), block[i]);
    }
}

/* One sector under its tweak in two copies; takes next SECTOR_TWEAK_STEPS further from step on. */
INLINE void crypt_sector(const struct aes_schedule *schedule, const struct aes_schedule *tweaks,
                         bool decrypt, __m256i tweak, int step, struct group_tweaks *next,
                         const uint8_t *source, uint8_t *destination)
{
    __m256i block_tweak[BATCH_VECTORS];
    tweaks_of_blocks(tweak, block_tweak);
    crypt_batch(schedule, decrypt, block_tweak, source, destination);
    tweaks_step(tweaks, step, next);
    tweaks_step(tweaks, step + 1, next);
    UNROLL
    for (int i = 0; i < BATCH_VECTORS; i++)
        block_tweak[i] = TIMES_X8(block_tweak[i], 2);
    crypt_batch(schedule, decrypt, block_tweak, source + BATCH_BYTES, destination + BATCH_BYTES);
    tweaks_step(tweaks, step + 2, next);
    tweaks_step(tweaks, step + 3, next);
}

/* The tweak of one sector of the group in two copies. */
INLINE __m256i tweak_of(const struct group_tweaks *group, int index)
{
    __m256i half = group->half[index / 2];
    return index % 2 == 0 ? _mm256_permute2x128_si256(half, half, 0x00)
                          : _mm256_permute2x128_si256(half, half, 0x11);
}

INLINE void crypt_sectors(const struct aes_schedule *schedule, const struct aes_schedule *tweaks,
                          bool decrypt, struct xts_tweak first, const uint8_t *source,
                          uint8_t *destination, size_t sector_count)
{
    struct group_tweaks next = tweaks_start(first);
    UNROLL
    for (int step = 0; step <= AES_ROUNDS; step++)
        tweaks_step(tweaks, step, &next);
    while (sector_count > 0) {
        int count = sector_count < GROUP_SECTORS ? (int)sector_count : GROUP_SECTORS;
        struct group_tweaks group = next;
        first.high += GROUP_SECTORS;
        next = tweaks_start(first);
        for (int i = 0; i < count; i++) {
            crypt_sector(schedule, tweaks, decrypt, tweak_of(&group, i), i * SECTOR_TWEAK_STEPS,
                         &next, source, destination);
            source += SECTOR_BYTES;
            destination += SECTOR_BYTES;
        }
        sector_count -= (size_t)count;
    }
}

static TARGET void vaes256_encrypt(void *state, struct xts_tweak tweak, const uint8_t *source,
                                   uint8_t *destination, size_t sector_count)
{
    const struct xts_schedules *schedules = state;
    crypt_sectors(&schedules->encrypt, &schedules->tweak, false, tweak, source, destination,
                  sector_count);
}

static TARGET void vaes256_decrypt(void *state, struct xts_tweak tweak, const uint8_t *source,
                                   uint8_t *destination, size_t sector_count)
{
    const struct xts_schedules *schedules = state;
    crypt_sectors(&schedules->decrypt, &schedules->tweak, true, tweak, source, destination,
                  sector_count);
}

static int vaes256_create(const uint8_t *data_key, const uint8_t *tweak_key, struct log *log,
                          void **out, struct error *error)
{
    return xts_schedules_create(cpu_lacks_for_vaes256(), data_key, tweak_key, log, out, error);
}

const struct xts_engine xts_vaes256_engine = {
    .name = "vaes256",
    .kind = XTS_ENGINE_VAES256,
    .single_pass = true,
    .create = vaes256_create,
    .destroy = secret_free,
    .encrypt = vaes256_encrypt,
    .decrypt = vaes256_decrypt,
};

#endif
