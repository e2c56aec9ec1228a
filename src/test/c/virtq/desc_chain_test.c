/* SPDX-License-Identifier: AGPL-3.0-only */
/* Every shape of descriptor chain, good and bad, against one table of descriptors in our own memory
 * and a guest memory of three regions, the first two of them adjacent. */
#include "virtq/desc_chain.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "support/cmocka_test.h"
#include "support/guest_ram.h"

enum {
    RING_SIZE = 16,
    SMALL = 4,
    LARGE = 24,
    REGION_A = 0x100000,
    REGION_A_BYTES = 0x10000,
    REGION_B = REGION_A + REGION_A_BYTES,
    REGION_B_BYTES = 0x8000,
    REGION_C = 0x400000,
    REGION_C_BYTES = 0x1801,
    UNMAPPED = 0x900000,
    TABLE = REGION_A + 0x4000, /* where the tests put indirect tables */
};

enum {
    NEXT = VIRTQ_DESC_F_NEXT,
    WRITE = VIRTQ_DESC_F_WRITE,
    INDIRECT = VIRTQ_DESC_F_INDIRECT,
};

struct fixture {
    struct guest_ram ram;
    struct guest_memory *memory;
    struct virtq_desc *desc;
    struct virtq vq;
    struct iovec small[SMALL];
    struct iovec large[LARGE];
    struct desc_chain_storage storage;
    struct desc_chain chain;
};

static struct guest_memory *share(const struct guest_ram *ram)
{
    struct guest_memory *memory = guest_memory_create(NULL);
    assert_non_null(memory);
    for (uint32_t i = 0; i < ram->region_count; i++) {
        const struct guest_ram_region *region = &ram->regions[i];
        const struct guest_region_params params = {.gpa = region->gpa,
                                                   .byte_len = region->size,
                                                   .uaddr = region->uaddr,
                                                   .mmap_offset = region->file_offset};
        struct guest_memory *larger;
        assert_int_equal(0, guest_memory_add(memory, &params, region->fd, &larger, NULL));
        guest_memory_unref(memory);
        memory = larger;
    }
    return memory;
}

static void use_ring(struct fixture *f, uint16_t size)
{
    free(f->desc);
    f->desc = calloc(size, sizeof(*f->desc));
    assert_non_null(f->desc);
    f->vq = (struct virtq){.desc = f->desc, .size = size};
}

static int setup(void **state)
{
    static const struct guest_ram_spec specs[] = {
        {.gpa = REGION_A, .size = REGION_A_BYTES},
        {.gpa = REGION_B, .size = REGION_B_BYTES},
        {.gpa = REGION_C, .size = REGION_C_BYTES},
    };
    struct fixture *f = calloc(1, sizeof(*f));
    assert_non_null(f);
    assert_int_equal(0, guest_ram_init(&f->ram, specs, 3));
    f->memory = share(&f->ram);
    use_ring(f, RING_SIZE);
    f->storage = (struct desc_chain_storage){
        .small = f->small, .small_count = SMALL, .large = f->large, .large_count = LARGE};
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    guest_memory_unref(f->memory);
    guest_ram_deinit(&f->ram);
    free(f->desc);
    free(f);
    return 0;
}

static struct virtq_desc descriptor(uint64_t addr, uint32_t len, int flags, uint16_t next)
{
    return (struct virtq_desc){.addr = addr, .len = len, .flags = (uint16_t)flags, .next = next};
}

static int walk(struct fixture *f, uint16_t head)
{
    memset(&f->chain, 0xa5, sizeof(f->chain));
    return desc_chain_walk(&f->vq, f->memory, head, &f->storage, &f->chain);
}

/* Our pointer to a guest address. */
static uint8_t *at(const struct fixture *f, uint64_t gpa)
{
    uint64_t contiguous;
    return guest_memory_at_gpa(f->memory, gpa, &contiguous);
}

static void assert_segment(const struct fixture *f, uint32_t index, uint64_t gpa, size_t byte_len)
{
    assert_ptr_equal(at(f, gpa), f->chain.iov[index].iov_base);
    assert_int_equal(byte_len, f->chain.iov[index].iov_len);
}

/* Writes an indirect table into guest memory. */
static struct virtq_desc *table_at(const struct fixture *f, uint64_t gpa)
{
    return (struct virtq_desc *)(void *)at(f, gpa);
}

/* A readable header, a writable buffer and a writable status byte in three descriptors. */
static void write_read_request(struct virtq_desc *table)
{
    table[0] = descriptor(REGION_A, 16, NEXT, 1);
    table[1] = descriptor(REGION_A + 0x1000, 512, NEXT | WRITE, 2);
    table[2] = descriptor(REGION_C + 5, 1, WRITE, 0);
}

static void assert_read_request(const struct fixture *f)
{
    assert_int_equal(1, f->chain.out_count);
    assert_int_equal(2, f->chain.in_count);
    assert_int_equal(16, f->chain.out_bytes);
    assert_int_equal(513, f->chain.in_bytes);
    assert_segment(f, 0, REGION_A, 16);
    assert_segment(f, 1, REGION_A + 0x1000, 512);
    assert_segment(f, 2, REGION_C + 5, 1);
    assert_ptr_equal(at(f, REGION_C + 5), f->chain.last_in_byte);
}

static void turns_a_direct_chain_into_segments_of_our_memory(void **state)
{
    struct fixture *f = *state;
    write_read_request(f->desc);
    assert_int_equal(0, walk(f, 0));
    assert_read_request(f);
    assert_ptr_equal(f->small, f->chain.iov);
}

static void follows_links_in_any_order_of_the_table(void **state)
{
    struct fixture *f = *state;
    f->desc[15] = descriptor(REGION_A, 16, NEXT, 3);
    f->desc[3] = descriptor(REGION_A + 0x1000, 512, NEXT | WRITE, 9);
    f->desc[9] = descriptor(REGION_C + 5, 1, WRITE, 15);
    assert_int_equal(0, walk(f, 15));
    assert_read_request(f);
}

static void follows_an_indirect_table(void **state)
{
    struct fixture *f = *state;
    write_read_request(table_at(f, TABLE));
    f->desc[7] = descriptor(TABLE, 3 * 16, INDIRECT, 0);
    assert_int_equal(0, walk(f, 7));
    assert_read_request(f);
}

static void ignores_the_write_flag_of_an_indirect_descriptor(void **state)
{
    struct fixture *f = *state;
    write_read_request(table_at(f, TABLE));
    f->desc[0] = descriptor(TABLE, 3 * 16, INDIRECT | WRITE, 0);
    assert_int_equal(0, walk(f, 0));
    assert_read_request(f);
}

static void follows_an_indirect_table_at_an_odd_address(void **state)
{
    struct fixture *f = *state;
    struct virtq_desc table[3];
    write_read_request(table);
    memcpy(at(f, TABLE + 3), table, sizeof(table));
    f->desc[0] = descriptor(TABLE + 3, sizeof(table), INDIRECT, 0);
    assert_int_equal(0, walk(f, 0));
    assert_read_request(f);
}

static void follows_direct_descriptors_before_an_indirect_one(void **state)
{
    struct fixture *f = *state;
    struct virtq_desc *table = table_at(f, TABLE);
    f->desc[4] = descriptor(REGION_A, 16, NEXT, 2);
    f->desc[2] = descriptor(TABLE, 2 * 16, INDIRECT, 0);
    table[0] = descriptor(REGION_A + 0x1000, 512, NEXT | WRITE, 1);
    table[1] = descriptor(REGION_C + 5, 1, WRITE, 0);
    assert_int_equal(0, walk(f, 4));
    assert_read_request(f);
}

/* The number of entries is a table's own, not the ring's. */
static void follows_an_indirect_table_longer_than_the_ring(void **state)
{
    struct fixture *f = *state;
    enum { ENTRIES = RING_SIZE + 5 };
    struct virtq_desc *table = table_at(f, TABLE);
    for (uint32_t i = 0; i < ENTRIES; i++) {
        table[i] =
            descriptor(REGION_B + i, 1, WRITE | (i + 1 < ENTRIES ? NEXT : 0), (uint16_t)(i + 1));
    }
    f->desc[0] = descriptor(TABLE, ENTRIES * 16, INDIRECT, 0);
    assert_int_equal(0, walk(f, 0));
    assert_int_equal(ENTRIES, f->chain.in_count);
    assert_segment(f, ENTRIES - 1, REGION_B + ENTRIES - 1, 1);
}

static void refuses_a_head_beyond_the_ring(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(-EINVAL, walk(f, RING_SIZE));
    assert_null(f->chain.last_in_byte);
    assert_int_equal(-EINVAL, walk(f, 0xffff));
    assert_null(f->chain.last_in_byte);
}

static void refuses_a_link_beyond_the_table(void **state)
{
    struct fixture *f = *state;
    f->desc[0] = descriptor(REGION_A, 1, WRITE | NEXT, RING_SIZE);
    assert_int_equal(-EINVAL, walk(f, 0));
    assert_null(f->chain.last_in_byte);

    struct virtq_desc *table = table_at(f, TABLE);
    table[0] = descriptor(REGION_A, 1, WRITE | NEXT, 2);
    table[2] = descriptor(REGION_A, 1, WRITE, 0);
    f->desc[0] = descriptor(TABLE, 2 * 16, INDIRECT, 0);
    assert_int_equal(-EINVAL, walk(f, 0));
    assert_null(f->chain.last_in_byte);
}

static void refuses_a_loop(void **state)
{
    struct fixture *f = *state;
    f->desc[3] = descriptor(REGION_A, 8, NEXT, 3);
    assert_int_equal(-EINVAL, walk(f, 3));

    f->desc[0] = descriptor(REGION_A, 8, NEXT | WRITE, 1);
    f->desc[1] = descriptor(REGION_A, 8, NEXT | WRITE, 0);
    assert_int_equal(-EINVAL, walk(f, 0));
    assert_null(f->chain.last_in_byte);

    struct virtq_desc *table = table_at(f, TABLE);
    table[0] = descriptor(REGION_A, 8, NEXT, 1);
    table[1] = descriptor(REGION_A, 0, NEXT, 0);
    f->desc[0] = descriptor(TABLE, 2 * 16, INDIRECT, 0);
    assert_int_equal(-EINVAL, walk(f, 0));
}

static void refuses_an_indirect_table_that_cannot_be_one(void **state)
{
    struct fixture *f = *state;
    const struct virtq_desc bad[] = {
        descriptor(TABLE, 0, INDIRECT, 0),
        descriptor(TABLE, 15, INDIRECT, 0),
        descriptor(TABLE, 3 * 16 + 1, INDIRECT, 0),
        descriptor(TABLE, 3 * 16 + 15, INDIRECT, 0),
        descriptor(TABLE, 3 * 16, INDIRECT | NEXT, 1),
        descriptor(UNMAPPED, 3 * 16, INDIRECT, 0),
        descriptor(REGION_B - 16, 3 * 16, INDIRECT, 0), /* in two regions */
        descriptor(REGION_C + REGION_C_BYTES - 47, 3 * 16, INDIRECT, 0),
        descriptor(TABLE, UINT32_MAX - 15, INDIRECT, 0),
    };
    write_read_request(table_at(f, TABLE));
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        f->desc[0] = bad[i];
        f->desc[1] = descriptor(REGION_A, 1, WRITE, 0);
        assert_int_equal(-EINVAL, walk(f, 0));
        assert_null(f->chain.last_in_byte);
    }
}

static void refuses_an_indirect_table_within_an_indirect_table(void **state)
{
    struct fixture *f = *state;
    struct virtq_desc *table = table_at(f, TABLE);
    table[0] = descriptor(TABLE + 0x100, 3 * 16, INDIRECT, 0);
    write_read_request(table_at(f, TABLE + 0x100));
    f->desc[0] = descriptor(TABLE, 16, INDIRECT, 0);
    assert_int_equal(-EINVAL, walk(f, 0));
    assert_null(f->chain.last_in_byte);
}

static void splits_a_buffer_that_runs_into_the_next_region(void **state)
{
    struct fixture *f = *state;
    f->desc[0] = descriptor(REGION_A, 16, NEXT, 1);
    f->desc[1] = descriptor(REGION_B - 100, 612, WRITE, 0);
    assert_int_equal(0, walk(f, 0));
    assert_int_equal(1, f->chain.out_count);
    assert_int_equal(2, f->chain.in_count);
    assert_int_equal(612, f->chain.in_bytes);
    assert_segment(f, 1, REGION_B - 100, 100);
    assert_segment(f, 2, REGION_B, 512);
    assert_ptr_equal(at(f, REGION_B) + 511, f->chain.last_in_byte);
}

static void refuses_addresses_that_are_not_mapped_but_finds_the_status_byte(void **state)
{
    struct fixture *f = *state;
    const struct virtq_desc bad[] = {
        descriptor(UNMAPPED, 512, NEXT | WRITE, 2),
        descriptor(REGION_A - 1, 2, NEXT | WRITE, 2),
        descriptor(REGION_B + REGION_B_BYTES - 1, 2, NEXT | WRITE, 2),
        descriptor(REGION_C + REGION_C_BYTES, 1, NEXT | WRITE, 2),
        descriptor(UINT64_MAX, 2, NEXT | WRITE, 2),
        descriptor(UINT64_MAX - 511, 512, NEXT, 2),
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        write_read_request(f->desc);
        f->desc[1] = bad[i];
        assert_int_equal(-EFAULT, walk(f, 0));
        assert_ptr_equal(at(f, REGION_C + 5), f->chain.last_in_byte);
    }
}

static void has_no_status_byte_when_its_address_is_not_mapped(void **state)
{
    struct fixture *f = *state;
    write_read_request(f->desc);
    f->desc[2].addr = UNMAPPED;
    assert_int_equal(-EFAULT, walk(f, 0));
    assert_null(f->chain.last_in_byte);
    f->desc[2] = descriptor(REGION_C + REGION_C_BYTES - 1, 2, WRITE, 0); /* its last byte */
    assert_int_equal(-EFAULT, walk(f, 0));
    assert_null(f->chain.last_in_byte);
}

static void has_no_status_byte_when_nothing_is_writable(void **state)
{
    struct fixture *f = *state;
    f->desc[0] = descriptor(REGION_A, 16, 0, 0);
    assert_int_equal(0, walk(f, 0));
    assert_int_equal(1, f->chain.out_count);
    assert_int_equal(0, f->chain.in_count);
    assert_null(f->chain.last_in_byte);
}

static void skips_empty_descriptors_wherever_they_point(void **state)
{
    struct fixture *f = *state;
    f->desc[0] = descriptor(UNMAPPED, 0, NEXT, 1);
    f->desc[1] = descriptor(REGION_A, 16, NEXT, 2);
    f->desc[2] = descriptor(0, 0, NEXT | WRITE, 3);
    f->desc[3] = descriptor(REGION_A + 0x1000, 512, NEXT | WRITE, 4);
    f->desc[4] = descriptor(0, 0, NEXT, 5); /* not readable after writable: it has no bytes */
    f->desc[5] = descriptor(REGION_C + 5, 1, NEXT | WRITE, 6);
    f->desc[6] = descriptor(UNMAPPED, 0, WRITE, 0);
    assert_int_equal(0, walk(f, 0));
    assert_read_request(f);
}

static void gives_no_segments_for_a_chain_of_empty_descriptors(void **state)
{
    struct fixture *f = *state;
    f->desc[0] = descriptor(REGION_A, 0, NEXT, 1);
    f->desc[1] = descriptor(REGION_A, 0, WRITE, 0);
    assert_int_equal(0, walk(f, 0));
    assert_int_equal(0, f->chain.out_count + f->chain.in_count);
    assert_null(f->chain.last_in_byte);
}

static void refuses_readable_after_writable_but_finds_the_status_byte(void **state)
{
    struct fixture *f = *state;
    f->desc[0] = descriptor(REGION_A + 0x1000, 512, NEXT | WRITE, 1);
    f->desc[1] = descriptor(REGION_A, 16, NEXT, 2);
    f->desc[2] = descriptor(REGION_C + 5, 1, WRITE, 0);
    assert_int_equal(-EINVAL, walk(f, 0));
    assert_ptr_equal(at(f, REGION_C + 5), f->chain.last_in_byte);
    f->desc[1].flags = 0; /* the chain ends with the readable one */
    assert_int_equal(-EINVAL, walk(f, 0));
    assert_ptr_equal(at(f, REGION_A + 0x1000) + 511, f->chain.last_in_byte);
}

static void reports_the_first_fault_of_several(void **state)
{
    struct fixture *f = *state;
    f->desc[0] = descriptor(UNMAPPED, 16, NEXT | WRITE, 1);
    f->desc[1] = descriptor(REGION_A, 1, NEXT | WRITE, 2);
    f->desc[2] = descriptor(REGION_A, 16, NEXT, 3);
    f->desc[3] = descriptor(REGION_A, 1, WRITE, 0);
    assert_int_equal(-EFAULT, walk(f, 0));
    f->desc[0].addr = REGION_A; /* readable after writable comes first */
    f->desc[3].addr = UNMAPPED;
    assert_int_equal(-EINVAL, walk(f, 0));
}

/* A table of count one-byte writable descriptors, one after the other in region B. */
static void write_bytes(struct virtq_desc *table, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        table[i] = descriptor(REGION_B + i % REGION_B_BYTES, 1, WRITE | (i + 1 < count ? NEXT : 0),
                              (uint16_t)(i + 1));
    }
}

static void moves_to_the_large_storage_when_the_small_one_is_full(void **state)
{
    struct fixture *f = *state;
    const uint32_t counts[] = {SMALL, SMALL + 1, LARGE};
    for (size_t i = 0; i < 3; i++) {
        write_bytes(table_at(f, TABLE), counts[i]);
        f->desc[0] = descriptor(TABLE, counts[i] * 16, INDIRECT, 0);
        assert_int_equal(0, walk(f, 0));
        assert_ptr_equal(counts[i] > SMALL ? f->large : f->small, f->chain.iov);
        assert_int_equal(counts[i], f->chain.in_count);
        for (uint32_t n = 0; n < counts[i]; n++) {
            assert_segment(f, n, REGION_B + n, 1);
        }
    }
}

static void refuses_more_segments_than_the_storage_holds_but_finds_the_status_byte(void **state)
{
    struct fixture *f = *state;
    write_bytes(table_at(f, TABLE), LARGE + 1);
    f->desc[0] = descriptor(TABLE, (LARGE + 1) * 16, INDIRECT, 0);
    assert_int_equal(-E2BIG, walk(f, 0));
    assert_ptr_equal(at(f, REGION_B + LARGE), f->chain.last_in_byte);

    f->storage.large_count = SMALL; /* a large storage that is none */
    write_bytes(table_at(f, TABLE), SMALL + 1);
    f->desc[0] = descriptor(TABLE, (SMALL + 1) * 16, INDIRECT, 0);
    assert_int_equal(-E2BIG, walk(f, 0));
    assert_ptr_equal(at(f, REGION_B + SMALL), f->chain.last_in_byte);
}

static void counts_a_straddling_buffer_as_the_segments_that_it_gives(void **state)
{
    struct fixture *f = *state;
    f->storage.small_count = 1;
    f->storage.large_count = 1;
    f->desc[0] = descriptor(REGION_B - 1, 2, WRITE, 0);
    assert_int_equal(-E2BIG, walk(f, 0));
    assert_ptr_equal(at(f, REGION_B), f->chain.last_in_byte);
}

static void walks_the_longest_ring_to_its_end(void **state)
{
    struct fixture *f = *state;
    use_ring(f, VIRTQ_SIZE_MAX);
    write_bytes(f->desc, VIRTQ_SIZE_MAX);
    assert_int_equal(-E2BIG, walk(f, 0));
    assert_ptr_equal(at(f, REGION_B + (VIRTQ_SIZE_MAX - 1) % REGION_B_BYTES),
                     f->chain.last_in_byte);
}

static void refuses_a_chain_longer_than_any_ring(void **state)
{
    struct fixture *f = *state;
    enum { ENTRIES = DESC_CHAIN_MAX + 1, TABLE_BYTES = ENTRIES * 16, FAR = 0x10000000 };
    const struct guest_ram_spec spec = {.gpa = FAR, .size = TABLE_BYTES};
    assert_int_equal(0, guest_ram_add(&f->ram, &spec));
    guest_memory_unref(f->memory);
    f->memory = share(&f->ram);
    write_bytes(table_at(f, FAR), ENTRIES);
    f->desc[0] = descriptor(FAR, TABLE_BYTES, INDIRECT, 0);
    assert_int_equal(-EINVAL, walk(f, 0));
    assert_null(f->chain.last_in_byte);
    write_bytes(table_at(f, FAR), DESC_CHAIN_MAX);
    assert_int_equal(-E2BIG, walk(f, 0));
    assert_non_null(f->chain.last_in_byte);
}

static void sums_lengths_beyond_32_bits(void **state)
{
    struct fixture *f = *state;
    const uint64_t far = UINT64_C(1) << 40;
    const struct guest_ram_spec spec = {.gpa = far, .size = UINT64_C(5) << 30};
    assert_int_equal(0, guest_ram_add(&f->ram, &spec));
    guest_memory_unref(f->memory);
    f->memory = share(&f->ram);
    f->desc[0] = descriptor(far, UINT32_MAX, NEXT, 1);
    f->desc[1] = descriptor(far, UINT32_MAX, NEXT | WRITE, 2);
    f->desc[2] = descriptor(far, UINT32_MAX, WRITE, 0);
    assert_int_equal(0, walk(f, 0));
    assert_true(f->chain.out_bytes == UINT32_MAX);
    assert_true(f->chain.in_bytes == 2 * (uint64_t)UINT32_MAX);
    assert_segment(f, 2, far, UINT32_MAX);
}

static void is_not_touched_by_later_changes_of_descriptors(void **state)
{
    struct fixture *f = *state;
    struct virtq_desc *table = table_at(f, TABLE);
    write_read_request(table);
    f->desc[0] = descriptor(TABLE, 3 * 16, INDIRECT, 0);
    assert_int_equal(0, walk(f, 0));
    memset(table, 0xff, 3 * 16);
    memset(f->desc, 0xff, RING_SIZE * 16);
    assert_read_request(f);
}

static void touches_no_guest_memory_but_descriptors(void **state)
{
    struct fixture *f = *state;
    uint8_t *data = at(f, REGION_A);
    memset(data, 0x5a, REGION_A_BYTES);
    write_read_request(f->desc);
    assert_int_equal(0, walk(f, 0));
    for (uint32_t i = 0; i < REGION_A_BYTES; i++) {
        assert_int_equal(0x5a, data[i]);
    }
    assert_int_equal(0, *f->chain.last_in_byte);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(turns_a_direct_chain_into_segments_of_our_memory),
        TEST(follows_links_in_any_order_of_the_table),
        TEST(follows_an_indirect_table),
        TEST(ignores_the_write_flag_of_an_indirect_descriptor),
        TEST(follows_an_indirect_table_at_an_odd_address),
        TEST(follows_direct_descriptors_before_an_indirect_one),
        TEST(follows_an_indirect_table_longer_than_the_ring),
        TEST(refuses_a_head_beyond_the_ring),
        TEST(refuses_a_link_beyond_the_table),
        TEST(refuses_a_loop),
        TEST(refuses_an_indirect_table_that_cannot_be_one),
        TEST(refuses_an_indirect_table_within_an_indirect_table),
        TEST(splits_a_buffer_that_runs_into_the_next_region),
        TEST(refuses_addresses_that_are_not_mapped_but_finds_the_status_byte),
        TEST(has_no_status_byte_when_its_address_is_not_mapped),
        TEST(has_no_status_byte_when_nothing_is_writable),
        TEST(skips_empty_descriptors_wherever_they_point),
        TEST(gives_no_segments_for_a_chain_of_empty_descriptors),
        TEST(refuses_readable_after_writable_but_finds_the_status_byte),
        TEST(reports_the_first_fault_of_several),
        TEST(moves_to_the_large_storage_when_the_small_one_is_full),
        TEST(refuses_more_segments_than_the_storage_holds_but_finds_the_status_byte),
        TEST(counts_a_straddling_buffer_as_the_segments_that_it_gives),
        TEST(walks_the_longest_ring_to_its_end),
        TEST(refuses_a_chain_longer_than_any_ring),
        TEST(sums_lengths_beyond_32_bits),
        TEST(is_not_touched_by_later_changes_of_descriptors),
        TEST(touches_no_guest_memory_but_descriptors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
