/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * AES-XTS engine for x86-64 with VAES and AVX2, 256 bits wide.
 *
 * Design: a register holds two blocks, so one sector is two batches of eight registers that go
 * through the rounds together. Eight is as many as it takes to keep two AES units of latency four
 * busy, so nothing else may come between two batches. All other work for a batch is done beside the
 * rounds of those before it:
 *
 * Sector tweaks: those of four sectors fit two registers and are encrypted at once, by two rounds
 * beside each batch of the four sectors before them (eight batches for 14 rounds).
 *
 * Block tweaks: the first four registers of a sector come from its encrypted tweak by shifts whose
 * width differs per block, the next four from these by a shift of one byte (x^8), and the second
 * batch's from the first batch's by two bytes (x^16). Each costs one carry-less multiplication, and
 * is derived beside one round of the batch before.
 *
 * What is left between this and the limit on AMD's Zen 3 are these multiplications, of four
 * operations each, and shifts: they share ports with AES.
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
    BATCH_TWEAK_ROUNDS = 2,
    SECTOR_TWEAK_ROUNDS = BATCH_TWEAK_ROUNDS * SECTOR_BYTES / BATCH_BYTES,
    PREFETCH_BYTES = 2048,
    CACHE_LINE_BYTES = 64,
};

_Static_assert(SECTOR_BYTES == 2 * BATCH_BYTES, "a sector is two batches");
_Static_assert(GROUP_SECTORS *SECTOR_TWEAK_ROUNDS - BATCH_TWEAK_ROUNDS >= AES_ROUNDS,
               "the next group's tweaks are there before its first batch is prepared");

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

/* The tweaks of a group before encryption. */
INLINE struct group_tweaks tweaks_start(struct xts_tweak first)
{
    long long low = (long long)first.low, high = (long long)first.high;
    __m256i all = _mm256_set_epi64x(high, low, high, low);
    return (struct group_tweaks){{_mm256_add_epi64(all, _mm256_set_epi64x(1, 0, 0, 0)),
                                  _mm256_add_epi64(all, _mm256_set_epi64x(3, 0, 2, 0))}};
}

INLINE __m256i tweaks_round_half(const struct aes_schedule *schedule, int round, __m256i tweaks)
{
    if (round == 1)
        tweaks = _mm256_xor_si256(tweaks, round_key(schedule, 0));
    if (round < AES_ROUNDS)
        return _mm256_aesenc_epi128(tweaks, round_key(schedule, round));
    if (round == AES_ROUNDS)
        return _mm256_aesenclast_epi128(tweaks, round_key(schedule, AES_ROUNDS));
    return tweaks;
}

/* One of the AES_ROUNDS rounds in which the tweaks of a group are encrypted; nothing above that.
 * The first key alone is never put on known tweaks, which would give it away on the stack. */
INLINE void tweaks_round(const struct aes_schedule *schedule, int round,
                         struct group_tweaks *tweaks)
{
    tweaks->half[0] = tweaks_round_half(schedule, round, tweaks->half[0]);
    tweaks->half[1] = tweaks_round_half(schedule, round, tweaks->half[1]);
}

/* The tweak of one sector of the group in two copies; index is constant. */
INLINE __m256i tweak_of(const struct group_tweaks *group, int index)
{
    __m256i half = group->half[index / 2];
    return index % 2 == 0 ? _mm256_permute2x128_si256(half, half, 0x00)
                          : _mm256_permute2x128_si256(half, half, 0x11);
}

/* Drops the tweak of the group's first sector. */
INLINE void move_up(struct group_tweaks *group)
{
    group->half[0] = _mm256_permute2x128_si256(group->half[0], group->half[1], 0x21);
    group->half[1] = _mm256_permute2x128_si256(group->half[1], group->half[1], 0x11);
}

/* One of the BATCH_VECTORS steps to the block tweaks of a sector's first half, from its own tweak
 * in two copies. */
INLINE void derive_first(int step, __m256i sector, __m256i block_tweak[BATCH_VECTORS])
{
    if (step < BATCH_VECTORS / 2)
        block_tweak[step] = times_x_each(sector, 2 * step);
    else
        block_tweak[step] = TIMES_X8(block_tweak[step - BATCH_VECTORS / 2], 1);
}

enum derivation { DERIVE_NOTHING, DERIVE_FIRST_HALF, DERIVE_SECOND_HALF };

/* What is done beside the rounds of a batch; which of it is constant. */
struct beside {
    enum derivation derivation;
    const struct group_tweaks *sector_group; /* DERIVE_FIRST_HALF: where the sector's tweak is */
    int sector_index;
    __m256i *block_tweak; /* that are derived */
    const struct aes_schedule *tweaks;
    int tweak_round; /* the first of BATCH_TWEAK_ROUNDS; none above AES_ROUNDS */
    struct group_tweaks *group;
};

/* The share of one round, from 1 on, of a batch with these block tweaks. */
INLINE void do_beside(const struct beside *beside, int round,
                      const __m256i block_tweak[BATCH_VECTORS])
{
    int step = round - 1;
    if (step >= BATCH_VECTORS) {
        if (step % 2 == 0 && step < BATCH_VECTORS + 2 * BATCH_TWEAK_ROUNDS)
            tweaks_round(beside->tweaks, beside->tweak_round + (step - BATCH_VECTORS) / 2,
                         beside->group);
    } else if (beside->derivation == DERIVE_FIRST_HALF) {
        derive_first(step, tweak_of(beside->sector_group, beside->sector_index),
                     beside->block_tweak);
    } else if (beside->derivation == DERIVE_SECOND_HALF) {
        beside->block_tweak[step] = TIMES_X8(block_tweak[step], 2);
    }
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
                        const __m256i block_tweak[BATCH_VECTORS], const struct beside *beside,
                        const uint8_t *source, uint8_t *destination)
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
        do_beside(beside, round, block_tweak);
    }
    key = round_key(schedule, AES_ROUNDS);
    UNROLL
    for (int i = 0; i < BATCH_VECTORS; i++) {
        block[i] = cipher_last(block[i], _mm256_xor_si256(key, block_tweak[i]), decrypt);
        _mm256_storeu_si256((__m256i *)(destination + VECTOR_BYTES * i), block[i]);
    }
}

/* One sector, of whose block tweaks the first half is there. What is done beside its second batch
 * is given; its first one does a share of the same tweak rounds before that. */
INLINE void crypt_sector(const struct aes_schedule *schedule, bool decrypt,
                         __m256i first_half[BATCH_VECTORS], struct beside beside,
                         const uint8_t *source, uint8_t *destination)
{
    __m256i second_half[BATCH_VECTORS];
    struct beside beside_first = beside;
    beside_first.derivation = DERIVE_SECOND_HALF;
    beside_first.block_tweak = second_half;
    crypt_batch(schedule, decrypt, first_half, &beside_first, source, destination);
    beside.tweak_round += BATCH_TWEAK_ROUNDS;
    crypt_batch(schedule, decrypt, second_half, &beside, source + BATCH_BYTES,
                destination + BATCH_BYTES);
}

/* A whole group, of whose first sector the first half's block tweaks are there; leaves those of the
 * sector after it there, and in *group the tweaks of the group after it. */
INLINE void crypt_group(const struct aes_schedule *schedule, const struct aes_schedule *tweaks,
                        bool decrypt, struct xts_tweak after, struct group_tweaks *group,
                        __m256i first_half[BATCH_VECTORS], const uint8_t *source,
                        uint8_t *destination)
{
    struct group_tweaks next = tweaks_start(after);
    UNROLL
    for (int i = 0; i < GROUP_SECTORS; i++) {
        AES_LOAD_ANEW(schedule);
        AES_LOAD_ANEW(tweaks);
        bool last = i + 1 == GROUP_SECTORS;
        struct beside beside = {
            .derivation = DERIVE_FIRST_HALF,
            .sector_group = last ? &next : group,
            .sector_index = last ? 0 : i + 1,
            .block_tweak = first_half,
            .tweaks = tweaks,
            .tweak_round = 1 + i * SECTOR_TWEAK_ROUNDS,
            .group = &next,
        };
        crypt_sector(schedule, decrypt, first_half, beside, source + i * SECTOR_BYTES,
                     destination + i * SECTOR_BYTES);
    }
    *group = next;
}

INLINE void crypt_sectors(const struct aes_schedule *schedule, const struct aes_schedule *tweaks,
                          bool decrypt, struct xts_tweak first, const uint8_t *source,
                          uint8_t *destination, size_t sector_count)
{
    __m256i first_half[BATCH_VECTORS];
    struct group_tweaks group = tweaks_start(first);
    UNROLL
    for (int round = 1; round <= AES_ROUNDS; round++)
        tweaks_round(tweaks, round, &group);
    UNROLL
    for (int step = 0; step < BATCH_VECTORS; step++)
        derive_first(step, tweak_of(&group, 0), first_half);
    for (; sector_count >= GROUP_SECTORS; sector_count -= GROUP_SECTORS) {
        first.high += GROUP_SECTORS;
        crypt_group(schedule, tweaks, decrypt, first, &group, first_half, source, destination);
        source += GROUP_SECTORS * SECTOR_BYTES;
        destination += GROUP_SECTORS * SECTOR_BYTES;
    }
    while (sector_count > 0) {
        struct beside nothing = {
            .derivation = DERIVE_NOTHING,
            .tweaks = tweaks,
            .tweak_round = AES_ROUNDS + 1,
            .group = &group,
        };
        AES_LOAD_ANEW(schedule);
        crypt_sector(schedule, decrypt, first_half, nothing, source, destination);
        if (--sector_count == 0)
            break;
        move_up(&group);
        UNROLL
        for (int step = 0; step < BATCH_VECTORS; step++)
            derive_first(step, tweak_of(&group, 0), first_half);
        source += SECTOR_BYTES;
        destination += SECTOR_BYTES;
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
