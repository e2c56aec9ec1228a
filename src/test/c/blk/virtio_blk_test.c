/* SPDX-License-Identifier: AGPL-3.0-only */
/* Requests in every layout that segments can have, and the bytes a driver sees. */
#include "blk/virtio_blk.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "support/cmocka_test.h"
#include "support/vectors.h"

enum { IOV_MAX_HERE = BLK_REQUEST_SEGMENTS_MAX + 32, DATA_BYTES = 8192 };

struct header {
    uint32_t type;
    uint32_t ioprio;
    uint64_t sector;
};

struct fixture {
    struct blk_device device;
    struct header header;
    uint8_t data[DATA_BYTES];
    uint8_t status;
    struct iovec iov[IOV_MAX_HERE];
    uint32_t out_count;
    uint32_t in_count;
    struct blk_request request;
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    assert_non_null(f);
    memcpy(f->device.device_id, "ubiblk", sizeof("ubiblk"));
    f->device.logical_block_size = 512;
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    free(*state);
    return 0;
}

static void begin(struct fixture *f, uint32_t type, uint64_t sector)
{
    f->header = (struct header){.type = type, .ioprio = 0xdeadbeef, .sector = sector};
    f->out_count = f->in_count = 0;
    memset(&f->request, 0xa5, sizeof(f->request));
}

static void add_out(struct fixture *f, void *base, size_t byte_len)
{
    assert_int_equal(0, f->in_count);
    f->iov[f->out_count++] = (struct iovec){base, byte_len};
}

static void add_in(struct fixture *f, void *base, size_t byte_len)
{
    f->iov[f->out_count + f->in_count++] = (struct iovec){base, byte_len};
}

static void add_header(struct fixture *f)
{
    add_out(f, &f->header, sizeof(f->header));
}

static int parse(struct fixture *f)
{
    return virtio_blk_parse(&f->device, f->iov, f->out_count, f->in_count, &f->request);
}

static void assert_transfer(const struct fixture *f, enum queue_op op, uint64_t sector,
                            uint32_t sector_count)
{
    assert_int_equal(op, f->request.op);
    assert_true(f->request.sector == sector);
    assert_int_equal(sector_count, f->request.sector_count);
    assert_int_equal((uint64_t)sector_count * 512, f->request.byte_len);
}

static void assert_segment(const struct fixture *f, uint32_t index, const void *base,
                           size_t byte_len)
{
    assert_true(index < f->request.iov_count);
    assert_ptr_equal(base, f->request.iov[index].iov_base);
    assert_int_equal(byte_len, f->request.iov[index].iov_len);
}

static void parses_a_read_in_the_usual_layout(void **state)
{
    struct fixture *f = *state;
    begin(f, VIRTIO_BLK_T_IN, 77);
    add_header(f);
    add_in(f, f->data, 4096);
    add_in(f, &f->status, 1);
    assert_int_equal(0, parse(f));
    assert_transfer(f, QUEUE_OP_READ, 77, 8);
    assert_int_equal(1, f->request.iov_count);
    assert_segment(f, 0, f->data, 4096);
}

static void parses_a_write_in_the_usual_layout(void **state)
{
    struct fixture *f = *state;
    begin(f, VIRTIO_BLK_T_OUT, UINT64_MAX);
    add_header(f);
    add_out(f, f->data, 512);
    add_out(f, f->data + 1024, 512);
    add_in(f, &f->status, 1);
    assert_int_equal(0, parse(f));
    assert_transfer(f, QUEUE_OP_WRITE, UINT64_MAX, 2);
    assert_int_equal(2, f->request.iov_count);
    assert_segment(f, 0, f->data, 512);
    assert_segment(f, 1, f->data + 1024, 512);
}

static void takes_a_header_of_one_byte_per_segment(void **state)
{
    struct fixture *f = *state;
    begin(f, VIRTIO_BLK_T_OUT, 0x0123456789abcdef);
    for (size_t i = 0; i < sizeof(f->header); i++) {
        add_out(f, (uint8_t *)&f->header + i, 1);
    }
    add_out(f, f->data, 512);
    add_in(f, &f->status, 1);
    assert_int_equal(0, parse(f));
    assert_transfer(f, QUEUE_OP_WRITE, 0x0123456789abcdef, 1);
    assert_int_equal(1, f->request.iov_count);
    assert_segment(f, 0, f->data, 512);
}

static void takes_header_and_data_from_one_segment(void **state)
{
    struct fixture *f = *state;
    begin(f, VIRTIO_BLK_T_OUT, 5);
    memcpy(f->data, &f->header, sizeof(f->header));
    add_out(f, f->data, sizeof(f->header) + 100);
    add_out(f, f->data + 1000, 412);
    add_in(f, &f->status, 1);
    assert_int_equal(0, parse(f));
    assert_transfer(f, QUEUE_OP_WRITE, 5, 1);
    assert_int_equal(2, f->request.iov_count);
    assert_segment(f, 0, f->data + 16, 100);
    assert_segment(f, 1, f->data + 1000, 412);
}

static void takes_data_and_status_from_one_segment(void **state)
{
    struct fixture *f = *state;
    begin(f, VIRTIO_BLK_T_IN, 5);
    add_header(f);
    add_in(f, f->data, 513);
    assert_int_equal(0, parse(f));
    assert_transfer(f, QUEUE_OP_READ, 5, 1);
    assert_int_equal(1, f->request.iov_count);
    assert_segment(f, 0, f->data, 512);
}

static void takes_the_last_byte_of_a_long_status_segment(void **state)
{
    struct fixture *f = *state;
    begin(f, VIRTIO_BLK_T_IN, 0);
    add_header(f);
    add_in(f, f->data, 500);
    add_in(f, f->data + 500, 13);
    assert_int_equal(0, parse(f));
    assert_transfer(f, QUEUE_OP_READ, 0, 1);
    assert_segment(f, 0, f->data, 500);
    assert_segment(f, 1, f->data + 500, 12);
}

static void copies_the_header_once(void **state)
{
    struct fixture *f = *state;
    begin(f, VIRTIO_BLK_T_IN, 77);
    add_header(f);
    add_in(f, f->data, 513);
    assert_int_equal(0, parse(f));
    memset(&f->header, 0xff, sizeof(f->header));
    assert_transfer(f, QUEUE_OP_READ, 77, 1);
}

static void does_not_touch_data_or_status(void **state)
{
    struct fixture *f = *state;
    f->status = 0x55;
    memset(f->data, 0xaa, sizeof(f->data));
    begin(f, VIRTIO_BLK_T_IN, 0);
    add_header(f);
    add_in(f, f->data, 512);
    add_in(f, &f->status, 1);
    assert_int_equal(0, parse(f));
    assert_int_equal(0x55, f->status);
    for (uint32_t i = 0; i < 512; i++) {
        assert_int_equal(0xaa, f->data[i]);
    }
}

static void lets_a_transfer_of_nothing_through(void **state)
{
    struct fixture *f = *state;
    const uint32_t types[] = {VIRTIO_BLK_T_IN, VIRTIO_BLK_T_OUT};
    for (int i = 0; i < 2; i++) {
        begin(f, types[i], 9);
        add_header(f);
        add_in(f, &f->status, 1);
        assert_int_equal(0, parse(f));
        assert_transfer(f, i == 0 ? QUEUE_OP_READ : QUEUE_OP_WRITE, 9, 0);
        assert_int_equal(0, f->request.iov_count);
    }
}

static void refuses_a_header_that_is_too_short(void **state)
{
    struct fixture *f = *state;
    begin(f, VIRTIO_BLK_T_IN, 0);
    add_in(f, f->data, 513);
    assert_int_equal(-EINVAL, parse(f)); /* none at all */
    assert_int_equal(QUEUE_OP_OTHER, f->request.op);
    begin(f, VIRTIO_BLK_T_IN, 0);
    add_out(f, &f->header, 8);
    add_out(f, (uint8_t *)&f->header + 8, 7);
    add_in(f, f->data, 513);
    assert_int_equal(-EINVAL, parse(f));
    assert_int_equal(QUEUE_OP_OTHER, f->request.op);
    assert_int_equal(0, f->request.byte_len);
}

static void refuses_a_chain_without_a_status_byte(void **state)
{
    struct fixture *f = *state;
    const uint32_t types[] = {VIRTIO_BLK_T_OUT, VIRTIO_BLK_T_IN, VIRTIO_BLK_T_FLUSH,
                              VIRTIO_BLK_T_GET_ID};
    for (int i = 0; i < 4; i++) {
        begin(f, types[i], 0);
        add_header(f);
        add_out(f, f->data, 512);
        assert_int_equal(-EINVAL, parse(f));
        assert_int_equal(QUEUE_OP_OTHER, f->request.op);
    }
}

static void refuses_data_that_is_no_whole_number_of_sectors(void **state)
{
    struct fixture *f = *state;
    const size_t lengths[] = {1, 511, 513, 4095};
    for (int i = 0; i < 4; i++) {
        begin(f, VIRTIO_BLK_T_IN, 0);
        add_header(f);
        add_in(f, f->data, lengths[i]);
        add_in(f, &f->status, 1);
        assert_int_equal(-EINVAL, parse(f));
        assert_int_equal(QUEUE_OP_READ, f->request.op);
        begin(f, VIRTIO_BLK_T_OUT, 0);
        add_header(f);
        add_out(f, f->data, lengths[i]);
        add_in(f, &f->status, 1);
        assert_int_equal(-EINVAL, parse(f));
        assert_int_equal(QUEUE_OP_WRITE, f->request.op);
    }
}

static void refuses_data_that_the_device_cannot_move_that_way(void **state)
{
    struct fixture *f = *state;
    begin(f, VIRTIO_BLK_T_IN, 0);
    add_header(f);
    add_out(f, f->data, 512);
    add_in(f, f->data + 512, 513);
    assert_int_equal(-EINVAL, parse(f));
    begin(f, VIRTIO_BLK_T_IN, 0);
    add_header(f);
    add_out(f, f->data, 512);
    add_in(f, &f->status, 1);
    assert_int_equal(-EINVAL, parse(f));
    begin(f, VIRTIO_BLK_T_OUT, 0);
    add_header(f);
    add_out(f, f->data, 512);
    add_in(f, f->data + 512, 513);
    assert_int_equal(-EINVAL, parse(f));
}

static void accepts_as_many_segments_as_fit_and_no_more(void **state)
{
    struct fixture *f = *state;
    for (uint32_t count = BLK_REQUEST_SEGMENTS_MAX; count <= BLK_REQUEST_SEGMENTS_MAX + 1;
         count++) {
        bool fits = count == BLK_REQUEST_SEGMENTS_MAX;
        begin(f, VIRTIO_BLK_T_OUT, 0);
        for (size_t i = 0; i < sizeof(f->header); i++) {
            add_out(f, (uint8_t *)&f->header + i, 1);
        }
        for (uint32_t i = 0; i < count; i++) {
            add_out(f, f->data, 512);
        }
        add_in(f, &f->status, 1);
        assert_int_equal(fits ? 0 : -E2BIG, parse(f));
        begin(f, VIRTIO_BLK_T_IN, 0);
        add_header(f);
        for (uint32_t i = 0; i < count; i++) {
            add_in(f, f->data, 512);
        }
        add_in(f, &f->status, 1);
        assert_int_equal(fits ? 0 : -E2BIG, parse(f));
    }
}

/* The segments are described, never touched. */
static void sums_lengths_beyond_32_bits(void **state)
{
    struct fixture *f = *state;
    begin(f, VIRTIO_BLK_T_IN, 0);
    add_header(f);
    add_in(f, f->data, UINT32_MAX);
    add_in(f, f->data, UINT32_MAX);
    add_in(f, f->data, 2);
    add_in(f, &f->status, 1);
    assert_int_equal(0, parse(f));
    assert_transfer(f, QUEUE_OP_READ, 0, (uint32_t)((2 * (uint64_t)UINT32_MAX + 2) / 512));
    begin(f, VIRTIO_BLK_T_IN, 0);
    add_header(f);
    add_in(f, f->data, UINT32_MAX);
    add_in(f, f->data, 2); /* 1 in 32 bits, 2^32 + 1 in truth */
    add_in(f, &f->status, 1);
    assert_int_equal(-EINVAL, parse(f));
}

static void refuses_more_sectors_than_a_request_can_count(void **state)
{
    struct fixture *f = *state;
    const uint64_t most = UINT64_C(512) * UINT32_MAX;
    begin(f, VIRTIO_BLK_T_IN, 0);
    add_header(f);
    add_in(f, f->data, most);
    add_in(f, &f->status, 1);
    assert_int_equal(0, parse(f));
    assert_transfer(f, QUEUE_OP_READ, 0, UINT32_MAX);
    begin(f, VIRTIO_BLK_T_IN, 0);
    add_header(f);
    add_in(f, f->data, most + 512);
    add_in(f, &f->status, 1);
    assert_int_equal(-EINVAL, parse(f));
}

static void parses_a_flush_of_sector_0_only(void **state)
{
    struct fixture *f = *state;
    begin(f, VIRTIO_BLK_T_FLUSH, 0);
    add_header(f);
    add_in(f, &f->status, 1);
    assert_int_equal(0, parse(f));
    assert_int_equal(QUEUE_OP_FLUSH, f->request.op);
    assert_int_equal(0, f->request.sector);
    assert_int_equal(0, f->request.sector_count);
    assert_int_equal(0, f->request.byte_len);
    assert_int_equal(0, f->request.iov_count);
    begin(f, VIRTIO_BLK_T_FLUSH, 1);
    add_header(f);
    add_in(f, &f->status, 1);
    assert_int_equal(-EINVAL, parse(f));
    assert_int_equal(QUEUE_OP_FLUSH, f->request.op);
}

static void ignores_data_of_a_flush(void **state)
{
    struct fixture *f = *state;
    begin(f, VIRTIO_BLK_T_FLUSH, 0);
    add_header(f);
    add_out(f, f->data, 100);
    add_in(f, f->data, 513);
    assert_int_equal(0, parse(f));
    assert_int_equal(0, f->request.byte_len);
}

static void answers_get_id_with_20_bytes(void **state)
{
    struct fixture *f = *state;
    const uint8_t expected[20] = "ubiblk";
    const size_t lengths[] = {20, 21, 512};
    for (int i = 0; i < 3; i++) {
        memset(f->data, 0xee, sizeof(f->data));
        begin(f, VIRTIO_BLK_T_GET_ID, 99); /* the sector means nothing */
        add_header(f);
        add_in(f, f->data, lengths[i]);
        add_in(f, &f->status, 1);
        assert_int_equal(1, parse(f));
        assert_int_equal(QUEUE_OP_OTHER, f->request.op);
        assert_int_equal(20, f->request.byte_len);
        assert_memory_equal(expected, f->data, 20);
        assert_int_equal(0xee, f->data[20]);
    }
}

static void scatters_the_id_over_segments(void **state)
{
    struct fixture *f = *state;
    memcpy(f->device.device_id, "abcdefghijklmnopqrst", 20);
    memset(f->data, 0xee, sizeof(f->data));
    begin(f, VIRTIO_BLK_T_GET_ID, 0);
    add_header(f);
    add_in(f, f->data, 1);
    add_in(f, f->data + 10, 18);
    add_in(f, f->data + 40, 2); /* the last byte of the id, and the status */
    assert_int_equal(1, parse(f));
    assert_int_equal('a', f->data[0]);
    assert_memory_equal("bcdefghijklmnopqrs", f->data + 10, 18);
    assert_int_equal('t', f->data[40]);
    assert_int_equal(0xee, f->data[41]);
}

static void refuses_get_id_with_too_little_room(void **state)
{
    struct fixture *f = *state;
    for (size_t length = 0; length < 20; length += 19) {
        memset(f->data, 0xee, sizeof(f->data));
        begin(f, VIRTIO_BLK_T_GET_ID, 0);
        add_header(f);
        if (length > 0) {
            add_in(f, f->data, length);
        }
        add_in(f, &f->status, 1);
        assert_int_equal(-EINVAL, parse(f));
        assert_int_equal(QUEUE_OP_OTHER, f->request.op);
        assert_int_equal(0xee, f->data[0]);
    }
}

static void does_not_offer_other_types(void **state)
{
    struct fixture *f = *state;
    const uint32_t types[] = {2, 3, 5, 6, 7, 9, 10, 11, 12, 13, 14, 0x80000000, UINT32_MAX};
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        begin(f, types[i], 0);
        add_header(f);
        add_out(f, f->data, 16);
        add_in(f, &f->status, 1);
        assert_int_equal(-EOPNOTSUPP, parse(f));
        assert_int_equal(QUEUE_OP_OTHER, f->request.op);
    }
}

static void fills_in_a_malformed_request(void **state)
{
    struct fixture *f = *state;
    memset(&f->request, 0xa5, sizeof(f->request));
    virtio_blk_malformed(&f->request);
    assert_int_equal(QUEUE_OP_OTHER, f->request.op);
    assert_int_equal(0, f->request.sector);
    assert_int_equal(0, f->request.sector_count);
    assert_int_equal(0, f->request.byte_len);
    assert_int_equal(0, f->request.iov_count);
}

static void gives_each_result_its_status(void **state)
{
    (void)state;
    assert_int_equal(VIRTIO_BLK_S_OK, virtio_blk_status(0));
    assert_int_equal(VIRTIO_BLK_S_UNSUPP, virtio_blk_status(-EOPNOTSUPP));
    assert_int_equal(VIRTIO_BLK_S_IOERR, virtio_blk_status(-EIO));
    assert_int_equal(VIRTIO_BLK_S_IOERR, virtio_blk_status(-EINVAL));
    assert_int_equal(VIRTIO_BLK_S_IOERR, virtio_blk_status(-E2BIG));
}

/* The members of the file itself, outside its nested objects. */
static char *vector_text(struct vector_object *whole)
{
    size_t byte_len;
    char *text = (char *)vector_file("virtio/config_and_features.json", &byte_len);
    *whole = (struct vector_object){text, text + byte_len};
    return text;
}

static void offers_the_features_of_the_vector(void **state)
{
    (void)state;
    struct vector_object whole;
    char *text = vector_text(&whole);
    char hex[32];
    vector_string(&whole, "device_features_hex", hex, sizeof(hex));
    /* indirect descriptors, event index, protocol features and version 1 are the transport's */
    const uint64_t transport = 1ull << 28 | 1ull << 29 | 1ull << 30 | 1ull << 32;
    assert_true(strtoull(hex, NULL, 16) == (VIRTIO_BLK_FEATURES | transport));
    free(text);
}

static void shows_the_configuration_space_of_the_vector(void **state)
{
    struct fixture *f = *state;
    struct vector_object whole;
    char *text = vector_text(&whole);
    uint8_t expected[60];
    vector_hex(&whole, "hex", expected, sizeof(expected));
    f->device.capacity = vector_number(&whole, "disk_bytes") / 512;
    f->device.seg_size_max = (uint32_t)vector_number(&whole, "seg_size_max");
    f->device.seg_count_max = (uint32_t)vector_number(&whole, "seg_count_max");
    f->device.queue_count = (uint32_t)vector_number(&whole, "num_queues");
    struct virtio_blk_config config;
    memset(&config, 0xff, sizeof(config));
    virtio_blk_config_fill(&f->device, true, &config);
    assert_memory_equal(expected, &config, sizeof(expected));
    free(text);
}

static void shows_cache_mode_and_block_size_as_they_are(void **state)
{
    struct fixture *f = *state;
    struct virtio_blk_config config;
    f->device.logical_block_size = 4096;
    f->device.capacity = UINT64_C(1) << 40;
    virtio_blk_config_fill(&f->device, false, &config);
    assert_int_equal(0, ((const uint8_t *)&config)[VIRTIO_BLK_CONFIG_WRITEBACK_OFFSET]);
    assert_int_equal(4096, config.blk_size);
    assert_true(config.capacity == UINT64_C(1) << 40);
    virtio_blk_config_fill(&f->device, true, &config);
    assert_int_equal(1, ((const uint8_t *)&config)[VIRTIO_BLK_CONFIG_WRITEBACK_OFFSET]);
}

static void answers_get_id_as_the_vector_does(void **state)
{
    struct fixture *f = *state;
    struct vector_object whole;
    char *text = vector_text(&whole);
    uint8_t expected[20];
    vector_hex(&whole, "get_id_reply_for_device_id_ubiblk", expected, sizeof(expected));
    begin(f, VIRTIO_BLK_T_GET_ID, 0);
    add_header(f);
    add_in(f, f->data, 20);
    add_in(f, &f->status, 1);
    assert_int_equal(1, parse(f));
    assert_memory_equal(expected, f->data, sizeof(expected));
    free(text);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(parses_a_read_in_the_usual_layout),
        TEST(parses_a_write_in_the_usual_layout),
        TEST(takes_a_header_of_one_byte_per_segment),
        TEST(takes_header_and_data_from_one_segment),
        TEST(takes_data_and_status_from_one_segment),
        TEST(takes_the_last_byte_of_a_long_status_segment),
        TEST(copies_the_header_once),
        TEST(does_not_touch_data_or_status),
        TEST(lets_a_transfer_of_nothing_through),
        TEST(refuses_a_header_that_is_too_short),
        TEST(refuses_a_chain_without_a_status_byte),
        TEST(refuses_data_that_is_no_whole_number_of_sectors),
        TEST(refuses_data_that_the_device_cannot_move_that_way),
        TEST(accepts_as_many_segments_as_fit_and_no_more),
        TEST(sums_lengths_beyond_32_bits),
        TEST(refuses_more_sectors_than_a_request_can_count),
        TEST(parses_a_flush_of_sector_0_only),
        TEST(ignores_data_of_a_flush),
        TEST(answers_get_id_with_20_bytes),
        TEST(scatters_the_id_over_segments),
        TEST(refuses_get_id_with_too_little_room),
        TEST(does_not_offer_other_types),
        TEST(fills_in_a_malformed_request),
        TEST(gives_each_result_its_status),
        TEST(offers_the_features_of_the_vector),
        TEST(shows_the_configuration_space_of_the_vector),
        TEST(shows_cache_mode_and_block_size_as_they_are),
        TEST(answers_get_id_as_the_vector_does),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
