/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Self-test of an AES-XTS engine.
 *
 * Known answers: the keys are 00…1f and 80…9f, every plain byte is its offset in the sector modulo
 * 256, the low half of the tweak is zero, and of each sector the first and the last block are
 * known. A wrong block tweak shows in the last one, as it depends on every doubling before. Each
 * known sector stands in the middle of a run, so that engines that work on groups of sectors are
 * asked for whole and for partial groups.
 */
#include "xts_selftest.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/error.h"
#include "base/sector.h"

enum { RUN_SECTORS = 7, RUN_LEAD = 5, COMPARE_SECTORS = 19 };

enum { RUN_BYTES = RUN_SECTORS * SECTOR_BYTES, COMPARE_BYTES = COMPARE_SECTORS * SECTOR_BYTES };

struct known_answer {
    uint64_t high; /* half of the tweak */
    uint8_t first[XTS_BLOCK_BYTES];
    uint8_t last[XTS_BLOCK_BYTES];
};

static const struct known_answer known_answers[] = {
    {0,
     {0xf9, 0x40, 0x70, 0xcc, 0x27, 0x84, 0x05, 0xc2, 0x97, 0xea, 0xb3, 0xef, 0xa7, 0x2b, 0x0a,
      0x96},
     {0x36, 0xe1, 0xd3, 0x7c, 0xaf, 0x05, 0x63, 0xc0, 0xc4, 0xa5, 0x55, 0xf2, 0xd5, 0x60, 0x4e,
      0x1c}},
    {0x1,
     {0xde, 0xf1, 0x54, 0x87, 0x3e, 0x52, 0x7d, 0xdf, 0x32, 0x21, 0x41, 0x3e, 0xd6, 0xfe, 0x6a,
      0xac},
     {0x43, 0x6b, 0x2d, 0x8c, 0xc4, 0xb1, 0x5d, 0xd3, 0xc1, 0x43, 0x7f, 0x79, 0xbe, 0x80, 0x5d,
      0x1c}},
    {0x7ff,
     {0xfe, 0x51, 0x6c, 0x58, 0x85, 0xdf, 0x3c, 0xef, 0xeb, 0xd4, 0x58, 0x8d, 0x59, 0x25, 0x63,
      0x60},
     {0xd6, 0xba, 0x0a, 0x2c, 0x35, 0x0e, 0xca, 0xc2, 0x85, 0x5f, 0x29, 0x24, 0x5d, 0x13, 0x69,
      0x0b}},
    {0x800,
     {0xc9, 0xfd, 0xcc, 0xa5, 0xb8, 0x67, 0xfe, 0xb3, 0x7b, 0xd1, 0xa6, 0xec, 0xc9, 0xa3, 0x91,
      0x67},
     {0xad, 0x13, 0x19, 0x69, 0x57, 0x07, 0x63, 0xb4, 0xc2, 0x19, 0x67, 0xd8, 0xb0, 0x4e, 0x8e,
      0xba}},
    {0x100000000,
     {0xb2, 0xb6, 0x97, 0x4d, 0xd5, 0x72, 0x85, 0x03, 0xbc, 0x68, 0x1b, 0x8e, 0x42, 0xbe, 0x90,
      0x0d},
     {0x33, 0x83, 0x58, 0x9d, 0xac, 0xa7, 0x06, 0x99, 0xdc, 0x17, 0x5d, 0x0d, 0x9b, 0xb3, 0x5b,
      0x2f}},
    {0x1122334455667788,
     {0x73, 0x05, 0xad, 0x78, 0x1e, 0x5d, 0x2e, 0x94, 0x8b, 0xb0, 0x9e, 0x72, 0x81, 0x10, 0x6d,
      0x36},
     {0x5e, 0xed, 0x4d, 0x3a, 0x44, 0x7a, 0x57, 0x34, 0x00, 0x83, 0x2b, 0x17, 0xff, 0xe5, 0x97,
      0x2a}},
};

static const struct known_answer *known_answer_of(uint64_t high)
{
    for (size_t i = 0; i < sizeof(known_answers) / sizeof(known_answers[0]); i++) {
        if (known_answers[i].high == high)
            return &known_answers[i];
    }
    return NULL;
}

static bool run_is_right(struct xts_tweak start, const uint8_t *run)
{
    for (uint64_t i = 0; i < RUN_SECTORS; i++) {
        const struct known_answer *answer = known_answer_of(start.high + i);
        const uint8_t *bytes = run + sectors_to_bytes(i);
        if (!answer)
            continue;
        if (memcmp(bytes, answer->first, XTS_BLOCK_BYTES) != 0)
            return false;
        if (memcmp(bytes + SECTOR_BYTES - XTS_BLOCK_BYTES, answer->last, XTS_BLOCK_BYTES) != 0)
            return false;
    }
    return true;
}

static int check_run(const struct xts_engine *engine, void *state, struct xts_tweak start,
                     struct error *error)
{
    uint8_t plain[RUN_BYTES], cipher[RUN_BYTES], other[RUN_BYTES];
    for (size_t i = 0; i < RUN_BYTES; i++)
        plain[i] = (uint8_t)i;
    memcpy(cipher, plain, RUN_BYTES);
    engine->encrypt(state, start, cipher, cipher, RUN_SECTORS);
    bool right = run_is_right(start, cipher);
    if (right && engine->single_pass) {
        engine->encrypt(state, start, plain, other, RUN_SECTORS);
        right = memcmp(other, cipher, RUN_BYTES) == 0;
        engine->decrypt(state, start, cipher, other, RUN_SECTORS);
        right = right && memcmp(other, plain, RUN_BYTES) == 0;
    }
    engine->decrypt(state, start, cipher, cipher, RUN_SECTORS);
    right = right && memcmp(cipher, plain, RUN_BYTES) == 0;
    if (!right)
        return error_set(error, -EBADMSG, "the self-test failed: wrong known answer at sector %llu",
                         (unsigned long long)start.high);
    return 0;
}

int xts_selftest_known_answers(const struct xts_engine *engine, struct error *error)
{
    uint8_t data_key[XTS_KEY_BYTES], tweak_key[XTS_KEY_BYTES];
    for (size_t i = 0; i < XTS_KEY_BYTES; i++) {
        data_key[i] = (uint8_t)i;
        tweak_key[i] = (uint8_t)(0x80 + i);
    }
    void *state;
    int result = engine->create(data_key, tweak_key, NULL, &state, error);
    if (result < 0)
        return result;
    for (size_t i = 0; i < sizeof(known_answers) / sizeof(known_answers[0]) && result == 0; i++) {
        uint64_t high = known_answers[i].high;
        uint64_t lead = high < RUN_LEAD ? high : RUN_LEAD;
        result = check_run(engine, state, (struct xts_tweak){.high = high - lead}, error);
    }
    engine->destroy(state);
    return result;
}

struct comparison {
    uint8_t plain[COMPARE_BYTES];
    uint8_t mine[COMPARE_BYTES];
    uint8_t theirs[COMPARE_BYTES];
};

static int random_fill(void *buffer, size_t byte_len)
{
    for (size_t filled = 0; filled < byte_len;) {
        ssize_t got = getrandom((uint8_t *)buffer + filled, byte_len - filled, 0);
        if (got < 0 && errno != EINTR)
            return -errno;
        filled += got > 0 ? (size_t)got : 0;
    }
    return 0;
}

static bool engines_agree(struct comparison *bytes, struct xts_tweak tweak,
                          const struct xts_engine *engine, void *state,
                          const struct xts_engine *peer, void *peer_state)
{
    memcpy(bytes->mine, bytes->plain, COMPARE_BYTES);
    memcpy(bytes->theirs, bytes->plain, COMPARE_BYTES);
    engine->encrypt(state, tweak, bytes->mine, bytes->mine, COMPARE_SECTORS);
    peer->encrypt(peer_state, tweak, bytes->theirs, bytes->theirs, COMPARE_SECTORS);
    if (memcmp(bytes->mine, bytes->theirs, COMPARE_BYTES) != 0)
        return false;
    engine->decrypt(state, tweak, bytes->mine, bytes->mine, COMPARE_SECTORS);
    peer->decrypt(peer_state, tweak, bytes->theirs, bytes->theirs, COMPARE_SECTORS);
    return memcmp(bytes->mine, bytes->plain, COMPARE_BYTES) == 0 &&
           memcmp(bytes->theirs, bytes->plain, COMPARE_BYTES) == 0;
}

int xts_selftest_compare(const struct xts_engine *engine, void *state,
                         const struct xts_engine *peer, void *peer_state, struct error *error)
{
    struct comparison *bytes = malloc(sizeof(*bytes));
    if (!bytes)
        return error_set(error, -ENOMEM, "no memory for the self-test");
    struct xts_tweak tweak = {0, 0};
    int result = random_fill(bytes->plain, COMPARE_BYTES);
    if (result == 0)
        result = random_fill(&tweak, sizeof(tweak));
    if (result < 0)
        error_set_errno(error, result, "no random bytes for the self-test");
    else if (!engines_agree(bytes, tweak, engine, state, peer, peer_state)) {
        result = error_set(
            error, -EBADMSG, "the self-test failed: it differs from %s at tweak %llx %llx",
            peer->name, (unsigned long long)tweak.low, (unsigned long long)tweak.high);
    }
    free(bytes);
    return result;
}
