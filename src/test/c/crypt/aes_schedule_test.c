/* SPDX-License-Identifier: AGPL-3.0-only */
/* AES-256 key schedules. */
#include "crypt/aes_schedule.h"

#include <stdlib.h>
#include <string.h>

#include "crypt/cpu.h"
#include "support/cmocka_test.h"
#include "support/reference_aes.h"
#include "support/test_scale.h"
#include "support/vectors.h"

#if defined(__x86_64__)

static void assert_schedules(const uint8_t *key)
{
    struct aes_schedule encrypt, decrypt;
    uint8_t expected[2][REFERENCE_SCHEDULE_BYTES];
    aes_schedule_expand(key, &encrypt, &decrypt);
    reference_expand(key, expected[0], expected[1]);
    assert_memory_equal(encrypt.round, expected[0], REFERENCE_SCHEDULE_BYTES);
    assert_memory_equal(decrypt.round, expected[1], REFERENCE_SCHEDULE_BYTES);
    memset(&encrypt, 0, sizeof(encrypt));
    aes_schedule_expand(key, &encrypt, NULL);
    assert_memory_equal(encrypt.round, expected[0], REFERENCE_SCHEDULE_BYTES);
}

static void expands_random_keys_like_the_reference(void **state)
{
    (void)state;
    if (cpu_lacks_for_aesni())
        skip_because("the CPU lacks AES-NI");
    struct test_random random = {test_seed()};
    uint64_t count = test_count(1000, 100000);
    test_print_scale(count, "keys");
    for (uint64_t i = 0; i < count; i++) {
        uint64_t key[4];
        for (int word = 0; word < 4; word++)
            key[word] = test_random_next(&random);
        assert_schedules((const uint8_t *)key);
    }
}

#endif

/* FIPS 197, appendix C.3: key 00…1f, plain text 00 11 22 … ff. */
static void the_reference_meets_fips_197(void **state)
{
    (void)state;
    uint8_t key[32], block[16], encrypt[REFERENCE_SCHEDULE_BYTES],
        decrypt[REFERENCE_SCHEDULE_BYTES];
    static const uint8_t cipher[16] = {0x8e, 0xa2, 0xb7, 0xca, 0x51, 0x67, 0x45, 0xbf,
                                       0xea, 0xfc, 0x49, 0x90, 0x4b, 0x49, 0x60, 0x89};
    for (size_t i = 0; i < sizeof(key); i++)
        key[i] = (uint8_t)i;
    for (size_t i = 0; i < sizeof(block); i++)
        block[i] = (uint8_t)(0x11 * i);
    reference_expand(key, encrypt, decrypt);
    reference_block(encrypt, 0, block);
    assert_memory_equal(block, cipher, sizeof(block));
    reference_block(decrypt, 1, block);
    for (size_t i = 0; i < sizeof(block); i++)
        assert_int_equal(block[i], 0x11 * i);
}

/* The vectors with which the engines are checked, too, vouch for the reference. */
static void the_reference_meets_ieee_1619(void **state)
{
    (void)state;
    size_t byte_len;
    char *text = (char *)vector_file("xts/ieee1619.json", &byte_len);
    struct vector_object object;
    size_t count = 0;
    for (const char *position = NULL; vector_next(text, &position, &object); count++) {
        uint8_t key[2][32], tweak[16], plain[512], cipher[512], buffer[512];
        uint8_t data[2][REFERENCE_SCHEDULE_BYTES], other[2][REFERENCE_SCHEDULE_BYTES];
        vector_hex(&object, "key1_data", key[0], 32);
        vector_hex(&object, "key2_tweak", key[1], 32);
        vector_hex(&object, "tweak", tweak, 16);
        vector_hex(&object, "plaintext", plain, 512);
        vector_hex(&object, "ciphertext", cipher, 512);
        reference_expand(key[0], data[0], data[1]);
        reference_expand(key[1], other[0], other[1]);
        reference_xts(data[0], other[0], 0, tweak, plain, buffer, 512);
        assert_memory_equal(buffer, cipher, 512);
        reference_xts(data[1], other[0], 1, tweak, buffer, buffer, 512);
        assert_memory_equal(buffer, plain, 512);
    }
    assert_int_equal(count, 5);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_reference_meets_fips_197),
        cmocka_unit_test(the_reference_meets_ieee_1619),
#if defined(__x86_64__)
        cmocka_unit_test(expands_random_keys_like_the_reference),
#endif
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
