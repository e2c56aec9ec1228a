/* SPDX-License-Identifier: AGPL-3.0-only */
#include "support/xts_published.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/sector.h"
#include "crypt/xts_engine.h"
#include "support/cmocka_test.h"
#include "support/vectors.h"
#include "support/xts_check.h"

enum { TEXT_BYTES = 160 };

static const struct xts_engine *engine_or_skip(void **state)
{
    enum xts_engine_kind kind = *(enum xts_engine_kind *)*state;
    if (!xts_check_available(kind))
        skip();
    return xts_check_engine_of(kind);
}

static uint64_t little_endian(const uint8_t bytes[8])
{
    uint64_t number = 0;
    for (int i = 7; i >= 0; i--)
        number = number << 8 | bytes[i];
    return number;
}

typedef void (*engine_crypt_fn)(void *state, struct xts_tweak tweak, const uint8_t *source,
                                uint8_t *destination, size_t sector_count);

/* One direction on a sector that begins with the data unit and goes on with anything. */
static void check_direction(const struct xts_engine *engine, engine_crypt_fn crypt, void *state,
                            struct xts_tweak tweak, const uint8_t *from, const uint8_t *to,
                            size_t byte_len)
{
    uint8_t source[SECTOR_BYTES], destination[SECTOR_BYTES] = {0};
    memset(source, 0x3c, sizeof(source));
    memcpy(source, from, byte_len);
    if (engine->single_pass) {
        crypt(state, tweak, source, destination, 1);
        assert_memory_equal(destination, to, byte_len);
    }
    crypt(state, tweak, source, source, 1);
    assert_memory_equal(source, to, byte_len);
}

static void check_vector(const struct xts_engine *engine, const struct vector_object *object,
                         size_t byte_len)
{
    uint8_t data_key[XTS_KEY_BYTES], tweak_key[XTS_KEY_BYTES], bytes[XTS_BLOCK_BYTES];
    uint8_t plain[SECTOR_BYTES], cipher[SECTOR_BYTES];
    assert_in_range(byte_len, XTS_BLOCK_BYTES, SECTOR_BYTES);
    vector_hex(object, "key1_data", data_key, XTS_KEY_BYTES);
    vector_hex(object, "key2_tweak", tweak_key, XTS_KEY_BYTES);
    vector_hex(object, "tweak", bytes, XTS_BLOCK_BYTES);
    vector_hex(object, "plaintext", plain, byte_len);
    vector_hex(object, "ciphertext", cipher, byte_len);
    struct xts_tweak tweak = {little_endian(bytes), little_endian(bytes + 8)};
    struct error error = {0};
    void *state;
    if (engine->create(data_key, tweak_key, NULL, &state, &error) != 0)
        fail_msg("%s", error.message);
    check_direction(engine, engine->encrypt, state, tweak, plain, cipher, byte_len);
    check_direction(engine, engine->decrypt, state, tweak, cipher, plain, byte_len);
    engine->destroy(state);
}

static void meets_ieee_1619(void **state)
{
    const struct xts_engine *engine = engine_or_skip(state);
    size_t byte_len, count = 0;
    char *text = (char *)vector_file("xts/ieee1619.json", &byte_len);
    struct vector_object object;
    for (const char *position = NULL; vector_next(text, &position, &object); count++)
        check_vector(engine, &object, SECTOR_BYTES);
    assert_int_equal(count, 5);
    print_message("%s: 5 of the 5 IEEE 1619 vectors of AES-256 with 512-byte data units\n",
                  engine->name);
    free(text);
}

/* The first object says what the file is and how many of its vectors are not in it. */
static void check_cavp(const struct xts_engine *engine, const char *path)
{
    size_t byte_len;
    char *text = (char *)vector_file(path, &byte_len);
    struct vector_object object;
    const char *position = NULL;
    char name[TEXT_BYTES], left_out[TEXT_BYTES];
    assert_true(vector_next(text, &position, &object));
    uint64_t all = vector_number(&object, "vectors");
    uint64_t whole_blocks = vector_number(&object, "whole_blocks");
    vector_string(&object, "name", name, sizeof(name));
    vector_string(&object, "left_out", left_out, sizeof(left_out));
    uint64_t count = 0;
    for (; vector_next(text, &position, &object); count++)
        check_vector(engine, &object, vector_number(&object, "bytes"));
    assert_int_equal(count, whole_blocks);
    print_message("%s: %llu of the %llu vectors of %s; the other %llu have %s\n", engine->name,
                  (unsigned long long)count, (unsigned long long)all, name,
                  (unsigned long long)(all - count), left_out);
    free(text);
}

static void meets_nist_cavp_with_tweaks_of_any_bytes(void **state)
{
    check_cavp(engine_or_skip(state), "xts/nist_128hexstr.json");
}

static void meets_nist_cavp_with_data_unit_numbers(void **state)
{
    check_cavp(engine_or_skip(state), "xts/nist_dataunitseqno.json");
}

int xts_check_published(enum xts_engine_kind kind)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_prestate(meets_ieee_1619, &kind),
        cmocka_unit_test_prestate(meets_nist_cavp_with_tweaks_of_any_bytes, &kind),
        cmocka_unit_test_prestate(meets_nist_cavp_with_data_unit_numbers, &kind),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
