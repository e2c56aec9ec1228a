/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Requests that are odd but well formed as chains: each one ends with a status, and none touches
 * what is not the guest's.
 */
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "support/backend_host.h"
#include "support/cmocka_test.h"
#include "support/raw_guest.h"
#include "support/test_scale.h"

enum { DISK_BYTES = 32 << 20, SECTOR = 512, CAPACITY = DISK_BYTES / SECTOR };

struct fixture {
    struct backend_host host;
    struct raw_guest guest;
    char path[BACKEND_HOST_PATH_BYTES];
};

static int start(void **state, bool encrypted)
{
    struct fixture *fixture = calloc(1, sizeof(*fixture));
    struct backend_host_params params;

    assert_non_null(fixture);
    assert_int_equal(test_disk_create(fixture->path, DISK_BYTES), 0);
    params = backend_host_defaults(fixture->path);
    params.encrypted = encrypted;
    assert_int_equal(backend_host_start(&fixture->host, &params), 0);
    *state = fixture;
    return 0;
}

static int start_plain(void **state)
{
    return start(state, false);
}

static int start_encrypted(void **state)
{
    return start(state, true);
}

static int stop(void **state)
{
    struct fixture *fixture = *state;

    assert_int_equal(backend_host_stop(&fixture->host), 0);
    test_disk_remove(fixture->path);
    free(fixture);
    return 0;
}

static int connect_guest(void **state)
{
    struct fixture *fixture = *state;

    raw_guest_open(&fixture->guest, fixture->host.socket_path, 0);
    return 0;
}

/* Whatever a test did: the next request is served, and the disk is as long as it was. */
static int check_and_leave(void **state)
{
    struct fixture *fixture = *state;
    struct stat status;

    raw_guest_check_served(&fixture->guest);
    raw_guest_close(&fixture->guest);
    assert_int_equal(stat(fixture->path, &status), 0);
    assert_int_equal(status.st_size, DISK_BYTES);
    return 0;
}

static void ends_get_id_without_a_data_buffer_with_an_error(void **state)
{
    struct raw_guest *guest = &((struct fixture *)*state)->guest;

    raw_guest_header(guest, VIRTIO_BLK_T_GET_ID, 0);
    raw_guest_desc(guest, 0, RAW_GUEST_HEADER, 16, VRING_DESC_F_NEXT, 1);
    raw_guest_desc(guest, 1, RAW_GUEST_STATUS, 1, VRING_DESC_F_WRITE, 0);
    raw_guest_expect(guest, 0, VIRTIO_BLK_S_IOERR, 1);
}

static void answers_get_id_with_20_bytes_and_nothing_more(void **state)
{
    struct raw_guest *guest = &((struct fixture *)*state)->guest;
    uint8_t *data = raw_guest_at(guest, RAW_GUEST_DATA);
    uint8_t wanted[24] = "ubiblk";

    memset(data, 0xcc, sizeof(wanted));
    memset(wanted + 20, 0xcc, 4);
    raw_guest_request(guest, VIRTIO_BLK_T_GET_ID, 0, 20);
    raw_guest_expect(guest, 0, VIRTIO_BLK_S_OK, 21);
    assert_memory_equal(data, wanted, sizeof(wanted));
    raw_guest_request(guest, VIRTIO_BLK_T_GET_ID, 77, 24); /* the sector does not matter */
    raw_guest_expect(guest, 0, VIRTIO_BLK_S_OK, 21);
    assert_memory_equal(data, wanted, sizeof(wanted));
    raw_guest_request(guest, VIRTIO_BLK_T_GET_ID, 0, 19);
    raw_guest_expect(guest, 0, VIRTIO_BLK_S_IOERR, 1);
}

static void ends_transfers_of_no_bytes(void **state)
{
    struct raw_guest *guest = &((struct fixture *)*state)->guest;
    const uint32_t types[] = {VIRTIO_BLK_T_IN, VIRTIO_BLK_T_OUT};

    for (uint32_t i = 0; i < 2; i++) {
        raw_guest_header(guest, types[i], 8);
        raw_guest_desc(guest, 0, RAW_GUEST_HEADER, 16, VRING_DESC_F_NEXT, 1);
        raw_guest_desc(guest, 1, RAW_GUEST_STATUS, 1, VRING_DESC_F_WRITE, 0);
        raw_guest_expect(guest, 0, VIRTIO_BLK_S_OK, 1);
        raw_guest_request(guest, types[i], 8, 0); /* an empty buffer instead of none */
        raw_guest_expect(guest, 0, VIRTIO_BLK_S_OK, 1);
        raw_guest_request(guest, types[i], CAPACITY + 1, 0);
        raw_guest_expect(guest, 0, VIRTIO_BLK_S_IOERR, 1);
    }
}

/* Builds an indirect request whose one buffer of each_bytes occurs count times. */
static void repeat_buffer(struct raw_guest *guest, uint32_t type, uint64_t sector, uint32_t count,
                          uint32_t each_bytes)
{
    uint16_t direction = type == VIRTIO_BLK_T_OUT ? 0 : VRING_DESC_F_WRITE;

    raw_guest_header(guest, type, sector);
    raw_guest_table(guest, 0, RAW_GUEST_HEADER, 16, VRING_DESC_F_NEXT, 1);
    for (uint16_t i = 1; i <= count; i++) {
        raw_guest_table(guest, i, RAW_GUEST_DATA, each_bytes, VRING_DESC_F_NEXT | direction,
                        (uint16_t)(i + 1));
    }
    raw_guest_table(guest, (uint16_t)(count + 1), RAW_GUEST_STATUS, 1, VRING_DESC_F_WRITE, 0);
    raw_guest_desc(guest, 0, RAW_GUEST_TABLE, (count + 2) * 16, VRING_DESC_F_INDIRECT, 0);
}

static void is_not_fooled_by_lengths_that_add_up_to_a_small_number_in_32_bits(void **state)
{
    struct raw_guest *guest = &((struct fixture *)*state)->guest;
    const uint32_t types[] = {VIRTIO_BLK_T_IN, VIRTIO_BLK_T_OUT};

    for (uint32_t i = 0; i < 2; i++) {
        uint16_t direction = types[i] == VIRTIO_BLK_T_IN ? VRING_DESC_F_WRITE : 0;

        repeat_buffer(guest, types[i], 0, 1024, 4 << 20); /* 2^32 exactly */
        raw_guest_expect(guest, 0, VIRTIO_BLK_S_IOERR, 1);
        repeat_buffer(guest, types[i], 0, 1024, 4 << 20); /* 2^32 + 512 */
        raw_guest_table(guest, 1024, RAW_GUEST_DATA, (4 << 20) + 512,
                        (uint16_t)(VRING_DESC_F_NEXT | direction), 1025);
        raw_guest_expect(guest, 0, VIRTIO_BLK_S_IOERR, 1);
    }
}

static void serves_requests_of_many_times_the_limits_it_names(void **state)
{
    struct raw_guest *guest = &((struct fixture *)*state)->guest;
    uint8_t *data = raw_guest_at(guest, RAW_GUEST_DATA);

    /* One segment of 4 MiB, 64 times seg_size_max and 16 times seg_count_max · seg_size_max. */
    for (uint32_t i = 0; i < 4 << 20; i++) {
        data[i] = (uint8_t)(i >> 9 ^ i);
    }
    raw_guest_request(guest, VIRTIO_BLK_T_OUT, 1024, 4 << 20);
    raw_guest_expect(guest, 0, VIRTIO_BLK_S_OK, 1);
    memset(data, 0, 4 << 20);
    raw_guest_request(guest, VIRTIO_BLK_T_IN, 1024, 4 << 20);
    raw_guest_expect(guest, 0, VIRTIO_BLK_S_OK, (4 << 20) + 1);
    for (uint32_t i = 0; i < 4 << 20; i++) {
        assert_int_equal(data[i], (uint8_t)(i >> 9 ^ i));
    }
}

static void keeps_its_memory_while_requests_grow(void **state)
{
    struct fixture *fixture = *state;
    struct raw_guest *guest = &fixture->guest;
    uint64_t before, rounds = test_count(40, 400);

    test_print_scale(rounds, "ever larger requests");
    /* Touches all guest memory first, which counts as the back end's too. */
    memset(raw_guest_at(guest, RAW_GUEST_DATA), 1, RAW_GUEST_HIGH - RAW_GUEST_DATA);
    repeat_buffer(guest, VIRTIO_BLK_T_OUT, 0, 4, 4 << 20);
    raw_guest_expect(guest, 0, VIRTIO_BLK_S_OK, 1);
    before = backend_host_rss_kib(&fixture->host);
    for (uint64_t i = 1; i <= rounds; i++) {
        uint32_t bytes = (uint32_t)((4 << 20) * i / rounds) & ~511u;

        repeat_buffer(guest, i % 2 == 0 ? VIRTIO_BLK_T_IN : VIRTIO_BLK_T_OUT, 0, 8, bytes);
        raw_guest_expect(guest, 0, VIRTIO_BLK_S_OK, i % 2 == 0 ? 8 * bytes + 1 : 1);
    }
    assert_in_range(backend_host_rss_kib(&fixture->host), 0, before + 12 * 1024);
}

static void refuses_sectors_beyond_the_disk(void **state)
{
    struct raw_guest *guest = &((struct fixture *)*state)->guest;
    const uint64_t sectors[] = {
        CAPACITY - 1,      CAPACITY,         CAPACITY + 1,      UINT32_MAX,
        UINT64_MAX,        UINT64_MAX - 1,   UINT64_C(1) << 55, (UINT64_C(1) << 55) - 1,
        UINT64_C(1) << 63, UINT64_MAX / 512,
    };

    for (uint32_t i = 0; i < sizeof(sectors) / sizeof(sectors[0]); i++) {
        raw_guest_request(guest, VIRTIO_BLK_T_OUT, sectors[i], 1024);
        raw_guest_expect(guest, 0, VIRTIO_BLK_S_IOERR, 1);
        raw_guest_request(guest, VIRTIO_BLK_T_IN, sectors[i], 1024);
        raw_guest_expect(guest, 0, VIRTIO_BLK_S_IOERR, 1);
    }
    raw_guest_request(guest, VIRTIO_BLK_T_OUT, CAPACITY - 2, 1024);
    raw_guest_expect(guest, 0, VIRTIO_BLK_S_OK, 1);
}

static void leaves_the_buffer_of_a_refused_read_alone(void **state)
{
    struct raw_guest *guest = &((struct fixture *)*state)->guest;
    uint8_t *data = raw_guest_at(guest, RAW_GUEST_DATA);

    memset(data, 0xcc, 1024);
    raw_guest_request(guest, VIRTIO_BLK_T_IN, CAPACITY - 1, 1024);
    raw_guest_expect(guest, 0, VIRTIO_BLK_S_IOERR, 1);
    for (uint32_t i = 0; i < 1024; i++) {
        assert_int_equal(data[i], 0xcc);
    }
}

static void returns_a_chain_of_a_header_alone(void **state)
{
    struct raw_guest *guest = &((struct fixture *)*state)->guest;

    raw_guest_header(guest, VIRTIO_BLK_T_IN, 0);
    raw_guest_desc(guest, 0, RAW_GUEST_HEADER, 16, 0, 0);
    raw_guest_expect(guest, 0, RAW_NO_STATUS, 0);
}

static void ends_a_request_without_a_whole_header_with_an_error(void **state)
{
    struct raw_guest *guest = &((struct fixture *)*state)->guest;

    raw_guest_header(guest, VIRTIO_BLK_T_IN, 0);
    raw_guest_desc(guest, 0, RAW_GUEST_HEADER, 15, VRING_DESC_F_NEXT, 1);
    raw_guest_desc(guest, 1, RAW_GUEST_STATUS, 1, VRING_DESC_F_WRITE, 0);
    raw_guest_expect(guest, 0, VIRTIO_BLK_S_IOERR, 1);
    raw_guest_desc(guest, 0, RAW_GUEST_STATUS, 1, VRING_DESC_F_WRITE, 0);
    raw_guest_header(guest, VIRTIO_BLK_T_IN, 0);
    raw_guest_expect(guest, 0, VIRTIO_BLK_S_IOERR, 1);
}

static void takes_no_readable_buffer_for_a_read_and_no_writable_one_for_a_write(void **state)
{
    struct raw_guest *guest = &((struct fixture *)*state)->guest;
    uint8_t *data = raw_guest_at(guest, RAW_GUEST_DATA);

    memset(data, 0xcc, SECTOR);
    raw_guest_request(guest, VIRTIO_BLK_T_IN, 0, SECTOR);
    raw_guest_desc(guest, 1, RAW_GUEST_DATA, SECTOR, VRING_DESC_F_NEXT, 2);
    raw_guest_expect(guest, 0, VIRTIO_BLK_S_IOERR, 1);
    assert_int_equal(data[0], 0xcc);
    raw_guest_request(guest, VIRTIO_BLK_T_OUT, 0, SECTOR);
    raw_guest_desc(guest, 1, RAW_GUEST_DATA, SECTOR, VRING_DESC_F_NEXT | VRING_DESC_F_WRITE, 2);
    raw_guest_expect(guest, 0, VIRTIO_BLK_S_IOERR, 1);
    assert_int_equal(data[0], 0xcc);
}

static void refuses_a_length_that_is_no_multiple_of_a_sector(void **state)
{
    struct raw_guest *guest = &((struct fixture *)*state)->guest;
    const uint32_t lengths[] = {1, 511, 513, 4095};

    for (uint32_t i = 0; i < 4; i++) {
        raw_guest_request(guest, VIRTIO_BLK_T_IN, 0, lengths[i]);
        raw_guest_expect(guest, 0, VIRTIO_BLK_S_IOERR, 1);
        raw_guest_request(guest, VIRTIO_BLK_T_OUT, 0, lengths[i]);
        raw_guest_expect(guest, 0, VIRTIO_BLK_S_IOERR, 1);
    }
}

static void takes_1024_data_segments_and_not_one_more(void **state)
{
    struct raw_guest *guest = &((struct fixture *)*state)->guest;
    uint8_t *data = raw_guest_at(guest, RAW_GUEST_DATA);

    memset(data, 0x5a, SECTOR);
    repeat_buffer(guest, VIRTIO_BLK_T_OUT, 0, 1024, SECTOR);
    raw_guest_expect(guest, 0, VIRTIO_BLK_S_OK, 1);
    repeat_buffer(guest, VIRTIO_BLK_T_IN, 0, 1024, SECTOR);
    raw_guest_expect(guest, 0, VIRTIO_BLK_S_OK, 1024 * SECTOR + 1);
    assert_int_equal(data[100], 0x5a);
    repeat_buffer(guest, VIRTIO_BLK_T_OUT, 0, 1025, SECTOR);
    raw_guest_expect(guest, 0, VIRTIO_BLK_S_IOERR, 1);
    repeat_buffer(guest, VIRTIO_BLK_T_IN, 0, 4000, SECTOR);
    raw_guest_expect(guest, 0, VIRTIO_BLK_S_IOERR, 1);
}

static void flushes_and_demands_sector_0_for_it(void **state)
{
    struct raw_guest *guest = &((struct fixture *)*state)->guest;

    for (uint64_t sector = 0; sector < 2; sector++) {
        raw_guest_header(guest, VIRTIO_BLK_T_FLUSH, sector);
        raw_guest_desc(guest, 0, RAW_GUEST_HEADER, 16, VRING_DESC_F_NEXT, 1);
        raw_guest_desc(guest, 1, RAW_GUEST_STATUS, 1, VRING_DESC_F_WRITE, 0);
        raw_guest_expect(guest, 0, sector == 0 ? VIRTIO_BLK_S_OK : VIRTIO_BLK_S_IOERR, 1);
    }
}

static void says_what_it_does_not_support(void **state)
{
    struct raw_guest *guest = &((struct fixture *)*state)->guest;
    const uint32_t types[] = {2, 3, 5, 11, 13, 14, 16, 0x80000000, UINT32_MAX};

    for (uint32_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        raw_guest_request(guest, types[i], 0, SECTOR);
        raw_guest_expect(guest, 0, VIRTIO_BLK_S_UNSUPP, 1);
        raw_guest_request(guest, types[i], 0, SECTOR);
        raw_guest_desc(guest, 1, RAW_GUEST_DATA, 16, VRING_DESC_F_NEXT, 2);
        raw_guest_expect(guest, 0, VIRTIO_BLK_S_UNSUPP, 1);
    }
}

static void serves_a_buffer_that_runs_over_from_one_region_into_the_next(void **state)
{
    struct raw_guest *guest = &((struct fixture *)*state)->guest;
    const uint64_t gpa = RAW_GUEST_HIGH - 700;
    uint8_t *low = raw_guest_at(guest, gpa), *high = raw_guest_at(guest, RAW_GUEST_HIGH);

    memset(low, 0x11, 700);
    memset(high, 0x22, 324);
    raw_guest_request(guest, VIRTIO_BLK_T_OUT, 16, 1024);
    raw_guest_desc(guest, 1, gpa, 1024, VRING_DESC_F_NEXT, 2);
    raw_guest_expect(guest, 0, VIRTIO_BLK_S_OK, 1);
    memset(low, 0, 700);
    memset(high, 0, 324);
    raw_guest_request(guest, VIRTIO_BLK_T_IN, 16, 1024);
    raw_guest_desc(guest, 1, gpa, 1024, VRING_DESC_F_NEXT | VRING_DESC_F_WRITE, 2);
    raw_guest_expect(guest, 0, VIRTIO_BLK_S_OK, 1025);
    assert_int_equal(low[0], 0x11);
    assert_int_equal(low[699], 0x11);
    assert_int_equal(high[0], 0x22);
    assert_int_equal(high[323], 0x22);
}

#define GUEST_TEST(name) cmocka_unit_test_setup_teardown(name, connect_guest, check_and_leave)

int main(void)
{
    const struct CMUnitTest tests[] = {
        GUEST_TEST(ends_get_id_without_a_data_buffer_with_an_error),
        GUEST_TEST(answers_get_id_with_20_bytes_and_nothing_more),
        GUEST_TEST(ends_transfers_of_no_bytes),
        GUEST_TEST(is_not_fooled_by_lengths_that_add_up_to_a_small_number_in_32_bits),
        GUEST_TEST(serves_requests_of_many_times_the_limits_it_names),
        GUEST_TEST(keeps_its_memory_while_requests_grow),
        GUEST_TEST(refuses_sectors_beyond_the_disk),
        GUEST_TEST(leaves_the_buffer_of_a_refused_read_alone),
        GUEST_TEST(returns_a_chain_of_a_header_alone),
        GUEST_TEST(ends_a_request_without_a_whole_header_with_an_error),
        GUEST_TEST(takes_no_readable_buffer_for_a_read_and_no_writable_one_for_a_write),
        GUEST_TEST(refuses_a_length_that_is_no_multiple_of_a_sector),
        GUEST_TEST(takes_1024_data_segments_and_not_one_more),
        GUEST_TEST(flushes_and_demands_sector_0_for_it),
        GUEST_TEST(says_what_it_does_not_support),
        GUEST_TEST(serves_a_buffer_that_runs_over_from_one_region_into_the_next),
    };
    int failed = cmocka_run_group_tests_name("plain disk", tests, start_plain, stop);

    return failed + cmocka_run_group_tests_name("encrypted disk", tests, start_encrypted, stop);
}
