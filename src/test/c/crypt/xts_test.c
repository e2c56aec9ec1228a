/* SPDX-License-Identifier: AGPL-3.0-only */
/* wrap: calloc malloc getrandom */
/* Choosing an engine, and the walk over scattered memory. */
#include "crypt/xts.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>

#include "base/error.h"
#include "base/log.h"
#include "base/sector.h"
#include "crypt/xts_engine.h"
#include "support/cmocka_test.h"
#include "support/vectors.h"
#include "support/xts_check.h"

void *__real_calloc(size_t count, size_t byte_len);
void *__wrap_calloc(size_t count, size_t byte_len);
void *__real_malloc(size_t byte_len);
void *__wrap_malloc(size_t byte_len);
ssize_t __real_getrandom(void *buffer, size_t byte_len, unsigned flags);
ssize_t __wrap_getrandom(void *buffer, size_t byte_len, unsigned flags);

static bool fail_calloc, fail_malloc, fail_getrandom;

void *__wrap_calloc(size_t count, size_t byte_len)
{
    return fail_calloc ? NULL : __real_calloc(count, byte_len);
}

void *__wrap_malloc(size_t byte_len)
{
    return fail_malloc ? NULL : __real_malloc(byte_len);
}

ssize_t __wrap_getrandom(void *buffer, size_t byte_len, unsigned flags)
{
    if (!fail_getrandom)
        return __real_getrandom(buffer, byte_len, flags);
    errno = ENOSYS;
    return -1;
}

static const uint8_t data_key[XTS_KEY_BYTES] = {1}, tweak_key[XTS_KEY_BYTES] = {2};

/* --- engines of this test: the reference, and variants with faults --- */

struct fake_state {
    uint8_t data_key[XTS_KEY_BYTES];
    uint8_t tweak_key[XTS_KEY_BYTES];
};

static int fake_states;

static int fake_create(const uint8_t *data, const uint8_t *tweak, struct log *log, void **out,
                       struct error *error)
{
    (void)log;
    (void)error;
    struct fake_state *state = __real_malloc(sizeof(*state));
    memcpy(state->data_key, data, XTS_KEY_BYTES);
    memcpy(state->tweak_key, tweak, XTS_KEY_BYTES);
    *out = state;
    fake_states++;
    return 0;
}

static int fake_create_not_here(const uint8_t *data, const uint8_t *tweak, struct log *log,
                                void **out, struct error *error)
{
    (void)data;
    (void)tweak;
    (void)log;
    (void)out;
    return error_set(error, -ENOTSUP, "the CPU lacks AES");
}

static void fake_destroy(void *state)
{
    free(state);
    fake_states--;
}

static void fake_encrypt(void *opaque, struct xts_tweak tweak, const uint8_t *source,
                         uint8_t *destination, size_t sector_count)
{
    const struct fake_state *state = opaque;
    xts_reference_from(state->data_key, state->tweak_key, false, tweak, source, destination,
                       sector_count);
}

static void fake_decrypt(void *opaque, struct xts_tweak tweak, const uint8_t *source,
                         uint8_t *destination, size_t sector_count)
{
    const struct fake_state *state = opaque;
    xts_reference_from(state->data_key, state->tweak_key, true, tweak, source, destination,
                       sector_count);
}

static bool keys_are_known(const struct fake_state *state)
{
    return state->data_key[31] == 0x1f && state->tweak_key[31] == 0x9f;
}

/* Right in the last sector of a run only. */
static void fake_encrypt_wrongly(void *state, struct xts_tweak tweak, const uint8_t *source,
                                 uint8_t *destination, size_t sector_count)
{
    fake_encrypt(state, tweak, source, destination, sector_count);
    destination[SECTOR_BYTES - 1] ^= 0x80;
}

static void fake_decrypt_wrongly(void *state, struct xts_tweak tweak, const uint8_t *source,
                                 uint8_t *destination, size_t sector_count)
{
    fake_decrypt(state, tweak, source, destination, sector_count);
    destination[0] ^= 1;
}

/* Passes the known answers and is wrong with any other keys, but decrypts what it encrypted. */
static void fake_crypt_by_rote(void *opaque, struct xts_tweak tweak, const uint8_t *source,
                               uint8_t *destination, size_t sector_count, bool decrypt)
{
    const struct fake_state *state = opaque;
    bool known = keys_are_known(state);
    xts_reference_from(state->data_key, known ? state->tweak_key : state->data_key, decrypt, tweak,
                       source, destination, sector_count);
}

static void fake_encrypt_by_rote(void *state, struct xts_tweak tweak, const uint8_t *source,
                                 uint8_t *destination, size_t sector_count)
{
    fake_crypt_by_rote(state, tweak, source, destination, sector_count, false);
}

static void fake_decrypt_by_rote(void *state, struct xts_tweak tweak, const uint8_t *source,
                                 uint8_t *destination, size_t sector_count)
{
    fake_crypt_by_rote(state, tweak, source, destination, sector_count, true);
}

/* A library: it must see private memory only, and that in place. */
static void fake_encrypt_in_place(void *state, struct xts_tweak tweak, const uint8_t *source,
                                  uint8_t *destination, size_t sector_count)
{
    assert_ptr_equal(source, destination);
    fake_encrypt(state, tweak, source, destination, sector_count);
}

static void fake_decrypt_in_place(void *state, struct xts_tweak tweak, const uint8_t *source,
                                  uint8_t *destination, size_t sector_count)
{
    assert_ptr_equal(source, destination);
    fake_decrypt(state, tweak, source, destination, sector_count);
}

#define FAKE(fake_name, fake_kind, single, make, forward, backward)                                \
    {                                                                                              \
        .name = fake_name, .kind = fake_kind, .single_pass = single, .create = make,               \
        .destroy = fake_destroy, .encrypt = forward, .decrypt = backward                           \
    }

static const struct xts_engine right =
    FAKE("right", XTS_ENGINE_AESNI, true, fake_create, fake_encrypt, fake_decrypt);
static const struct xts_engine also_right =
    FAKE("also-right", XTS_ENGINE_OPENSSL, true, fake_create, fake_encrypt, fake_decrypt);
static const struct xts_engine not_here =
    FAKE("not-here", XTS_ENGINE_VAES512, true, fake_create_not_here, fake_encrypt, fake_decrypt);
static const struct xts_engine encrypts_wrongly =
    FAKE("wrong", XTS_ENGINE_VAES256, true, fake_create, fake_encrypt_wrongly, fake_decrypt);
static const struct xts_engine decrypts_wrongly =
    FAKE("wrong-back", XTS_ENGINE_VAES256, true, fake_create, fake_encrypt, fake_decrypt_wrongly);
static const struct xts_engine by_rote = FAKE("by-rote", XTS_ENGINE_VAES256, false, fake_create,
                                              fake_encrypt_by_rote, fake_decrypt_by_rote);
static const struct xts_engine library = FAKE("library", XTS_ENGINE_ISAL, false, fake_create,
                                              fake_encrypt_in_place, fake_decrypt_in_place);

static int create_from(const struct xts_engine *const engines[], size_t engine_count,
                       enum xts_engine_kind kind, struct log *log, struct xts **xts,
                       struct error *error)
{
    return xts_create_from(engines, engine_count, data_key, tweak_key, kind, log, xts, error);
}

static int tidy(void **state)
{
    (void)state;
    fail_calloc = fail_malloc = fail_getrandom = false;
    return fake_states;
}

/* --- the choice --- */

static void takes_the_first_engine_that_works(void **state)
{
    (void)state;
    static const struct xts_engine *const engines[] = {&right, &also_right};
    struct log *log = log_create(LOG_DEBUG, 8);
    struct xts *xts;
    assert_int_equal(create_from(engines, 2, XTS_ENGINE_AUTO, log, &xts, NULL), 0);
    assert_string_equal(xts_engine_name(xts), "right");
    assert_string_equal(xts_engine_reason(xts),
                        "the fastest that works here; agrees with also-right");
    assert_int_equal(fake_states, 1);
    struct log_record record;
    assert_int_equal(log_wait(log, &record, 0), 0);
    xts_destroy(xts);
    log_destroy(log);
}

static void assert_logged(struct log *log, enum log_level level, const char *message)
{
    struct log_record record;
    assert_int_equal(log_wait(log, &record, 0), 1);
    assert_int_equal(record.level, level);
    assert_string_equal(record.message, message);
}

static void logs_one_line_for_each_engine_that_falls_out(void **state)
{
    (void)state;
    static const struct xts_engine *const engines[] = {&not_here, &encrypts_wrongly, &right};
    struct log *log = log_create(LOG_DEBUG, 8);
    struct xts *xts;
    assert_int_equal(create_from(engines, 3, XTS_ENGINE_AUTO, log, &xts, NULL), 0);
    assert_string_equal(xts_engine_name(xts), "right");
    assert_string_equal(xts_engine_reason(xts),
                        "the fastest that works here; no other engine to compare with");
    assert_logged(log, LOG_INFO, "xts_engine not-here is passed over: the CPU lacks AES");
    assert_logged(log, LOG_WARN,
                  "xts_engine wrong is passed over: the self-test failed: wrong known answer at "
                  "sector 0");
    struct log_record record;
    assert_int_equal(log_wait(log, &record, 0), 0);
    xts_destroy(xts);
    log_destroy(log);
}

static void passes_over_an_engine_that_decrypts_wrongly(void **state)
{
    (void)state;
    static const struct xts_engine *const engines[] = {&decrypts_wrongly, &right};
    struct xts *xts;
    assert_int_equal(create_from(engines, 2, XTS_ENGINE_AUTO, NULL, &xts, NULL), 0);
    assert_string_equal(xts_engine_name(xts), "right");
    xts_destroy(xts);
}

static void passes_over_an_engine_that_differs_from_another(void **state)
{
    (void)state;
    static const struct xts_engine *const engines[] = {&by_rote, &right, &also_right};
    struct log *log = log_create(LOG_DEBUG, 8);
    struct xts *xts;
    assert_int_equal(create_from(engines, 3, XTS_ENGINE_AUTO, log, &xts, NULL), 0);
    assert_string_equal(xts_engine_name(xts), "right");
    struct log_record record;
    assert_int_equal(log_wait(log, &record, 0), 1);
    assert_int_equal(record.level, LOG_WARN);
    assert_non_null(strstr(record.message, "it differs from right"));
    xts_destroy(xts);
    log_destroy(log);
}

static void compares_with_no_engine_that_is_itself_wrong(void **state)
{
    (void)state;
    static const struct xts_engine *const engines[] = {&right, &encrypts_wrongly, &not_here,
                                                       &also_right};
    struct xts *xts;
    assert_int_equal(create_from(engines, 4, XTS_ENGINE_AUTO, NULL, &xts, NULL), 0);
    assert_non_null(strstr(xts_engine_reason(xts), "agrees with also-right"));
    xts_destroy(xts);
}

static void takes_the_engine_that_was_asked_for(void **state)
{
    (void)state;
    static const struct xts_engine *const engines[] = {&right, &also_right};
    struct xts *xts;
    assert_int_equal(create_from(engines, 2, XTS_ENGINE_OPENSSL, NULL, &xts, NULL), 0);
    assert_string_equal(xts_engine_name(xts), "also-right");
    assert_string_equal(xts_engine_reason(xts), "asked for by xts_engine; agrees with right");
    xts_destroy(xts);
}

static void says_why_the_engine_that_was_asked_for_cannot_be_used(void **state)
{
    (void)state;
    static const struct xts_engine *const engines[] = {&not_here, &encrypts_wrongly, &right};
    struct xts *xts;
    struct error error;
    assert_int_equal(create_from(engines, 3, XTS_ENGINE_VAES512, NULL, &xts, &error), -ENOTSUP);
    assert_string_equal(error.message, "xts_engine not-here cannot be used: the CPU lacks AES");
    assert_int_equal(create_from(engines, 3, XTS_ENGINE_VAES256, NULL, &xts, &error), -EBADMSG);
    assert_non_null(strstr(error.message, "self-test failed"));
    assert_int_equal(create_from(engines, 3, XTS_ENGINE_ISAL, NULL, &xts, &error), -ENOTSUP);
}

static void fails_when_nothing_works(void **state)
{
    (void)state;
    static const struct xts_engine *const engines[] = {&not_here, &encrypts_wrongly};
    struct xts *xts;
    struct error error;
    assert_int_equal(create_from(engines, 2, XTS_ENGINE_AUTO, NULL, &xts, &error), -ENOTSUP);
    assert_string_equal(error.message, "no xts_engine works on this machine");
}

static void fails_when_there_is_no_memory_or_randomness(void **state)
{
    (void)state;
    static const struct xts_engine *const engines[] = {&right, &also_right};
    struct xts *xts;
    struct error error;
    fail_calloc = true;
    int result = create_from(engines, 2, XTS_ENGINE_AESNI, NULL, &xts, &error);
    fail_calloc = false;
    assert_int_equal(result, -ENOMEM);
    fail_malloc = true;
    result = create_from(engines, 2, XTS_ENGINE_AESNI, NULL, &xts, &error);
    fail_malloc = false;
    assert_int_equal(result, -ENOMEM);
    fail_getrandom = true;
    result = create_from(engines, 2, XTS_ENGINE_AESNI, NULL, &xts, &error);
    fail_getrandom = false;
    assert_int_equal(result, -ENOSYS);
    xts_destroy(NULL);
}

static void finds_an_engine_on_this_machine(void **state)
{
    (void)state;
    struct xts *xts = xts_check_create(XTS_ENGINE_AUTO, data_key, tweak_key);
    print_message("%s: %s\n", xts_engine_name(xts), xts_engine_reason(xts));
    xts_destroy(xts);
}

static void every_engine_takes_equal_key_halves(void **state)
{
    (void)state;
    for (enum xts_engine_kind kind = XTS_ENGINE_AUTO; kind <= XTS_ENGINE_OPENSSL; kind++) {
        if (!xts_check_available(kind))
            continue;
        struct xts *xts = xts_check_create(kind, data_key, data_key);
        uint8_t sector[SECTOR_BYTES] = {1, 2, 3}, expected[SECTOR_BYTES];
        xts_reference(data_key, data_key, false, 9, sector, expected, 1);
        xts_encrypt(xts, 9, sector, sector, 1);
        assert_memory_equal(sector, expected, SECTOR_BYTES);
        xts_destroy(xts);
    }
}

/* --- the walk --- */

static void library_engines_see_private_memory_in_place_only(void **state)
{
    (void)state;
    enum { COUNT = 21, BYTES = COUNT * SECTOR_BYTES };
    static const struct xts_engine *const engines[] = {&library};
    struct xts *xts;
    assert_int_equal(create_from(engines, 1, XTS_ENGINE_AUTO, NULL, &xts, NULL), 0);
    uint8_t guest[BYTES], bounce[BYTES], expected[BYTES], plain[BYTES];
    for (size_t i = 0; i < BYTES; i++)
        guest[i] = plain[i] = (uint8_t)(i * 13);
    xts_reference(data_key, tweak_key, false, 100, plain, expected, COUNT);
    xts_encrypt(xts, 100, guest, bounce, COUNT);
    assert_memory_equal(bounce, expected, BYTES);
    struct iovec iov[] = {{guest, 10000}, {guest + 10000, 0}, {guest + 10000, BYTES - 10000}};
    memset(bounce, 0, BYTES);
    xts_encrypt_from_iov(xts, 100, iov, 3, 0, bounce, COUNT);
    assert_memory_equal(bounce, expected, BYTES);
    memset(guest, 0, BYTES);
    xts_decrypt_to_iov(xts, 100, bounce, iov, 3, 0, COUNT);
    assert_memory_equal(guest, plain, BYTES);
    xts_decrypt(xts, 100, expected, guest, COUNT);
    assert_memory_equal(guest, plain, BYTES);
    xts_destroy(xts);
}

static void recrypting_is_deciphering_and_enciphering(void **state)
{
    (void)state;
    enum { COUNT = 21, BYTES = COUNT * SECTOR_BYTES };
    struct xts *from = xts_check_create(XTS_ENGINE_AUTO, data_key, tweak_key);
    struct xts *to = xts_check_create(XTS_ENGINE_AUTO, tweak_key, data_key);
    uint8_t bytes[BYTES + 1], expected[BYTES], plain[BYTES];
    for (size_t i = 0; i < BYTES; i++)
        plain[i] = (uint8_t)(i * 17);
    for (size_t count = 0; count <= COUNT; count++) {
        memset(bytes, 0x77, sizeof(bytes));
        xts_encrypt(from, 5, plain, bytes, count);
        xts_encrypt(to, 5, plain, expected, count);
        xts_recrypt(from, to, 5, bytes, count);
        assert_memory_equal(bytes, expected, sectors_to_bytes(count));
        assert_int_equal(bytes[sectors_to_bytes(count)], 0x77);
    }
    xts_destroy(from);
    xts_destroy(to);
}

static void starts_at_the_byte_offset_of_the_list(void **state)
{
    (void)state;
    struct xts *xts = xts_check_create(XTS_ENGINE_AUTO, data_key, tweak_key);
    uint8_t guest[4 * SECTOR_BYTES] = {0}, bounce[SECTOR_BYTES], expected[SECTOR_BYTES];
    for (size_t i = 0; i < sizeof(guest); i++)
        guest[i] = (uint8_t)(i >> 2);
    struct iovec iov[] = {{guest, 5}, {guest + 5, 700}, {guest + 705, sizeof(guest) - 705}};
    for (size_t offset = 0; offset <= sizeof(guest) - SECTOR_BYTES; offset += 31) {
        xts_reference(data_key, tweak_key, false, offset, guest + offset, expected, 1);
        xts_encrypt_from_iov(xts, offset, iov, 3, offset, bounce, 1);
        assert_memory_equal(bounce, expected, SECTOR_BYTES);
    }
    xts_encrypt_from_iov(xts, 0, iov, 3, sizeof(guest), bounce, 0);
    xts_decrypt_to_iov(xts, 0, bounce, NULL, 0, 0, 0);
    xts_destroy(xts);
}

static void reproduces_a_run_of_sectors_of_a_disk(void **state)
{
    (void)state;
    uint8_t keys[2][XTS_KEY_BYTES];
    for (size_t i = 0; i < XTS_KEY_BYTES; i++) {
        keys[0][i] = (uint8_t)i;
        keys[1][i] = (uint8_t)(0x80 + i);
    }
    size_t plain_bytes, disk_bytes;
    uint8_t *plain = vector_file("xts/plain8.bin", &plain_bytes);
    uint8_t *disk = vector_file("xts/disk8.bin", &disk_bytes);
    assert_int_equal(plain_bytes, 8 * SECTOR_BYTES);
    assert_int_equal(disk_bytes, 8 * SECTOR_BYTES);
    uint8_t buffer[8 * SECTOR_BYTES];
    struct xts *xts = xts_check_create(XTS_ENGINE_AUTO, keys[0], keys[1]);
    xts_encrypt(xts, 0, plain, buffer, 8);
    assert_memory_equal(buffer, disk, disk_bytes);
    xts_decrypt(xts, 3, disk + 3 * SECTOR_BYTES, buffer, 2);
    assert_memory_equal(buffer, plain + 3 * SECTOR_BYTES, 2 * SECTOR_BYTES);
    xts_destroy(xts);
    free(plain);
    free(disk);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(takes_the_first_engine_that_works, tidy),
        cmocka_unit_test_teardown(logs_one_line_for_each_engine_that_falls_out, tidy),
        cmocka_unit_test_teardown(passes_over_an_engine_that_decrypts_wrongly, tidy),
        cmocka_unit_test_teardown(passes_over_an_engine_that_differs_from_another, tidy),
        cmocka_unit_test_teardown(compares_with_no_engine_that_is_itself_wrong, tidy),
        cmocka_unit_test_teardown(takes_the_engine_that_was_asked_for, tidy),
        cmocka_unit_test_teardown(says_why_the_engine_that_was_asked_for_cannot_be_used, tidy),
        cmocka_unit_test_teardown(fails_when_nothing_works, tidy),
        cmocka_unit_test_teardown(fails_when_there_is_no_memory_or_randomness, tidy),
        cmocka_unit_test_teardown(finds_an_engine_on_this_machine, tidy),
        cmocka_unit_test_teardown(every_engine_takes_equal_key_halves, tidy),
        cmocka_unit_test_teardown(library_engines_see_private_memory_in_place_only, tidy),
        cmocka_unit_test_teardown(recrypting_is_deciphering_and_enciphering, tidy),
        cmocka_unit_test_teardown(starts_at_the_byte_offset_of_the_list, tidy),
        cmocka_unit_test_teardown(reproduces_a_run_of_sectors_of_a_disk, tidy),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
