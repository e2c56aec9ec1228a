/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * All AES-XTS engines of this machine against each other.
 *
 * Each random request is carried out on every engine, and on each in a way of its own: in place,
 * from one buffer to another or scattered, at any alignment. All must give the same bytes. Most
 * requests go through xts.h, some to the engines themselves under tweaks that no sector has.
 * Several keys are in use at a time and are replaced now and then.
 */
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/sector.h"
#include "crypt/cpu.h"
#include "support/cmocka_test.h"
#include "support/scatter.h"
#include "support/test_scale.h"
#include "support/xts_check.h"

enum {
    ENGINES_MAX = 5,
    KEYS = 4,
    REQUESTS_PER_KEY = 2000,
    SECTORS_MAX = SCATTER_SECTORS_MAX,
    REQUEST_BYTES_MAX = SECTORS_MAX * SECTOR_BYTES,
    POOL_BYTES = 4 * REQUEST_BYTES_MAX,
    MARGIN_BYTES = 64,
    MARGIN = 0x5a,
};

enum way { IN_PLACE, COPYING, SCATTERED, WAYS };

/* One key pair on every engine. */
struct key {
    struct xts *xts[ENGINES_MAX];
    void *state[ENGINES_MAX];
};

struct request {
    const struct key *key;
    bool raw; /* under tweak, on the engine itself; else from sector tweak.high on */
    struct xts_tweak tweak;
    size_t sector_count;
};

struct agreement {
    struct test_random random;
    const struct xts_engine *engines[ENGINES_MAX];
    size_t engine_count;
    struct key keys[KEYS];
    uint8_t pool[POOL_BYTES]; /* what plain text is taken from */
    uint8_t cipher[REQUEST_BYTES_MAX];
    uint8_t buffer[MARGIN_BYTES + REQUEST_BYTES_MAX + MARGIN_BYTES];
    uint8_t expected[SCATTER_ARENA_BYTES];
    struct scatter scatter;
    uint64_t sectors, comparisons, wrapped, keys_made, in_way[WAYS];
};

static void key_end(const struct agreement *all, struct key *key)
{
    for (size_t i = 0; i < all->engine_count; i++) {
        xts_destroy(key->xts[i]);
        all->engines[i]->destroy(key->state[i]);
    }
}

static void key_make(struct agreement *all, struct key *key)
{
    uint8_t data_key[XTS_KEY_BYTES], tweak_key[XTS_KEY_BYTES];
    test_random_fill(&all->random, data_key, XTS_KEY_BYTES);
    test_random_fill(&all->random, tweak_key, XTS_KEY_BYTES);
    if (test_random_one_in(&all->random, 8))
        memcpy(tweak_key, data_key, XTS_KEY_BYTES);
    for (size_t i = 0; i < all->engine_count; i++) {
        const struct xts_engine *engine = all->engines[i];
        key->xts[i] = xts_check_create(engine->kind, data_key, tweak_key);
        assert_int_equal(engine->create(data_key, tweak_key, NULL, &key->state[i], NULL), 0);
    }
    all->keys_made++;
}

static size_t random_sector_count(struct test_random *random)
{
    static const uint16_t limits[] = {1, 1, 1, 4, 4, 8, 8, 8, 16, 16, 40, 130, SECTORS_MAX};
    size_t limit = limits[test_random_below(random, sizeof(limits) / sizeof(limits[0]))];
    return 1 + test_random_below(random, limit);
}

/* Every fourth request is at the end of what 64 bits can count, where many wrap around. */
static uint64_t random_sector(struct test_random *random)
{
    if (test_random_one_in(random, 4))
        return UINT64_MAX - test_random_below(random, SECTORS_MAX / 2);
    return test_random_next(random) >> test_random_below(random, 64);
}

static struct request random_request(struct agreement *all)
{
    struct test_random *random = &all->random;
    struct request request = {.key = &all->keys[test_random_below(random, KEYS)]};
    request.raw = test_random_one_in(random, 4);
    request.sector_count = random_sector_count(random);
    request.tweak.high = random_sector(random);
    if (request.raw)
        request.tweak.low = test_random_next(random);
    all->sectors += request.sector_count;
    all->wrapped += request.tweak.high + request.sector_count - 1 < request.tweak.high;
    return request;
}

static enum way random_way(struct agreement *all, const struct request *request, size_t engine)
{
    enum way way = (enum way)test_random_below(&all->random, WAYS);
    if (request->raw && (way == SCATTERED || !all->engines[engine]->single_pass))
        way = IN_PLACE;
    all->in_way[way]++;
    return way;
}

static void disagree(const struct agreement *all, const struct request *request, size_t engine,
                     const char *what)
{
    fail_msg("%s differs from %s after %" PRIu64 " comparisons: %s, tweak %" PRIx64 " %" PRIx64
             ", %zu sectors",
             all->engines[engine]->name, all->engines[0]->name, all->comparisons, what,
             request->tweak.low, request->tweak.high, request->sector_count);
}

/* Where in the buffer the bytes of a request go: anywhere, between margins. */
static uint8_t *place(struct agreement *all, size_t byte_len)
{
    uint8_t *bytes = all->buffer + test_random_below(&all->random, MARGIN_BYTES) + 1;
    memset(all->buffer, MARGIN, (size_t)(bytes - all->buffer));
    memset(bytes + byte_len, MARGIN, MARGIN_BYTES - 1);
    return bytes;
}

static bool margins_are_whole(const struct agreement *all, const uint8_t *bytes, size_t byte_len)
{
    bool whole = true;
    for (const uint8_t *at = all->buffer; at < bytes; at++)
        whole = whole && *at == MARGIN;
    for (size_t i = 0; i < MARGIN_BYTES - 1; i++)
        whole = whole && bytes[byte_len + i] == MARGIN;
    return whole;
}

static void crypt_flat(struct agreement *all, const struct request *request, size_t engine,
                       bool decrypt, const uint8_t *from, uint8_t *to)
{
    const struct xts *xts = request->key->xts[engine];
    if (request->raw) {
        const struct xts_engine *raw = all->engines[engine];
        (decrypt ? raw->decrypt : raw->encrypt)(request->key->state[engine], request->tweak, from,
                                                to, request->sector_count);
    } else {
        (decrypt ? xts_decrypt : xts_encrypt)(xts, request->tweak.high, from, to,
                                              request->sector_count);
    }
}

/* Gathers plain text from pieces, which stay as they are. */
static void encrypt_scattered(struct agreement *all, const struct request *request, size_t engine,
                              const uint8_t *plain, uint8_t *to)
{
    struct scatter *scatter = &all->scatter;
    scatter_make(scatter, &all->random, request->sector_count);
    scatter_put(scatter, scatter->arena, plain);
    memcpy(all->expected, scatter->arena, scatter->span_bytes);
    xts_encrypt_from_iov(request->key->xts[engine], request->tweak.high, scatter->iov,
                         scatter->iov_count, scatter->byte_offset, to, request->sector_count);
    if (memcmp(scatter->arena, all->expected, scatter->span_bytes) != 0)
        disagree(all, request, engine, "what it gathers");
}

/* Scatters plain text to pieces, and touches nothing beside them. */
static void decrypt_scattered(struct agreement *all, const struct request *request, size_t engine,
                              uint8_t *bytes, const uint8_t *plain)
{
    struct scatter *scatter = &all->scatter;
    scatter_make(scatter, &all->random, request->sector_count);
    memcpy(all->expected, scatter->arena, scatter->span_bytes);
    scatter_put(scatter, all->expected, plain);
    xts_decrypt_to_iov(request->key->xts[engine], request->tweak.high, bytes, scatter->iov,
                       scatter->iov_count, scatter->byte_offset, request->sector_count);
    if (memcmp(scatter->arena, all->expected, scatter->span_bytes) != 0)
        disagree(all, request, engine, "what it scatters");
}

/* The first engine's result is what the others are compared with. */
static void encrypt_on(struct agreement *all, const struct request *request, size_t engine,
                       const uint8_t *plain)
{
    size_t byte_len = sectors_to_bytes(request->sector_count);
    uint8_t *bytes = place(all, byte_len);
    enum way way = random_way(all, request, engine);
    if (way == SCATTERED) {
        encrypt_scattered(all, request, engine, plain, bytes);
    } else if (way == COPYING) {
        crypt_flat(all, request, engine, false, plain, bytes);
    } else {
        memcpy(bytes, plain, byte_len);
        crypt_flat(all, request, engine, false, bytes, bytes);
    }
    if (!margins_are_whole(all, bytes, byte_len))
        disagree(all, request, engine, "what is around its result");
    if (engine == 0)
        memcpy(all->cipher, bytes, byte_len);
    else if (memcmp(bytes, all->cipher, byte_len) != 0)
        disagree(all, request, engine, "encryption");
    all->comparisons += engine != 0;
}

static void decrypt_on(struct agreement *all, const struct request *request, size_t engine,
                       const uint8_t *plain)
{
    size_t byte_len = sectors_to_bytes(request->sector_count);
    uint8_t *bytes = place(all, byte_len);
    enum way way = random_way(all, request, engine);
    if (way == COPYING) {
        crypt_flat(all, request, engine, true, all->cipher, bytes);
    } else {
        memcpy(bytes, all->cipher, byte_len);
        if (way == SCATTERED)
            decrypt_scattered(all, request, engine, bytes, plain);
        else
            crypt_flat(all, request, engine, true, bytes, bytes);
    }
    if (!margins_are_whole(all, bytes, byte_len))
        disagree(all, request, engine, "what is around its result");
    if (way != SCATTERED && memcmp(bytes, plain, byte_len) != 0)
        disagree(all, request, engine, "decryption");
    all->comparisons++;
}

static void run(struct agreement *all, uint64_t requests)
{
    for (uint64_t i = 0; i < requests; i++) {
        if (i % REQUESTS_PER_KEY == 0 && i > 0) {
            struct key *key = &all->keys[test_random_below(&all->random, KEYS)];
            key_end(all, key);
            key_make(all, key);
        }
        struct request request = random_request(all);
        size_t byte_len = sectors_to_bytes(request.sector_count);
        const uint8_t *plain = all->pool + test_random_below(&all->random, POOL_BYTES - byte_len);
        for (size_t engine = 0; engine < all->engine_count; engine++)
            encrypt_on(all, &request, engine, plain);
        for (size_t engine = 0; engine < all->engine_count; engine++)
            decrypt_on(all, &request, engine, plain);
    }
}

static void print_counts(const struct agreement *all, uint64_t requests)
{
    char names[64] = "";
    for (size_t i = 0; i < all->engine_count; i++) {
        size_t used = strlen(names);
        snprintf(names + used, sizeof(names) - used, "%s%s", i == 0 ? "" : ", ",
                 all->engines[i]->name);
    }
    printf("%" PRIu64 " random requests to each of %s, seed %" PRIu64 ": %" PRIu64
           " comparisons of %" PRIu64 " sectors; %" PRIu64 " in place, %" PRIu64
           " copying, %" PRIu64 " scattered; %" PRIu64 " requests wrapped around; %" PRIu64
           " key pairs\n",
           requests, names, test_seed(), all->comparisons, all->sectors, all->in_way[IN_PLACE],
           all->in_way[COPYING], all->in_way[SCATTERED], all->wrapped, all->keys_made);
    fflush(stdout);
}

/* The engines that work here. */
static void find_engines(struct agreement *all)
{
    for (enum xts_engine_kind kind = XTS_ENGINE_VAES512; kind <= XTS_ENGINE_OPENSSL; kind++) {
        const struct xts_engine *engine = xts_check_engine_of(kind);
        if (engine && xts_check_offered(kind, NULL))
            all->engines[all->engine_count++] = engine;
    }
}

/* Without AES-NI there is nothing but libraries, of which Debian has one. */
static const char *why_there_is_one_engine(void)
{
#if defined(__x86_64__)
    if (!cpu_lacks_for_aesni())
        return "all engines but one are missing, though libcrypto.so.3 could be installed";
#endif
    return "the CPU lacks AES-NI, and one library alone has nothing to agree with";
}

static void all_engines_agree_on_random_requests(void **state)
{
    (void)state;
    static struct agreement agreement;
    struct agreement *all = &agreement;
    find_engines(all);
    if (all->engine_count < 2)
        skip_because(why_there_is_one_engine());
    all->random = (struct test_random){test_seed()};
    test_random_fill(&all->random, all->pool, POOL_BYTES);
    for (int i = 0; i < KEYS; i++)
        key_make(all, &all->keys[i]);
    uint64_t requests = test_count(20000, 1000000);
    run(all, requests);
    print_counts(all, requests);
    struct test_random again = {test_seed()};
    for (size_t i = 0; i < POOL_BYTES; i++)
        assert_int_equal(all->pool[i], (uint8_t)(test_random_next(&again) >> 32));
    for (int i = 0; i < KEYS; i++)
        key_end(all, &all->keys[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_engines_agree_on_random_requests),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
