/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * What an AES-XTS engine is to xts.c, and the list of them. Private to crypt/ and its tests.
 */
#ifndef UBIBLK_CRYPT_XTS_ENGINE_H
#define UBIBLK_CRYPT_XTS_ENGINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "crypt/xts.h"

enum { XTS_BLOCK_BYTES = 16 };

/*
 * The tweak of a data unit before its encryption: bytes 0 to 7 and 8 to 15 as little-endian
 * numbers. What xts.c makes of a sector is its business; engines take any tweak, so that published
 * vectors, whose layout is another one, run on them too.
 */
struct xts_tweak {
    uint64_t low;
    uint64_t high;
};

/* The same as bytes, for engines of libraries. */
static inline void xts_tweak_bytes(struct xts_tweak tweak, uint8_t bytes[XTS_BLOCK_BYTES])
{
    for (int i = 0; i < 8; i++) {
        bytes[i] = (uint8_t)(tweak.low >> (8 * i));
        bytes[8 + i] = (uint8_t)(tweak.high >> (8 * i));
    }
}

/* An immutable table of functions; the state belongs to one struct xts. All members are required.
 */
struct xts_engine {
    const char *name;
    enum xts_engine_kind kind;

    /*
     * Whether encrypt and decrypt read each source byte once and store each destination byte once,
     * with its final value. xts.c gives other engines only private memory, source and destination
     * the same.
     */
    bool single_pass;

    /*
     * Says whether the engine works on this machine by expanding both keys. The schedules live in
     * secret memory, but openssl's in that library's heap, which is wiped and not locked. Leaves
     * nothing of the keys in vector registers or on the stack. Returns 0 and an owned *state, or
     * -errno with a sentence in *error: -ENOTSUP when the CPU or the library is missing. Any
     * thread.
     */
    int (*create)(const uint8_t *data_key, const uint8_t *tweak_key, struct log *log, void **state,
                  struct error *error);

    /* Zeroes and frees the state. */
    void (*destroy)(void *state);

    /*
     * As xts_encrypt and xts_decrypt, with the first sector's tweak in place of its number: each
     * further sector's has a high half greater by one, modulo 2^64, and the same low half.
     * sector_count may be 0. Any thread, concurrently.
     */
    void (*encrypt)(void *state, struct xts_tweak tweak, const uint8_t *source,
                    uint8_t *destination, size_t sector_count);
    void (*decrypt)(void *state, struct xts_tweak tweak, const uint8_t *source,
                    uint8_t *destination, size_t sector_count);
};

#if defined(__x86_64__)
extern const struct xts_engine xts_vaes512_engine;
extern const struct xts_engine xts_vaes256_engine;
extern const struct xts_engine xts_aesni_engine;
#endif
extern const struct xts_engine xts_isal_engine;
extern const struct xts_engine xts_openssl_engine;

/*
 * As xts_create, with the engines to try in order (borrowed) in place of the built-in ones. The
 * engine that cross-checks another one is taken from the same list.
 */
int xts_create_from(const struct xts_engine *const engines[], size_t engine_count,
                    const uint8_t data_key[XTS_KEY_BYTES], const uint8_t tweak_key[XTS_KEY_BYTES],
                    enum xts_engine_kind kind, struct log *log, struct xts **out,
                    struct error *error);

#endif
