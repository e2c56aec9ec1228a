/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * AES-XTS engine for x86-64 with VAES and AVX-512, 512 bits wide.
 *
 * Design: a register holds four blocks, so one sector is eight registers, and all of it goes
 * through the rounds together. The tweaks of four sectors fit one register and are encrypted at
 * once; those of the next four advance by four rounds while each of the current four sectors is
 * worked on, a quarter of a sector's data rounds apart.
 *
 * Block tweaks: the first two registers of a sector come from its encrypted tweak by shifts whose
 * width differs per block, the others from these two by shifts of whole bytes (x^8, x^16, x^24).
 * Each costs one carry-less multiplication, and no chain is longer than two. Byte shifts and
 * multiplications use an execution port that AES leaves free.
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

#define TARGET                                                                                     \
    __attribute__((target("sse4.1,aes,pclmul,avx2,vaes,vpclmulqdq,avx512f,avx512bw,avx512dq,"      \
                          "avx512vl")))
#define INLINE static inline __attribute__((always_inline)) TARGET

#if defined(__clang__)
#define UNROLL
#else
#define UNROLL _Pragma("GCC unroll 16")
#endif

enum {
    VECTOR_BYTES = 64,
    SECTOR_VECTORS = SECTOR_BYTES / VECTOR_BYTES,
    GROUP_SECTORS = 4,
    SECTOR_TWEAK_STEPS = 4,
    PREFETCH_BYTES = 2048,
};

_Static_assert(GROUP_SECTORS *SECTOR_TWEAK_STEPS > AES_ROUNDS, "a group hides the next's tweaks");

INLINE __m512i round_key(const struct aes_schedule *schedule, int round)
{
    return _mm512_broadcast_i32x4(_mm_load_si128((const __m128i *)schedule->round[round]));
}

/* x^128 = x^7 + x^2 + x + 1 */
INLINE __m512i reduction(void)
{
    return _mm512_set1_epi64(0x87);
}

/* Each block of a sector's tweak in four copies, times x^first … x^(first + 3); first is 0 or 4. */
INLINE __m512i times_x_each(__m512i tweak, long long first)
{
    __m512i left = _mm512_set_epi64(first + 3, first + 3, first + 2, first + 2, first + 1,
                                    first + 1, first, first);
    __m512i right = _mm512_sub_epi64(_mm512_set1_epi64(64), left);
    __m512i carry = _mm512_srlv_epi64(tweak, right);
    __m512i reduced = _mm512_clmulepi64_epi128(carry, reduction(), 0x01);
    return _mm512_ternarylogic_epi64(_mm512_sllv_epi64(tweak, left), reduced,
                                     _mm512_bslli_epi128(carry, 8), 0x96);
}

/* value · x^(8 · bytes), for a constant number of bytes */
#define TIMES_X8(value, bytes)                                                                     \
    _mm512_xor_si512(                                                                              \
        _mm512_bslli_epi128(value, bytes),                                                         \
        _mm512_clmulepi64_epi128(_mm512_bsrli_epi128(value, 16 - (bytes)), reduction(), 0x00))

/* The tweaks of all blocks of a sector from its own in four copies. */
INLINE void tweaks_of_blocks(__m512i tweak, __m512i block_tweak[SECTOR_VECTORS])
{
    block_tweak[0] = times_x_each(tweak, 0);
    block_tweak[1] = times_x_each(tweak, 4);
    block_tweak[2] = TIMES_X8(block_tweak[0], 1);
    block_tweak[3] = TIMES_X8(block_tweak[1], 1);
    block_tweak[4] = TIMES_X8(block_tweak[0], 2);
    block_tweak[5] = TIMES_X8(block_tweak[1], 2);
    block_tweak[6] = TIMES_X8(block_tweak[0], 3);
    block_tweak[7] = TIMES_X8(block_tweak[1], 3);
}

/* The tweaks of a group before encryption. */
INLINE __m512i tweaks_start(struct xts_tweak first)
{
    long long low = (long long)first.low, high = (long long)first.high;
    __m512i all = _mm512_set_epi64(high, low, high, low, high, low, high, low);
    return _mm512_add_epi64(all, _mm512_set_epi64(3, 0, 2, 0, 1, 0, 0, 0));
}

/* One of the AES_ROUNDS + 1 steps in which the tweaks of a group are encrypted. */
INLINE __m512i tweaks_step(const struct aes_schedule *schedule, int step, __m512i tweaks)
{
    if (step == 0)
        return _mm512_xor_si512(tweaks, round_key(schedule, 0));
    if (step < AES_ROUNDS)
        return _mm512_aesenc_epi128(tweaks, round_key(schedule, step));
    if (step == AES_ROUNDS)
        return _mm512_aesenclast_epi128(tweaks, round_key(schedule, AES_ROUNDS));
    return tweaks;
}

INLINE __m512i cipher_round(__m512i block, __m512i key, bool decrypt)
{
    return decrypt ? _mm512_aesdec_epi128(block, key) : _mm512_aesenc_epi128(block, key);
}

INLINE __m512i cipher_last(__m512i block, __m512i key, bool decrypt)
{
    return decrypt ? _mm512_aesdeclast_epi128(block, key) : _mm512_aesenclast_epi128(block, key);
}

/* One sector, number index of its group. Returns next after SECTOR_TWEAK_STEPS more steps. */
INLINE __m512i crypt_sector(const struct aes_schedule *schedule, const struct aes_schedule *tweaks,
                            bool decrypt, __m512i tweak, int index, __m512i next,
                            const uint8_t *source, uint8_t *destination)
{
    __m512i block_tweak[SECTOR_VECTORS], block[SECTOR_VECTORS];
    tweaks_of_blocks(tweak, block_tweak);
    UNROLL
    for (int i = 0; i < SECTOR_VECTORS; i++) {
        _mm_prefetch((const char *)source + PREFETCH_BYTES + VECTOR_BYTES * i, _MM_HINT_T0);
        block[i] = _mm512_ternarylogic_epi64(_mm512_loadu_si512(source + VECTOR_BYTES * i),
                                             block_tweak[i], round_key(schedule, 0), 0x96);
    }
    UNROLL
    for (int round = 1; round < AES_ROUNDS; round++) {
        __m512i key = round_key(schedule, round);
        UNROLL
        for (int i = 0; i < SECTOR_VECTORS; i++)
            block[i] = cipher_round(block[i], key, decrypt);
        if (round % 3 == 1 && round / 3 < SECTOR_TWEAK_STEPS)
            next = tweaks_step(tweaks, index * SECTOR_TWEAK_STEPS + round / 3, next);
    }
    __m512i key = round_key(schedule, AES_ROUNDS);
    UNROLL
    for (int i = 0; i < SECTOR_VECTORS; i++) {
        block[i] = cipher_last(block[i], _mm512_xor_si512(key, block_tweak[i]), decrypt);
        _mm512_storeu_si512(destination + VECTOR_BYTES * i, block[i]);
    }
    return next;
}

/* The tweak of one sector of the group in four copies; index is constant. */
#define TWEAK_OF(group, index) _mm512_shuffle_i64x2(group, group, (index)*0x55)

INLINE __m512i crypt_nth(const struct aes_schedule *schedule, const struct aes_schedule *tweaks,
                         bool decrypt, __m512i tweak, int index, __m512i next,
                         const uint8_t *source, uint8_t *destination)
{
    return crypt_sector(schedule, tweaks, decrypt, tweak, index, next,
                        source + SECTOR_BYTES * index, destination + SECTOR_BYTES * index);
}

INLINE void crypt_sectors(const struct aes_schedule *schedule, const struct aes_schedule *tweaks,
                          bool decrypt, struct xts_tweak first, const uint8_t *source,
                          uint8_t *destination, size_t sector_count)
{
    __m512i next = tweaks_start(first);
    UNROLL
    for (int step = 0; step <= AES_ROUNDS; step++)
        next = tweaks_step(tweaks, step, next);
    while (sector_count >= GROUP_SECTORS) {
        __m512i group = next;
        first.high += GROUP_SECTORS;
        next = tweaks_start(first);
        next =
            crypt_nth(schedule, tweaks, decrypt, TWEAK_OF(group, 0), 0, next, source, destination);
        next =
            crypt_nth(schedule, tweaks, decrypt, TWEAK_OF(group, 1), 1, next, source, destination);
        next =
            crypt_nth(schedule, tweaks, decrypt, TWEAK_OF(group, 2), 2, next, source, destination);
        next =
            crypt_nth(schedule, tweaks, decrypt, TWEAK_OF(group, 3), 3, next, source, destination);
        source += GROUP_SECTORS * SECTOR_BYTES;
        destination += GROUP_SECTORS * SECTOR_BYTES;
        sector_count -= GROUP_SECTORS;
    }
    for (; sector_count > 0; sector_count--) {
        crypt_sector(schedule, tweaks, decrypt, TWEAK_OF(next, 0), GROUP_SECTORS, next, source,
                     destination);
        next = _mm512_shuffle_i64x2(next, next, 0x39);
        source += SECTOR_BYTES;
        destination += SECTOR_BYTES;
    }
}

static TARGET void vaes512_encrypt(void *state, struct xts_tweak tweak, const uint8_t *source,
                                   uint8_t *destination, size_t sector_count)
{
    const struct xts_schedules *schedules = state;
    crypt_sectors(&schedules->encrypt, &schedules->tweak, false, tweak, source, destination,
                  sector_count);
}

static TARGET void vaes512_decrypt(void *state, struct xts_tweak tweak, const uint8_t *source,
                                   uint8_t *destination, size_t sector_count)
{
    const struct xts_schedules *schedules = state;
    crypt_sectors(&schedules->decrypt, &schedules->tweak, true, tweak, source, destination,
                  sector_count);
}

static int vaes512_create(const uint8_t *data_key, const uint8_t *tweak_key, struct log *log,
                          void **out, struct error *error)
{
    return xts_schedules_create(cpu_lacks_for_vaes512(), data_key, tweak_key, log, out, error);
}

const struct xts_engine xts_vaes512_engine = {
    .name = "vaes512",
    .kind = XTS_ENGINE_VAES512,
    .single_pass = true,
    .create = vaes512_create,
    .destroy = secret_free,
    .encrypt = vaes512_encrypt,
    .decrypt = vaes512_decrypt,
};

#endif
