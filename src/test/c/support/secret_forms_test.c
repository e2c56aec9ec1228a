/* SPDX-License-Identifier: AGPL-3.0-only */
/* The forms of a key, and that each of them is found. */
#include "support/secret_forms.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "support/cmocka_test.h"
#include "support/reference_aes.h"
#include "support/test_scale.h"

enum { MEMORY_BYTES = 8192, PLANT_MAX = 1024 };

/* The bytes 0x35, 0xbe, 0x47, …: no two alike. */
static const char key_base64[] = "Nb5H0FnpcvqDDJUepze4wEnSW+Rt9n8HkBmiK7Q9xk8=";

static uint8_t key[SECRET_KEY_BYTES];

static int decode_key(void **state)
{
    (void)state;
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (size_t i = 0; i < sizeof(key); i++) {
        uint32_t bits = 0;
        for (size_t j = 0; j < 4; j++) {
            const char *digit = strchr(digits, key_base64[i / 3 * 4 + j]);
            bits = bits << 6 | (digit == NULL ? 0 : (uint32_t)(digit - digits));
        }
        key[i] = (uint8_t)(bits >> (16 - 8 * (i % 3)));
    }
    return 0;
}

static void fill_randomly(uint8_t *memory)
{
    struct test_random random = {test_seed()};

    for (size_t i = 0; i < MEMORY_BYTES; i++) {
        memory[i] = (uint8_t)test_random_next(&random);
    }
}

/* Searches random memory with the plant at every alignment; each time there must be one finding of
 * a form whose name has these words. */
static void assert_found(const void *plant, size_t byte_len, const char *words)
{
    struct secret_forms forms;
    uint8_t memory[MEMORY_BYTES];
    uint32_t seen = 0;

    assert_int_equal(secret_forms_init(&forms), 0);
    assert_int_equal(secret_forms_add_key(&forms, "disk", key), 0);
    for (size_t at = 1000; at < 1000 + 2 * PIECE_BYTES; at++) {
        uint64_t address = at * UINT64_C(0x100000);
        bool found = false;
        fill_randomly(memory);
        memcpy(memory + at, plant, byte_len);
        secret_forms_search(&forms, address, memory, sizeof(memory));
        for (; seen < forms.finding_count; seen++) {
            const struct secret_finding *finding = &forms.findings[seen];
            const struct secret_form *form = &forms.forms[finding->form];
            assert_in_range(finding->address, address + at, address + at + byte_len);
            found =
                found || (finding->pieces >= form->pieces_min && strstr(form->name, words) != NULL);
        }
        assert_true(found);
    }
    secret_forms_free(&forms);
}

static void finds_nothing_in_random_memory(void **state)
{
    (void)state;
    struct secret_forms forms;
    uint8_t memory[MEMORY_BYTES];

    assert_int_equal(secret_forms_init(&forms), 0);
    assert_int_equal(secret_forms_add_key(&forms, "disk", key), 0);
    assert_int_equal(secret_forms_add_wrapped(&forms, "disk", "abcdefghijklmnopqrstuv=="), 0);
    fill_randomly(memory);
    secret_forms_search(&forms, 0, memory, sizeof(memory));
    assert_int_equal(secret_forms_finish(&forms), 0);
    assert_int_equal(forms.finding_count, 0);
    secret_forms_free(&forms);
}

static void finds_the_raw_key_and_each_half_of_it(void **state)
{
    (void)state;
    assert_found(key, sizeof(key), "encryption schedule");
    assert_found(key, 16, "encryption schedule");
    assert_found(key + 16, 16, "encryption schedule");
}

static void words_reversed(const uint8_t *from, uint8_t *to, size_t byte_len)
{
    for (size_t i = 0; i < byte_len; i++) {
        to[i] = from[i / 4 * 4 + 3 - i % 4];
    }
}

static void finds_every_round_key_of_both_schedules(void **state)
{
    (void)state;
    uint8_t encrypt[REFERENCE_SCHEDULE_BYTES], decrypt[REFERENCE_SCHEDULE_BYTES];
    uint8_t words[16];

    reference_expand(key, encrypt, decrypt);
    for (size_t at = 0; at < REFERENCE_SCHEDULE_BYTES; at += 16) {
        assert_found(encrypt + at, 16, "schedule");
        assert_found(decrypt + at, 16, "schedule");
        words_reversed(encrypt + at, words, sizeof(words));
        assert_found(words, 16, "schedule in words");
        words_reversed(decrypt + at, words, sizeof(words));
        assert_found(words, 16, "schedule in words");
    }
}

static void assert_text_found(const char *text, const char *words)
{
    uint8_t wide[PLANT_MAX] = {0};

    assert_found(text, strlen(text), words);
    for (size_t width = 2; width <= 4; width *= 2) {
        memset(wide, 0, sizeof(wide));
        for (size_t i = 0; i < strlen(text); i++) {
            wide[i * width] = (uint8_t)text[i];
        }
        assert_found(wide, strlen(text) * width, words);
    }
}

static void digits_of(const char *digits, char *text)
{
    for (size_t i = 0; i < sizeof(key); i++) {
        text[2 * i] = digits[key[i] >> 4];
        text[2 * i + 1] = digits[key[i] & 15];
    }
    text[2 * sizeof(key)] = '\0';
}

static void finds_texts_in_characters_of_any_width(void **state)
{
    (void)state;
    char digits[2 * sizeof(key) + 1];

    assert_text_found(key_base64, "base64");
    digits_of("0123456789abcdef", digits);
    assert_text_found(digits, "digits");
    digits_of("0123456789ABCDEF", digits);
    assert_text_found(digits, "capital digits");
}

static void finds_words_and_bytes_of_a_dump(void **state)
{
    (void)state;
    for (size_t at = 0; at + 8 <= sizeof(key); at++) {
        uint64_t word;
        char text[32];
        memcpy(&word, key + at, sizeof(word));
        snprintf(text, sizeof(text), "0x%016" PRIx64, word);
        assert_found(text, strlen(text), "dump");
        snprintf(text, sizeof(text), "%016" PRIX64, word);
        assert_found(text, strlen(text), "dump");
        snprintf(text, sizeof(text), "%02x %02x %02x %02x %02x %02x", key[at], key[at + 1],
                 key[at + 2], key[at + 3], key[at + 4], key[at + 5]);
        assert_found(text, strlen(text), "dump");
    }
}

/* A copy that is whole is a schedule, one of its first two pieces is the key. */
static void tells_the_raw_key_from_a_schedule(void **state)
{
    (void)state;
    uint8_t encrypt[REFERENCE_SCHEDULE_BYTES], decrypt[REFERENCE_SCHEDULE_BYTES];
    static const struct {
        size_t from, byte_len;
        bool raw;
    } copies[] = {{0, 32, true},  {0, 48, true},   {0, REFERENCE_SCHEDULE_BYTES, false},
                  {0, 16, false}, {16, 16, false}, {16, 224, false}};

    reference_expand(key, encrypt, decrypt);
    for (size_t i = 0; i < sizeof(copies) / sizeof(copies[0]); i++) {
        struct secret_forms forms;
        assert_int_equal(secret_forms_init(&forms), 0);
        assert_int_equal(secret_forms_add_key(&forms, "disk", key), 0);
        secret_forms_search(&forms, 0, encrypt + copies[i].from, copies[i].byte_len);
        assert_int_equal(secret_forms_finish(&forms), 0);
        assert_int_equal(forms.finding_count, 1);
        assert_int_equal(forms.findings[0].pieces, copies[i].byte_len / PIECE_BYTES);
        assert_int_equal(secret_finding_is_raw_key(&forms, &forms.findings[0]), copies[i].raw);
        secret_forms_free(&forms);
    }
}

static void counts_copies_one_by_one(void **state)
{
    (void)state;
    struct secret_forms forms;
    uint8_t memory[MEMORY_BYTES];

    assert_int_equal(secret_forms_init(&forms), 0);
    assert_int_equal(secret_forms_add_key(&forms, "disk", key), 0);
    fill_randomly(memory);
    memcpy(memory + 101, key, sizeof(key));
    memcpy(memory + 101 + sizeof(key), key, sizeof(key));
    memcpy(memory + 5003, key, sizeof(key));
    secret_forms_search(&forms, 0, memory, sizeof(memory));
    assert_int_equal(secret_forms_finish(&forms), 0);
    assert_int_equal(forms.finding_count, 3);
    secret_forms_free(&forms);
}

/* The result of reading a file with this content. */
static int read_file(const char *content, struct secret_forms *forms)
{
    char path[] = "/tmp/secret_forms_test.XXXXXX";
    int fd = mkstemp(path), result;

    assert_true(fd >= 0);
    assert_int_equal(write(fd, content, strlen(content)), strlen(content));
    close(fd);
    assert_int_equal(secret_forms_init(forms), 0);
    result = secret_forms_read(forms, path);
    unlink(path);
    return result;
}

static void reads_keys_and_wrapped_keys_from_a_file(void **state)
{
    (void)state;
    static const char wrapped[] = "b64ofsomewrappedvalue0123456789+/AAAA";
    struct secret_forms forms;
    char content[256];

    snprintf(content, sizeof(content), "key disk %s\nwrapped data %s\n", key_base64, wrapped);
    assert_int_equal(read_file(content, &forms), 0);
    secret_forms_search(&forms, 0, key, sizeof(key));
    secret_forms_search(&forms, 4096, (const uint8_t *)wrapped, strlen(wrapped));
    assert_int_equal(secret_forms_finish(&forms), 0);
    assert_int_equal(forms.finding_count, 2);
    assert_int_equal(forms.forms[forms.findings[0].form].kind, SECRET_FORM_BINARY);
    assert_int_equal(forms.forms[forms.findings[1].form].kind, SECRET_FORM_WRAPPED);
    secret_forms_free(&forms);
}

static void refuses_what_it_does_not_understand(void **state)
{
    (void)state;
    static const char *const contents[] = {
        "key disk\n", "key disk AAAA\n", "other disk AAAA\n", "wrapped disk AAAA\n",
        "key disk AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n"};
    struct secret_forms forms;

    for (size_t i = 0; i < sizeof(contents) / sizeof(contents[0]); i++) {
        assert_int_equal(read_file(contents[i], &forms), -EBADMSG);
        secret_forms_free(&forms);
    }
    assert_int_equal(secret_forms_init(&forms), 0);
    assert_int_equal(secret_forms_read(&forms, "/nonexistent/secrets"), -ENOENT);
    secret_forms_free(&forms);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_nothing_in_random_memory),
        cmocka_unit_test(finds_the_raw_key_and_each_half_of_it),
        cmocka_unit_test(finds_every_round_key_of_both_schedules),
        cmocka_unit_test(finds_texts_in_characters_of_any_width),
        cmocka_unit_test(finds_words_and_bytes_of_a_dump),
        cmocka_unit_test(tells_the_raw_key_from_a_schedule),
        cmocka_unit_test(counts_copies_one_by_one),
        cmocka_unit_test(reads_keys_and_wrapped_keys_from_a_file),
        cmocka_unit_test(refuses_what_it_does_not_understand),
    };
    return cmocka_run_group_tests(tests, decode_key, NULL);
}
