/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * AES-256 (FIPS 197) and XTS (IEEE 1619) written for reading, not for speed: the second opinion of
 * the tests, with nothing in common with the engines. Header only, so that the stand-in libraries
 * of src/test/c/shared can use it too.
 *
 * Schedules are laid out like those of the usual libraries: 15 round keys of 16 bytes; the
 * decryption schedule is in the order of use, with the inner round keys run through InvMixColumns.
 */
#ifndef UBIBLK_SUPPORT_REFERENCE_AES_H
#define UBIBLK_SUPPORT_REFERENCE_AES_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum { REFERENCE_ROUNDS = 14, REFERENCE_SCHEDULE_BYTES = 16 * (REFERENCE_ROUNDS + 1) };

static inline uint8_t reference_double(uint8_t value)
{
    return (uint8_t)((value << 1) ^ ((value & 0x80) ? 0x1b : 0));
}

static inline uint8_t reference_multiply(uint8_t a, uint8_t b)
{
    uint8_t product = 0;
    for (; b != 0; b >>= 1, a = reference_double(a)) {
        if (b & 1)
            product ^= a;
    }
    return product;
}

static inline uint8_t reference_rotate(uint8_t value, int bits)
{
    return (uint8_t)((value << bits) | (value >> (8 - bits)));
}

/* S-boxes, and products of all bytes with the factors 0 to 15, made once at program start. */
static struct reference_tables {
    uint8_t forward[256];
    uint8_t inverse[256];
    uint8_t product[16][256];
} reference_tables;

/* Walks the field with the generator 3 and its inverse 0xf6 at once. */
__attribute__((constructor)) static void reference_tables_make(void)
{
    uint8_t value = 1, inverse = 1;
    do {
        uint8_t image =
            (uint8_t)(inverse ^ reference_rotate(inverse, 1) ^ reference_rotate(inverse, 2) ^
                      reference_rotate(inverse, 3) ^ reference_rotate(inverse, 4) ^ 0x63);
        reference_tables.forward[value] = image;
        reference_tables.inverse[image] = value;
        value = reference_multiply(value, 3);
        inverse = reference_multiply(inverse, 0xf6);
    } while (value != 1);
    reference_tables.forward[0] = 0x63;
    reference_tables.inverse[0x63] = 0;
    for (int factor = 0; factor < 16; factor++) {
        for (int byte = 0; byte < 256; byte++)
            reference_tables.product[factor][byte] =
                reference_multiply((uint8_t)byte, (uint8_t)factor);
    }
}

static inline void reference_mix(uint8_t block[16], const uint8_t factor[4])
{
    for (int column = 0; column < 16; column += 4) {
        uint8_t in[4];
        memcpy(in, block + column, 4);
        for (int row = 0; row < 4; row++) {
            uint8_t sum = 0;
            for (int i = 0; i < 4; i++)
                sum ^= reference_tables.product[factor[(i - row + 4) % 4]][in[i]];
            block[column + row] = sum;
        }
    }
}

static const uint8_t reference_mix_forward[4] = {2, 3, 1, 1};
static const uint8_t reference_mix_inverse[4] = {14, 11, 13, 9};

static inline void reference_expand(const uint8_t key[32],
                                    uint8_t encrypt[REFERENCE_SCHEDULE_BYTES],
                                    uint8_t decrypt[REFERENCE_SCHEDULE_BYTES])
{
    memcpy(encrypt, key, 32);
    uint8_t constant = 1;
    for (int at = 32; at < REFERENCE_SCHEDULE_BYTES; at += 4) {
        uint8_t word[4];
        memcpy(word, encrypt + at - 4, 4);
        if (at % 32 == 0) {
            uint8_t first = word[0];
            for (int i = 0; i < 4; i++)
                word[i] = reference_tables.forward[i < 3 ? word[i + 1] : first];
            word[0] ^= constant;
            constant = reference_double(constant);
        } else if (at % 32 == 16) {
            for (int i = 0; i < 4; i++)
                word[i] = reference_tables.forward[word[i]];
        }
        for (int i = 0; i < 4; i++)
            encrypt[at + i] = encrypt[at - 32 + i] ^ word[i];
    }
    for (int round = 0; round <= REFERENCE_ROUNDS; round++) {
        uint8_t *to = decrypt + 16 * round;
        memcpy(to, encrypt + 16 * (REFERENCE_ROUNDS - round), 16);
        if (round > 0 && round < REFERENCE_ROUNDS)
            reference_mix(to, reference_mix_inverse);
    }
}

/* One block with a schedule of the matching direction, in place. */
static inline void reference_block(const uint8_t schedule[REFERENCE_SCHEDULE_BYTES], int decrypt,
                                   uint8_t block[16])
{
    const uint8_t *box = decrypt ? reference_tables.inverse : reference_tables.forward;
    for (int i = 0; i < 16; i++)
        block[i] ^= schedule[i];
    for (int round = 1; round <= REFERENCE_ROUNDS; round++) {
        uint8_t in[16];
        memcpy(in, block, 16);
        for (int i = 0; i < 16; i++) {
            int shift = decrypt ? 16 - 4 * (i % 4) : 4 * (i % 4);
            block[i] = box[in[(i + shift) % 16]];
        }
        if (round < REFERENCE_ROUNDS)
            reference_mix(block, decrypt ? reference_mix_inverse : reference_mix_forward);
        for (int i = 0; i < 16; i++)
            block[i] ^= schedule[16 * round + i];
    }
}

/*
 * One data unit of whole blocks with three schedules: data for the direction, tweak always for
 * encryption. source and destination may be the same.
 */
static inline void reference_xts(const uint8_t *data_schedule, const uint8_t *tweak_schedule,
                                 int decrypt, const uint8_t tweak_bytes[16], const uint8_t *source,
                                 uint8_t *destination, size_t byte_len)
{
    uint8_t tweak[16];
    memcpy(tweak, tweak_bytes, 16);
    reference_block(tweak_schedule, 0, tweak);
    for (size_t at = 0; at < byte_len; at += 16) {
        uint8_t block[16];
        for (int i = 0; i < 16; i++)
            block[i] = source[at + (size_t)i] ^ tweak[i];
        reference_block(data_schedule, decrypt, block);
        for (int i = 0; i < 16; i++)
            destination[at + (size_t)i] = block[i] ^ tweak[i];
        uint8_t carry = 0;
        for (int i = 0; i < 16; i++) {
            uint8_t out = tweak[i] >> 7;
            tweak[i] = (uint8_t)((tweak[i] << 1) | carry);
            carry = out;
        }
        tweak[0] ^= carry ? 0x87 : 0;
    }
}

#endif
