/* SPDX-License-Identifier: AGPL-3.0-only */
#include "support/xts_check.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/sector.h"
#include "support/cmocka_test.h"
#include "support/reference_aes.h"
#include "support/scatter.h"
#include "support/test_scale.h"
#include "support/vectors.h"
#include "support/xts_published.h"

#if defined(__SANITIZE_THREAD__)
#define TEST_RACES_ARE_REPORTED true
#elif defined(__has_feature)
#define TEST_RACES_ARE_REPORTED __has_feature(thread_sanitizer)
#else
#define TEST_RACES_ARE_REPORTED false
#endif

enum { SECTORS_MAX = SCATTER_SECTORS_MAX, THREADS = 4 };

void xts_reference_from(const uint8_t *data_key, const uint8_t *tweak_key, bool decrypt,
                        struct xts_tweak first, const uint8_t *source, uint8_t *destination,
                        size_t sector_count)
{
    uint8_t data[2][REFERENCE_SCHEDULE_BYTES], tweak[2][REFERENCE_SCHEDULE_BYTES];
    reference_expand(data_key, data[0], data[1]);
    reference_expand(tweak_key, tweak[0], tweak[1]);
    for (size_t i = 0; i < sector_count; i++) {
        uint8_t bytes[16];
        for (int byte = 0; byte < 8; byte++) {
            bytes[byte] = (uint8_t)(first.low >> (8 * byte));
            bytes[8 + byte] = (uint8_t)((first.high + i) >> (8 * byte));
        }
        reference_xts(data[decrypt], tweak[0], decrypt, bytes, source + sectors_to_bytes(i),
                      destination + sectors_to_bytes(i), SECTOR_BYTES);
    }
}

void xts_reference(const uint8_t *data_key, const uint8_t *tweak_key, bool decrypt, uint64_t sector,
                   const uint8_t *source, uint8_t *destination, size_t sector_count)
{
    xts_reference_from(data_key, tweak_key, decrypt, (struct xts_tweak){0, sector}, source,
                       destination, sector_count);
}

const struct xts_engine *xts_check_engine_of(enum xts_engine_kind kind)
{
    switch (kind) {
#if defined(__x86_64__)
    case XTS_ENGINE_VAES512:
        return &xts_vaes512_engine;
    case XTS_ENGINE_VAES256:
        return &xts_vaes256_engine;
    case XTS_ENGINE_AESNI:
        return &xts_aesni_engine;
#endif
    case XTS_ENGINE_ISAL:
        return &xts_isal_engine;
    case XTS_ENGINE_OPENSSL:
        return &xts_openssl_engine;
    default:
        return NULL;
    }
}

bool xts_check_offered(enum xts_engine_kind kind, struct error *error)
{
    static const uint8_t data_key[XTS_KEY_BYTES] = {1}, tweak_key[XTS_KEY_BYTES] = {2};
    struct xts *xts;
    int result = xts_create(data_key, tweak_key, kind, NULL, &xts, error);
    if (result == 0)
        xts_destroy(xts);
    assert_true(result == 0 || result == -ENOTSUP);
    return result == 0;
}

bool xts_check_available(enum xts_engine_kind kind)
{
    struct error error = {0};
    bool offered = xts_check_offered(kind, &error);
    if (!offered)
        print_message("skipped: %s\n", error.message);
    return offered;
}

struct xts *xts_check_create(enum xts_engine_kind kind, const uint8_t *data_key,
                             const uint8_t *tweak_key)
{
    struct error error = {0};
    struct xts *xts = NULL;
    if (xts_create(data_key, tweak_key, kind, NULL, &xts, &error) != 0)
        fail_msg("%s", error.message);
    return xts;
}

struct bench {
    uint8_t plain[SECTORS_MAX * SECTOR_BYTES];
    uint8_t cipher[SECTORS_MAX * SECTOR_BYTES];
    uint8_t buffer[SECTORS_MAX * SECTOR_BYTES + 64];
    uint8_t other[SECTORS_MAX * SECTOR_BYTES + 64];
    uint8_t arena[SCATTER_ARENA_BYTES];
    struct scatter scatter;
};

static void check_flat(const struct xts *xts, struct bench *bench, struct test_random *random,
                       uint64_t sector, size_t sector_count)
{
    size_t byte_len = sectors_to_bytes(sector_count);
    uint8_t *one = bench->buffer + test_random_below(random, 64);
    uint8_t *two = bench->other + test_random_below(random, 64);
    memcpy(one, bench->plain, byte_len);
    xts_encrypt(xts, sector, one, two, sector_count);
    assert_memory_equal(one, bench->plain, byte_len);
    assert_memory_equal(two, bench->cipher, byte_len);
    xts_encrypt(xts, sector, one, one, sector_count);
    assert_memory_equal(one, bench->cipher, byte_len);
    memset(two, 0, byte_len);
    xts_decrypt(xts, sector, one, two, sector_count);
    assert_memory_equal(one, bench->cipher, byte_len);
    assert_memory_equal(two, bench->plain, byte_len);
    xts_decrypt(xts, sector, one, one, sector_count);
    assert_memory_equal(one, bench->plain, byte_len);
}

static void check_scattered(const struct xts *xts, struct bench *bench, struct test_random *random,
                            uint64_t sector, size_t sector_count)
{
    size_t byte_len = sectors_to_bytes(sector_count);
    struct scatter *scatter = &bench->scatter;
    uint8_t *bounce = bench->buffer + test_random_below(random, 64);
    scatter_make(scatter, random, sector_count);
    memset(scatter->arena, 0xa5, SCATTER_ARENA_BYTES);
    scatter_put(scatter, scatter->arena, bench->plain);
    memcpy(bench->arena, scatter->arena, SCATTER_ARENA_BYTES);
    xts_encrypt_from_iov(xts, sector, scatter->iov, scatter->iov_count, scatter->byte_offset,
                         bounce, sector_count);
    assert_memory_equal(bounce, bench->cipher, byte_len);
    assert_memory_equal(scatter->arena, bench->arena, SCATTER_ARENA_BYTES);
    memset(scatter->arena, 0xa5, SCATTER_ARENA_BYTES);
    xts_decrypt_to_iov(xts, sector, bounce, scatter->iov, scatter->iov_count, scatter->byte_offset,
                       sector_count);
    assert_memory_equal(scatter->arena, bench->arena, SCATTER_ARENA_BYTES);
}

static enum xts_engine_kind engine_or_skip(void **state)
{
    enum xts_engine_kind kind = *(enum xts_engine_kind *)*state;
    if (!xts_check_available(kind))
        skip();
    return kind;
}

static void matches_the_golden_vectors(void **state)
{
    enum xts_engine_kind kind = engine_or_skip(state);
    struct bench *bench = malloc(sizeof(*bench));
    struct test_random random = {test_seed()};
    size_t byte_len, count = 0;
    char *text = (char *)vector_file("xts/sectors.json", &byte_len);
    struct vector_object object;
    for (const char *position = NULL; vector_next(text, &position, &object); count++) {
        uint8_t data_key[XTS_KEY_BYTES], tweak_key[XTS_KEY_BYTES];
        vector_hex(&object, "key1_data", data_key, XTS_KEY_BYTES);
        vector_hex(&object, "key2_tweak", tweak_key, XTS_KEY_BYTES);
        vector_hex(&object, "plaintext", bench->plain, SECTOR_BYTES);
        vector_hex(&object, "ciphertext", bench->cipher, SECTOR_BYTES);
        uint64_t sector = vector_number(&object, "sector");
        struct xts *xts = xts_check_create(kind, data_key, tweak_key);
        check_flat(xts, bench, &random, sector, 1);
        check_scattered(xts, bench, &random, sector, 1);
        xts_destroy(xts);
    }
    assert_int_equal(count, 10);
    free(text);
    free(bench);
}

static void matches_the_reference_on_random_sectors(void **state)
{
    enum xts_engine_kind kind = engine_or_skip(state);
    struct bench *bench = malloc(sizeof(*bench));
    struct test_random random = {test_seed() + (uint64_t)kind};
    /* ISA-L's stand-in is as slow as the reference, and the self-test uses it too. */
    uint64_t count = kind == XTS_ENGINE_ISAL ? test_count(20, 200) : test_count(100, 3000);
    test_print_scale(count, "runs of sectors");
    for (uint64_t i = 0; i < count; i++) {
        uint8_t data_key[XTS_KEY_BYTES], tweak_key[XTS_KEY_BYTES];
        test_random_fill(&random, data_key, XTS_KEY_BYTES);
        test_random_fill(&random, tweak_key, XTS_KEY_BYTES);
        uint64_t sector = test_random_next(&random) >> test_random_below(&random, 64);
        uint64_t limit = test_random_one_in(&random, 20) ? SECTORS_MAX : 20;
        size_t sector_count = 1 + test_random_below(&random, limit);
        test_random_fill(&random, bench->plain, sectors_to_bytes(sector_count));
        xts_reference(data_key, tweak_key, false, sector, bench->plain, bench->cipher,
                      sector_count);
        struct xts *xts = xts_check_create(kind, data_key, tweak_key);
        check_flat(xts, bench, &random, sector, sector_count);
        for (uint64_t lists = test_count(3, 10); lists > 0; lists--)
            check_scattered(xts, bench, &random, sector, sector_count);
        xts_destroy(xts);
    }
    free(bench);
}

static void counts_up_to_the_last_sector_number(void **state)
{
    enum xts_engine_kind kind = engine_or_skip(state);
    static const uint8_t data_key[XTS_KEY_BYTES] = {3}, tweak_key[XTS_KEY_BYTES] = {4};
    struct bench *bench = malloc(sizeof(*bench));
    struct test_random random = {test_seed()};
    struct xts *xts = xts_check_create(kind, data_key, tweak_key);
    for (size_t sector_count = 1; sector_count <= 9; sector_count++) {
        uint64_t sector = UINT64_MAX - sector_count + 1;
        test_random_fill(&random, bench->plain, sectors_to_bytes(sector_count));
        xts_reference(data_key, tweak_key, false, sector, bench->plain, bench->cipher,
                      sector_count);
        check_flat(xts, bench, &random, sector, sector_count);
        check_scattered(xts, bench, &random, sector, sector_count);
    }
    xts_destroy(xts);
    free(bench);
}

static void writes_nothing_but_the_destination(void **state)
{
    enum xts_engine_kind kind = engine_or_skip(state);
    static const uint8_t data_key[XTS_KEY_BYTES] = {5}, tweak_key[XTS_KEY_BYTES] = {6};
    enum { MARGIN = 64, COUNT = 6, BYTES = COUNT * SECTOR_BYTES };
    struct xts *xts = xts_check_create(kind, data_key, tweak_key);
    for (size_t sector_count = 0; sector_count <= COUNT; sector_count++) {
        uint8_t source[BYTES] = {7}, destination[MARGIN + BYTES + MARGIN];
        size_t byte_len = sectors_to_bytes(sector_count);
        memset(destination, 0x5a, sizeof(destination));
        xts_encrypt(xts, 1, source, destination + MARGIN, sector_count);
        xts_decrypt(xts, 1, source, destination + MARGIN, sector_count);
        xts_encrypt_from_iov(xts, 1, &(struct iovec){source, byte_len}, 1, 0, destination + MARGIN,
                             sector_count);
        for (size_t i = 0; i < MARGIN; i++)
            assert_int_equal(destination[i], 0x5a);
        for (size_t i = MARGIN + byte_len; i < sizeof(destination); i++)
            assert_int_equal(destination[i], 0x5a);
    }
    xts_destroy(xts);
}

struct worker {
    pthread_t thread;
    const struct xts *xts;
    const struct bench *bench;
    uint64_t rounds;
    bool failed;
};

static void *worker_run(void *opaque)
{
    enum { COUNT = 13, BYTES = COUNT * SECTOR_BYTES };
    struct worker *worker = opaque;
    for (uint64_t i = 0; i < worker->rounds && !worker->failed; i++) {
        uint8_t buffer[BYTES];
        xts_encrypt(worker->xts, 77, worker->bench->plain, buffer, COUNT);
        worker->failed = memcmp(buffer, worker->bench->cipher, BYTES) != 0;
        xts_decrypt(worker->xts, 77, buffer, buffer, COUNT);
        worker->failed |= memcmp(buffer, worker->bench->plain, BYTES) != 0;
    }
    return NULL;
}

static void serves_several_threads_at_once(void **state)
{
    enum xts_engine_kind kind = engine_or_skip(state);
    static const uint8_t data_key[XTS_KEY_BYTES] = {8}, tweak_key[XTS_KEY_BYTES] = {9};
    struct bench *bench = malloc(sizeof(*bench));
    struct test_random random = {test_seed()};
    struct xts *xts = xts_check_create(kind, data_key, tweak_key);
    test_random_fill(&random, bench->plain, sizeof(bench->plain));
    xts_reference(data_key, tweak_key, false, 77, bench->plain, bench->cipher, 13);
    struct worker workers[THREADS];
    for (int i = 0; i < THREADS; i++) {
        workers[i] = (struct worker){.xts = xts, .bench = bench, .rounds = test_count(100, 20000)};
        assert_int_equal(pthread_create(&workers[i].thread, NULL, worker_run, &workers[i]), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(workers[i].thread, NULL);
        assert_false(workers[i].failed);
    }
    xts_destroy(xts);
    free(bench);
}

/* A guest that touches its memory while we work on it: each thread ends when told to. */
struct intruder {
    pthread_t thread;
    volatile uint8_t *memory;
    size_t byte_len;
    _Atomic bool stop;
    uint64_t strange;
};

static void *intruder_toggle(void *opaque)
{
    struct intruder *intruder = opaque;
    for (uint8_t value = 0; !atomic_load(&intruder->stop); value = (uint8_t)~value) {
        for (size_t i = 0; i < intruder->byte_len; i++)
            intruder->memory[i] = value;
    }
    return NULL;
}

enum { BEFORE = 0xa5, PLAIN = 0x11 };

static void *intruder_watch(void *opaque)
{
    struct intruder *intruder = opaque;
    while (!atomic_load(&intruder->stop)) {
        for (size_t i = 0; i < intruder->byte_len; i++) {
            uint8_t value = intruder->memory[i];
            intruder->strange += value != BEFORE && value != PLAIN;
        }
    }
    return NULL;
}

static void intruder_start(struct intruder *intruder, void *(*run)(void *), uint8_t *memory,
                           size_t byte_len)
{
    *intruder = (struct intruder){.memory = memory, .byte_len = byte_len};
    assert_int_equal(pthread_create(&intruder->thread, NULL, run, intruder), 0);
}

static void intruder_stop(struct intruder *intruder)
{
    atomic_store(&intruder->stop, true);
    pthread_join(intruder->thread, NULL);
}

enum { GUEST_SECTORS = 8, GUEST_BYTES = GUEST_SECTORS * SECTOR_BYTES };

/* Segments that make an engine work on guest memory directly and in stages. */
static void guest_segments(uint8_t *guest, struct iovec iov[3])
{
    iov[0] = (struct iovec){guest, 4 * SECTOR_BYTES + 100};
    iov[1] = (struct iovec){guest + iov[0].iov_len, 300};
    iov[2] = (struct iovec){guest + iov[0].iov_len + 300, GUEST_BYTES - iov[0].iov_len - 300};
}

/* The guest's bytes are 00 or ff at any time. An engine that reads one twice (to encrypt it and
 * then for anything else) would mix both and decrypt to other values. */
static void reads_each_guest_byte_once(void **state)
{
    enum xts_engine_kind kind = engine_or_skip(state);
    if (TEST_RACES_ARE_REPORTED)
        skip_because("says nothing under a sanitizer");
    static const uint8_t data_key[XTS_KEY_BYTES] = {10}, tweak_key[XTS_KEY_BYTES] = {11};
    static uint8_t guest[GUEST_BYTES], bounce[GUEST_BYTES];
    struct xts *xts = xts_check_create(kind, data_key, tweak_key);
    struct iovec iov[3];
    guest_segments(guest, iov);
    struct intruder intruder;
    intruder_start(&intruder, intruder_toggle, guest, GUEST_BYTES);
    size_t strange = 0;
    for (uint64_t i = test_count(300, 20000); i > 0; i--) {
        xts_encrypt_from_iov(xts, i, iov, 3, 0, bounce, GUEST_SECTORS);
        xts_decrypt(xts, i, bounce, bounce, GUEST_SECTORS);
        for (size_t at = 0; at < GUEST_BYTES; at++)
            strange += bounce[at] != 0x00 && bounce[at] != 0xff;
    }
    intruder_stop(&intruder);
    assert_int_equal(strange, 0);
    xts_destroy(xts);
}

static void stores_only_plain_text_in_guest_memory(void **state)
{
    enum xts_engine_kind kind = engine_or_skip(state);
    if (TEST_RACES_ARE_REPORTED)
        skip_because("says nothing under a sanitizer");
    static const uint8_t data_key[XTS_KEY_BYTES] = {12}, tweak_key[XTS_KEY_BYTES] = {13};
    static uint8_t guest[GUEST_BYTES], bounce[GUEST_BYTES];
    struct xts *xts = xts_check_create(kind, data_key, tweak_key);
    struct iovec iov[3];
    guest_segments(guest, iov);
    memset(guest, BEFORE, GUEST_BYTES);
    struct intruder intruder;
    intruder_start(&intruder, intruder_watch, guest, GUEST_BYTES);
    for (uint64_t i = test_count(300, 20000); i > 0; i--) {
        memset(bounce, PLAIN, GUEST_BYTES);
        xts_encrypt(xts, i, bounce, bounce, GUEST_SECTORS);
        xts_decrypt_to_iov(xts, i, bounce, iov, 3, 0, GUEST_SECTORS);
        memset(guest, BEFORE, GUEST_BYTES);
    }
    intruder_stop(&intruder);
    assert_int_equal(intruder.strange, 0);
    xts_destroy(xts);
}

int xts_check_engine(enum xts_engine_kind kind)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_prestate(matches_the_golden_vectors, &kind),
        cmocka_unit_test_prestate(matches_the_reference_on_random_sectors, &kind),
        cmocka_unit_test_prestate(counts_up_to_the_last_sector_number, &kind),
        cmocka_unit_test_prestate(writes_nothing_but_the_destination, &kind),
        cmocka_unit_test_prestate(serves_several_threads_at_once, &kind),
        cmocka_unit_test_prestate(reads_each_guest_byte_once, &kind),
        cmocka_unit_test_prestate(stores_only_plain_text_in_guest_memory, &kind),
    };
    return cmocka_run_group_tests(tests, NULL, NULL) + xts_check_published(kind);
}
