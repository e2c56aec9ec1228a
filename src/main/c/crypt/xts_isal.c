/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * AES-XTS engine on ISA-L crypto, libisal_crypto.so.2.
 *
 * Two generations of its interface are known: from 2.25 on functions with the prefix isal_ that
 * return 0 on success, before that functions of the same arguments without a result. The first is
 * looked for first. The tweak key comes before the data key; the tweak key's schedule is that for
 * encryption in both directions. The library keeps no state: all schedules are in our own secret
 * memory.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/sector.h"
#include "crypt/dynamic_library.h"
#include "crypt/xts_engine.h"
#include "mem/secret.h"

enum { SCHEDULE_BYTES = 15 * XTS_BLOCK_BYTES };

static const char soname[] = "libisal_crypto.so.2";

/* 2.25 and later; 0 is success. */
struct isal_functions {
    int (*expand)(const uint8_t *key, uint8_t *encrypt, uint8_t *decrypt);
    int (*encrypt)(const uint8_t *tweak_schedule, const uint8_t *data_schedule,
                   const uint8_t *tweak, uint64_t byte_len, const void *in, void *out);
    int (*decrypt)(const uint8_t *tweak_schedule, const uint8_t *data_schedule,
                   const uint8_t *tweak, uint64_t byte_len, const void *in, void *out);
};

/* Before 2.25. */
struct isal_old_functions {
    void (*expand)(const uint8_t *key, uint8_t *encrypt, uint8_t *decrypt);
    void (*encrypt)(const uint8_t *tweak_schedule, const uint8_t *data_schedule,
                    const uint8_t *tweak, uint64_t byte_len, const uint8_t *in, uint8_t *out);
    void (*decrypt)(const uint8_t *tweak_schedule, const uint8_t *data_schedule,
                    const uint8_t *tweak, uint64_t byte_len, const uint8_t *in, uint8_t *out);
};

static const struct dynamic_function functions[] = {
    {"isal_aes_keyexp_256", offsetof(struct isal_functions, expand)},
    {"isal_aes_xts_enc_256_expanded_key", offsetof(struct isal_functions, encrypt)},
    {"isal_aes_xts_dec_256_expanded_key", offsetof(struct isal_functions, decrypt)},
};

static const struct dynamic_function old_functions[] = {
    {"aes_keyexp_256", offsetof(struct isal_old_functions, expand)},
    {"XTS_AES_256_enc_expanded_key", offsetof(struct isal_old_functions, encrypt)},
    {"XTS_AES_256_dec_expanded_key", offsetof(struct isal_old_functions, decrypt)},
};

struct isal_state {
    uint8_t encrypt[SCHEDULE_BYTES] __attribute__((aligned(XTS_BLOCK_BYTES)));
    uint8_t decrypt[SCHEDULE_BYTES] __attribute__((aligned(XTS_BLOCK_BYTES)));
    uint8_t tweak[SCHEDULE_BYTES] __attribute__((aligned(XTS_BLOCK_BYTES)));
    uint8_t unused[SCHEDULE_BYTES] __attribute__((aligned(XTS_BLOCK_BYTES)));
    void *library;
    bool old;
    struct isal_functions call;
    struct isal_old_functions old_call;
};

static void isal_encrypt(void *opaque, struct xts_tweak first, const uint8_t *source,
                         uint8_t *destination, size_t sector_count)
{
    struct isal_state *state = opaque;
    for (size_t i = 0; i < sector_count; i++) {
        uint8_t tweak[XTS_BLOCK_BYTES] __attribute__((aligned(XTS_BLOCK_BYTES)));
        size_t at = sectors_to_bytes(i);
        xts_tweak_bytes(first, tweak);
        first.high++;
        if (state->old) {
            state->old_call.encrypt(state->tweak, state->encrypt, tweak, SECTOR_BYTES, source + at,
                                    destination + at);
        } else if (state->call.encrypt(state->tweak, state->encrypt, tweak, SECTOR_BYTES,
                                       source + at, destination + at) != 0) {
            abort(); /* neither plain text nor garbage may be taken for the result */
        }
    }
}

static void isal_decrypt(void *opaque, struct xts_tweak first, const uint8_t *source,
                         uint8_t *destination, size_t sector_count)
{
    struct isal_state *state = opaque;
    for (size_t i = 0; i < sector_count; i++) {
        uint8_t tweak[XTS_BLOCK_BYTES] __attribute__((aligned(XTS_BLOCK_BYTES)));
        size_t at = sectors_to_bytes(i);
        xts_tweak_bytes(first, tweak);
        first.high++;
        if (state->old) {
            state->old_call.decrypt(state->tweak, state->decrypt, tweak, SECTOR_BYTES, source + at,
                                    destination + at);
        } else if (state->call.decrypt(state->tweak, state->decrypt, tweak, SECTOR_BYTES,
                                       source + at, destination + at) != 0) {
            abort();
        }
    }
}

static void isal_destroy(void *opaque)
{
    struct isal_state *state = opaque;
    void *library = state->library;
    secret_free(state);
    dynamic_library_close(library);
}

static int isal_load(struct isal_state *state, struct error *error)
{
    int result = dynamic_library_open(soname, &state->library, error);
    if (result < 0)
        return result;
    if (dynamic_library_resolve(state->library, soname, functions,
                                sizeof(functions) / sizeof(functions[0]), &state->call, NULL) == 0)
        return 0;
    state->old = true;
    return dynamic_library_resolve(state->library, soname, old_functions,
                                   sizeof(old_functions) / sizeof(old_functions[0]),
                                   &state->old_call, error);
}

static int isal_expand(struct isal_state *state, const uint8_t *data_key, const uint8_t *tweak_key,
                       struct error *error)
{
    bool expanded = true;
    if (state->old) {
        state->old_call.expand(data_key, state->encrypt, state->decrypt);
        state->old_call.expand(tweak_key, state->tweak, state->unused);
    } else {
        expanded = state->call.expand(data_key, state->encrypt, state->decrypt) == 0 &&
                   state->call.expand(tweak_key, state->tweak, state->unused) == 0;
    }
    secret_clear_traces();
    return expanded ? 0 : error_set(error, -ENOTSUP, "%s does not expand the keys", soname);
}

static int isal_create(const uint8_t *data_key, const uint8_t *tweak_key, struct log *log,
                       void **out, struct error *error)
{
    struct isal_state *state = secret_alloc(sizeof(*state), log);
    if (!state)
        return error_set(error, -ENOMEM, "no memory for the key schedules");
    int result = isal_load(state, error);
    if (result == 0)
        result = isal_expand(state, data_key, tweak_key, error);
    if (result < 0) {
        isal_destroy(state);
        return result;
    }
    *out = state;
    return 0;
}

const struct xts_engine xts_isal_engine = {
    .name = "isa-l",
    .kind = XTS_ENGINE_ISAL,
    .single_pass = false,
    .create = isal_create,
    .destroy = isal_destroy,
    .encrypt = isal_encrypt,
    .decrypt = isal_decrypt,
};
