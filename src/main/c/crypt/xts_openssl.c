/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * AES-XTS engine on OpenSSL's libcrypto.so.3, through its EVP interface.
 *
 * Design: a cipher context of OpenSSL serves one thread at a time, while an engine serves any
 * number. So there is a pool of contexts, made with the keys at the start; a call borrows one for
 * its sectors. A thread begins to look at a place of its own, so queue threads normally find the
 * same context free each time, with one uncontended atomic exchange. Only when more threads than
 * contexts are inside at once does one wait.
 *
 * OpenSSL refuses to encrypt, but not to decrypt, with two equal key halves. Disks with such keys
 * exist and must stay usable; for them encryption is put together from the block cipher (ECB).
 *
 * The default library context is used, so the operator's openssl.cnf decides which provider (a
 * validated one, say) does the work. OpenSSL keeps itself loaded; its clean-up at exit is turned
 * off, since queue threads may still be running then.
 *
 * Key schedules live in OpenSSL's ordinary heap: it wipes them when contexts are freed but does not
 * lock them. Its secure heap (CRYPTO_secure_malloc_init) is left alone, for cipher contexts are
 * never taken from it, and replacing its allocator (CRYPTO_set_mem_functions) is a matter of the
 * whole process, whose other parts may use the library too.
 */
#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cacheline.h"
#include "base/error.h"
#include "base/sector.h"
#include "crypt/dynamic_library.h"
#include "crypt/xts_engine.h"
#include "mem/secret.h"

enum { CONTEXTS_MIN = 4, CONTEXTS_MAX = 64 };

/* OPENSSL_INIT_NO_ATEXIT */
#define INIT_NO_ATEXIT UINT64_C(0x00080000)

static const char soname[] = "libcrypto.so.3";

/* What we call of <openssl/evp.h> and <openssl/crypto.h>, version 3. */
struct openssl_functions {
    int (*init_crypto)(uint64_t options, const void *settings);
    void *(*cipher_fetch)(void *library_context, const char *algorithm, const char *properties);
    void (*cipher_free)(void *cipher);
    void *(*context_new)(void);
    void (*context_free)(void *context);
    int (*context_set_padding)(void *context, int padding);
    int (*cipher_init)(void *context, const void *cipher, const uint8_t *key, const uint8_t *iv,
                       int encrypt, const void *parameters);
    int (*cipher_update)(void *context, uint8_t *out, int *out_bytes, const uint8_t *in,
                         int in_bytes);
};

#define FUNCTION(name, member)                                                                     \
    {                                                                                              \
        name, offsetof(struct openssl_functions, member)                                           \
    }

static const struct dynamic_function functions[] = {
    FUNCTION("OPENSSL_init_crypto", init_crypto),
    FUNCTION("EVP_CIPHER_fetch", cipher_fetch),
    FUNCTION("EVP_CIPHER_free", cipher_free),
    FUNCTION("EVP_CIPHER_CTX_new", context_new),
    FUNCTION("EVP_CIPHER_CTX_free", context_free),
    FUNCTION("EVP_CIPHER_CTX_set_padding", context_set_padding),
    FUNCTION("EVP_CipherInit_ex2", cipher_init),
    FUNCTION("EVP_CipherUpdate", cipher_update),
};

struct openssl_slot {
    _Atomic bool busy;
    void *encrypt; /* XTS; ECB with equal key halves */
    void *decrypt;
} CACHELINE_ALIGNED;

struct openssl_state {
    struct openssl_functions call;
    void *library;
    bool equal_halves;
    size_t slot_count;
    struct openssl_slot *slots;
};

/* Neither plain text nor garbage may be taken for the result. */
static void must_succeed(bool success)
{
    if (!success)
        abort();
}

static struct openssl_slot *slot_acquire(struct openssl_state *state)
{
    /* Thread handles are addresses; the low bits are the same for all. */
    size_t start = (size_t)((uintptr_t)pthread_self() >> 12) % state->slot_count;
    for (;;) {
        for (size_t i = 0; i < state->slot_count; i++) {
            struct openssl_slot *slot = &state->slots[(start + i) % state->slot_count];
            /* Acquires what the release in slot_release published: the context's state. */
            if (!atomic_exchange_explicit(&slot->busy, true, memory_order_acquire))
                return slot;
        }
        sched_yield();
    }
}

static void slot_release(struct openssl_slot *slot)
{
    /* Pairs with the acquire in slot_acquire. */
    atomic_store_explicit(&slot->busy, false, memory_order_release);
}

static void cipher_update(const struct openssl_state *state, void *context, const uint8_t *source,
                          uint8_t *destination, int byte_len)
{
    int written = 0;
    must_succeed(state->call.cipher_update(context, destination, &written, source, byte_len) == 1);
    must_succeed(written == byte_len);
}

static void crypt_xts(struct openssl_state *state, void *context, struct xts_tweak tweak,
                      const uint8_t *source, uint8_t *destination)
{
    uint8_t iv[XTS_BLOCK_BYTES];
    xts_tweak_bytes(tweak, iv);
    must_succeed(state->call.cipher_init(context, NULL, NULL, iv, -1, NULL) == 1);
    cipher_update(state, context, source, destination, SECTOR_BYTES);
}

static void block_double(uint8_t block[XTS_BLOCK_BYTES])
{
    unsigned carry = 0;
    for (int i = 0; i < XTS_BLOCK_BYTES; i++) {
        unsigned doubled = (unsigned)block[i] << 1 | carry;
        block[i] = (uint8_t)doubled;
        carry = doubled >> 8;
    }
    block[0] ^= (uint8_t)(carry * 0x87);
}

/* Encryption from single blocks, where one key is both data and tweak key. */
static void encrypt_equal_halves(struct openssl_state *state, void *context, struct xts_tweak tweak,
                                 const uint8_t *source, uint8_t *destination)
{
    uint8_t block[XTS_BLOCK_BYTES], mask[SECTOR_BYTES];
    xts_tweak_bytes(tweak, block);
    cipher_update(state, context, block, block, XTS_BLOCK_BYTES);
    for (int at = 0; at < SECTOR_BYTES; at += XTS_BLOCK_BYTES) {
        memcpy(mask + at, block, XTS_BLOCK_BYTES);
        block_double(block);
    }
    for (int i = 0; i < SECTOR_BYTES; i++)
        destination[i] = source[i] ^ mask[i];
    cipher_update(state, context, destination, destination, SECTOR_BYTES);
    for (int i = 0; i < SECTOR_BYTES; i++)
        destination[i] ^= mask[i];
}

static void openssl_encrypt(void *opaque, struct xts_tweak tweak, const uint8_t *source,
                            uint8_t *destination, size_t sector_count)
{
    struct openssl_state *state = opaque;
    struct openssl_slot *slot = slot_acquire(state);
    for (size_t i = 0; i < sector_count; i++) {
        size_t at = sectors_to_bytes(i);
        if (state->equal_halves)
            encrypt_equal_halves(state, slot->encrypt, tweak, source + at, destination + at);
        else
            crypt_xts(state, slot->encrypt, tweak, source + at, destination + at);
        tweak.high++;
    }
    slot_release(slot);
}

static void openssl_decrypt(void *opaque, struct xts_tweak tweak, const uint8_t *source,
                            uint8_t *destination, size_t sector_count)
{
    struct openssl_state *state = opaque;
    struct openssl_slot *slot = slot_acquire(state);
    for (size_t i = 0; i < sector_count; i++) {
        size_t at = sectors_to_bytes(i);
        crypt_xts(state, slot->decrypt, tweak, source + at, destination + at);
        tweak.high++;
    }
    slot_release(slot);
}

static void openssl_destroy(void *opaque)
{
    struct openssl_state *state = opaque;
    for (size_t i = 0; state->slots && i < state->slot_count; i++) {
        state->call.context_free(state->slots[i].encrypt);
        state->call.context_free(state->slots[i].decrypt);
    }
    free(state->slots);
    dynamic_library_close(state->library);
    free(state);
}

static int context_make(struct openssl_state *state, const char *algorithm, const uint8_t *key,
                        int encrypt, void **context, struct error *error)
{
    static const uint8_t tweak[XTS_BLOCK_BYTES];
    void *cipher = state->call.cipher_fetch(NULL, algorithm, NULL);
    if (!cipher)
        return error_set(error, -ENOTSUP, "%s offers no %s", soname, algorithm);
    *context = state->call.context_new();
    bool made = *context &&
                state->call.cipher_init(*context, cipher, key, tweak, encrypt, NULL) == 1 &&
                state->call.context_set_padding(*context, 0) == 1;
    state->call.cipher_free(cipher);
    if (!made)
        return error_set(error, -ENOTSUP, "%s refuses %s with these keys", soname, algorithm);
    return 0;
}

/* key is data key, then tweak key. */
static int slots_make(struct openssl_state *state, const uint8_t *key, struct error *error)
{
    long cpus = sysconf(_SC_NPROCESSORS_ONLN);
    state->slot_count = cpus < CONTEXTS_MIN   ? CONTEXTS_MIN
                        : cpus > CONTEXTS_MAX ? CONTEXTS_MAX
                                              : (size_t)cpus;
    size_t byte_len = state->slot_count * sizeof(*state->slots);
    state->slots = aligned_alloc(CACHELINE_BYTES, byte_len);
    if (!state->slots)
        return error_set(error, -ENOMEM, "no memory for cipher contexts");
    memset(state->slots, 0, byte_len);
    const char *encryption = state->equal_halves ? "AES-256-ECB" : "AES-256-XTS";
    for (size_t i = 0; i < state->slot_count; i++) {
        struct openssl_slot *slot = &state->slots[i];
        int result = context_make(state, encryption, key, 1, &slot->encrypt, error);
        if (result == 0)
            result = context_make(state, "AES-256-XTS", key, 0, &slot->decrypt, error);
        if (result < 0)
            return result;
    }
    return 0;
}

static int openssl_load(struct openssl_state *state, struct error *error)
{
    int result = dynamic_library_open(soname, &state->library, error);
    if (result < 0)
        return result;
    result = dynamic_library_resolve(state->library, soname, functions,
                                     sizeof(functions) / sizeof(functions[0]), &state->call, error);
    if (result < 0)
        return result;
    if (state->call.init_crypto(INIT_NO_ATEXIT, NULL) != 1)
        return error_set(error, -ENOTSUP, "%s does not initialise", soname);
    return 0;
}

static int openssl_create(const uint8_t *data_key, const uint8_t *tweak_key, struct log *log,
                          void **out, struct error *error)
{
    (void)log;
    struct openssl_state *state = calloc(1, sizeof(*state));
    if (!state)
        return error_set(error, -ENOMEM, "no memory for the engine");
    state->equal_halves = memcmp(data_key, tweak_key, XTS_KEY_BYTES) == 0;
    uint8_t key[2 * XTS_KEY_BYTES];
    memcpy(key, data_key, XTS_KEY_BYTES);
    memcpy(key + XTS_KEY_BYTES, tweak_key, XTS_KEY_BYTES);
    int result = openssl_load(state, error);
    if (result == 0)
        result = slots_make(state, key, error);
    explicit_bzero(key, sizeof(key));
    secret_clear_traces();
    if (result < 0) {
        openssl_destroy(state);
        return result;
    }
    *out = state;
    return 0;
}

const struct xts_engine xts_openssl_engine = {
    .name = "openssl",
    .kind = XTS_ENGINE_OPENSSL,
    .single_pass = false,
    .create = openssl_create,
    .destroy = openssl_destroy,
    .encrypt = openssl_encrypt,
    .decrypt = openssl_decrypt,
};
