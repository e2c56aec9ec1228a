/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * The front of the AES-XTS engines: choosing one, and walking scattered memory.
 *
 * Scattered memory belongs to a guest that may change it at any time. Where a segment holds a few
 * whole sectors and the engine makes a single pass, the engine works on the segment itself. All
 * else (sectors that straddle segments, small segments, library engines, of which it is not known
 * how often they read or write a byte) goes through the caller's own buffer: encryption gathers
 * sectors into it and encrypts there, decryption decrypts there and scatters.
 *
 * Engines, ours and others, leave round keys in vector registers, which are cleared once per call.
 */
#include "xts.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/iov.h"
#include "base/log.h"
#include "base/sector.h"
#include "crypt/xts_engine.h"
#include "crypt/xts_selftest.h"
#include "mem/registers.h"
#include "mem/secret.h"

/* From how many whole sectors of a segment on the engine works on it directly, and how many sectors
 * are gathered or scattered in one step otherwise, while they are in the first-level cache. */
enum { DIRECT_SECTORS_MIN = 4, STAGED_SECTORS_MAX = 8 };

enum { REASON_BYTES = 128 };

struct xts {
    const struct xts_engine *engine;
    void *state;
    char reason[REASON_BYTES];
};

static const struct xts_engine *const built_in_engines[] = {
#if defined(__x86_64__)
    &xts_vaes512_engine, &xts_vaes256_engine, &xts_aesni_engine,
#endif
    &xts_isal_engine,    &xts_openssl_engine,
};

/* Compares with the first other engine that works, starting behind the engine itself. *peer_name
 * is NULL if there is none. */
static int cross_check(const struct xts_engine *const engines[], size_t engine_count, size_t index,
                       const uint8_t *data_key, const uint8_t *tweak_key, void *state,
                       const char **peer_name, struct error *error)
{
    *peer_name = NULL;
    for (size_t i = 1; i < engine_count; i++) {
        const struct xts_engine *peer = engines[(index + i) % engine_count];
        void *peer_state;
        if (xts_selftest_known_answers(peer, NULL) < 0 ||
            peer->create(data_key, tweak_key, NULL, &peer_state, NULL) < 0)
            continue;
        *peer_name = peer->name;
        int result = xts_selftest_compare(engines[index], state, peer, peer_state, error);
        peer->destroy(peer_state);
        return result;
    }
    return 0;
}

static int engine_open(const struct xts_engine *const engines[], size_t engine_count, size_t index,
                       const uint8_t *data_key, const uint8_t *tweak_key, struct log *log,
                       void **state, const char **peer_name, struct error *error)
{
    const struct xts_engine *engine = engines[index];
    int result = xts_selftest_known_answers(engine, error);
    if (result < 0)
        return result;
    result = engine->create(data_key, tweak_key, log, state, error);
    if (result < 0)
        return result;
    result =
        cross_check(engines, engine_count, index, data_key, tweak_key, *state, peer_name, error);
    secret_clear_traces(); /* the comparison has used the round keys */
    if (result < 0)
        engine->destroy(*state);
    return result;
}

static int engine_refused(const struct xts_engine *engine, enum xts_engine_kind kind,
                          struct log *log, const struct error *why, struct error *error)
{
    if (kind != XTS_ENGINE_AUTO)
        return error_set(error, why->code, "xts_engine %s cannot be used: %s", engine->name,
                         why->message);
    log_write(log, why->code == -ENOTSUP ? LOG_INFO : LOG_WARN, "xts_engine %s is passed over: %s",
              engine->name, why->message);
    return why->code;
}

static void describe_choice(struct xts *xts, enum xts_engine_kind kind, const char *peer_name)
{
    snprintf(xts->reason, sizeof(xts->reason), "%s; %s%s",
             kind == XTS_ENGINE_AUTO ? "the fastest that works here" : "asked for by xts_engine",
             peer_name ? "agrees with " : "no other engine to compare with",
             peer_name ? peer_name : "");
}

int xts_create_from(const struct xts_engine *const engines[], size_t engine_count,
                    const uint8_t data_key[XTS_KEY_BYTES], const uint8_t tweak_key[XTS_KEY_BYTES],
                    enum xts_engine_kind kind, struct log *log, struct xts **out,
                    struct error *error)
{
    struct xts *xts = calloc(1, sizeof(*xts));
    if (!xts)
        return error_set(error, -ENOMEM, "no memory for the encryption state");
    int result = error_set(error, -ENOTSUP, "no xts_engine works on this machine");
    for (size_t i = 0; i < engine_count; i++) {
        if (kind != XTS_ENGINE_AUTO && kind != engines[i]->kind)
            continue;
        const char *peer_name;
        struct error why;
        if (engine_open(engines, engine_count, i, data_key, tweak_key, log, &xts->state, &peer_name,
                        &why) == 0) {
            xts->engine = engines[i];
            describe_choice(xts, kind, peer_name);
            *out = xts;
            return 0;
        }
        int refused = engine_refused(engines[i], kind, log, &why, error);
        if (kind != XTS_ENGINE_AUTO)
            result = refused;
    }
    free(xts);
    return result;
}

int xts_create(const uint8_t data_key[XTS_KEY_BYTES], const uint8_t tweak_key[XTS_KEY_BYTES],
               enum xts_engine_kind kind, struct log *log, struct xts **out, struct error *error)
{
    return xts_create_from(built_in_engines, sizeof(built_in_engines) / sizeof(built_in_engines[0]),
                           data_key, tweak_key, kind, log, out, error);
}

void xts_destroy(struct xts *xts)
{
    if (!xts)
        return;
    xts->engine->destroy(xts->state);
    free(xts);
}

const char *xts_engine_name(const struct xts *xts)
{
    return xts->engine->name;
}

const char *xts_engine_reason(const struct xts *xts)
{
    return xts->reason;
}

typedef void (*xts_crypt_fn)(void *state, struct xts_tweak tweak, const uint8_t *source,
                             uint8_t *destination, size_t sector_count);

/* The layout of xts.h: eight zero bytes, then the number. The engines count on from there. */
static struct xts_tweak tweak_of_sector(uint64_t sector)
{
    return (struct xts_tweak){.low = 0, .high = sector};
}

/* Both directions between two flat buffers. */
static void crypt_flat(const struct xts *xts, xts_crypt_fn crypt, uint64_t sector,
                       const uint8_t *source, uint8_t *destination, size_t sector_count)
{
    if (xts->engine->single_pass || source == destination) {
        crypt(xts->state, tweak_of_sector(sector), source, destination, sector_count);
        return;
    }
    while (sector_count > 0) {
        size_t count = sector_count < STAGED_SECTORS_MAX ? sector_count : STAGED_SECTORS_MAX;
        memcpy(destination, source, sectors_to_bytes(count));
        crypt(xts->state, tweak_of_sector(sector), destination, destination, count);
        sector += count;
        source += sectors_to_bytes(count);
        destination += sectors_to_bytes(count);
        sector_count -= count;
    }
}

void xts_encrypt(const struct xts *xts, uint64_t sector, const void *source, void *destination,
                 size_t sector_count)
{
    crypt_flat(xts, xts->engine->encrypt, sector, source, destination, sector_count);
    registers_clear();
}

void xts_decrypt(const struct xts *xts, uint64_t sector, const void *source, void *destination,
                 size_t sector_count)
{
    crypt_flat(xts, xts->engine->decrypt, sector, source, destination, sector_count);
    registers_clear();
}

void xts_recrypt(const struct xts *from, const struct xts *to, uint64_t sector, void *bytes,
                 size_t sector_count)
{
    uint8_t *at = bytes;
    while (sector_count > 0) {
        size_t count = sector_count < STAGED_SECTORS_MAX ? sector_count : STAGED_SECTORS_MAX;
        crypt_flat(from, from->engine->decrypt, sector, at, at, count);
        crypt_flat(to, to->engine->encrypt, sector, at, at, count);
        sector += count;
        at += sectors_to_bytes(count);
        sector_count -= count;
    }
    registers_clear();
}

/* The segments that are left to walk. */
struct walk {
    const struct iovec *iov;
    size_t iov_count;
    struct iov_cursor at;
};

static struct walk walk_from(const struct iovec *iov, size_t iov_count, size_t byte_offset)
{
    struct walk walk = {.iov = iov, .iov_count = iov_count};
    iov_cursor_advance(iov, &walk.at, byte_offset);
    return walk;
}

static void walk_on(struct walk *walk, size_t sector_count)
{
    iov_cursor_advance(walk->iov, &walk->at, sectors_to_bytes(sector_count));
}

static uint8_t *walk_bytes(const struct walk *walk)
{
    return (uint8_t *)walk->iov[walk->at.index].iov_base + walk->at.offset;
}

/* How many whole sectors of the current segment an engine may work on directly; 0 says to stage. */
static size_t direct_sectors(const struct xts *xts, const struct walk *walk, size_t sector_count)
{
    if (!xts->engine->single_pass || walk->at.index == walk->iov_count)
        return 0;
    size_t whole = (walk->iov[walk->at.index].iov_len - walk->at.offset) >> SECTOR_SHIFT;
    if (whole >= sector_count)
        return sector_count;
    return whole >= DIRECT_SECTORS_MIN ? whole : 0;
}

/* How many sectors to stage before the next look: one at least, and on until the walk would stand
 * where the engine can work directly. */
static size_t staged_sectors(const struct xts *xts, struct walk walk, size_t sector_count)
{
    size_t limit = sector_count < STAGED_SECTORS_MAX ? sector_count : STAGED_SECTORS_MAX;
    size_t count = 0;
    do {
        walk_on(&walk, 1);
        count++;
    } while (count < limit && direct_sectors(xts, &walk, sector_count - count) == 0);
    return count;
}

void xts_encrypt_from_iov(const struct xts *xts, uint64_t sector, const struct iovec *iov,
                          size_t iov_count, size_t byte_offset, void *destination,
                          size_t sector_count)
{
    struct walk walk = walk_from(iov, iov_count, byte_offset);
    uint8_t *bytes = destination;
    xts_crypt_fn encrypt = xts->engine->encrypt;
    while (sector_count > 0) {
        size_t count = direct_sectors(xts, &walk, sector_count);
        if (count > 0) {
            crypt_flat(xts, encrypt, sector, walk_bytes(&walk), bytes, count);
        } else {
            count = staged_sectors(xts, walk, sector_count);
            iov_copy_from(walk.iov, walk.at, bytes, sectors_to_bytes(count));
            crypt_flat(xts, encrypt, sector, bytes, bytes, count);
        }
        walk_on(&walk, count);
        sector += count;
        bytes += sectors_to_bytes(count);
        sector_count -= count;
    }
    registers_clear();
}

void xts_decrypt_to_iov(const struct xts *xts, uint64_t sector, void *source,
                        const struct iovec *iov, size_t iov_count, size_t byte_offset,
                        size_t sector_count)
{
    struct walk walk = walk_from(iov, iov_count, byte_offset);
    uint8_t *bytes = source;
    xts_crypt_fn decrypt = xts->engine->decrypt;
    while (sector_count > 0) {
        size_t count = direct_sectors(xts, &walk, sector_count);
        if (count > 0) {
            crypt_flat(xts, decrypt, sector, bytes, walk_bytes(&walk), count);
        } else {
            count = staged_sectors(xts, walk, sector_count);
            crypt_flat(xts, decrypt, sector, bytes, bytes, count);
            iov_copy_to(walk.iov, walk.at, bytes, sectors_to_bytes(count));
        }
        walk_on(&walk, count);
        sector += count;
        bytes += sectors_to_bytes(count);
        sector_count -= count;
    }
    registers_clear();
}
