/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Chains and rings that only a hostile or broken driver makes. A chain that cannot be followed goes
 * back to the used ring, with a status byte where it can be reached, and the driver is signalled. A
 * ring that cannot be followed stops, alone: its connection answers, and so does the next one.
 */
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "support/backend_host.h"
#include "support/cmocka_test.h"
#include "support/raw_guest.h"
#include "support/test_scale.h"

enum { DISK_BYTES = 32 << 20, SECTOR = 512, NEXT = VRING_DESC_F_NEXT, WRITE = VRING_DESC_F_WRITE };

struct fixture {
    struct backend_host host;
    struct raw_guest guest;
    char path[BACKEND_HOST_PATH_BYTES];
};

static int start(void **state)
{
    struct fixture *fixture = calloc(1, sizeof(*fixture));
    struct backend_host_params params;

    assert_non_null(fixture);
    assert_int_equal(test_disk_create(fixture->path, DISK_BYTES), 0);
    params = backend_host_defaults(fixture->path);
    assert_int_equal(backend_host_start(&fixture->host, &params), 0);
    *state = fixture;
    return 0;
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

static void check_disk(const struct fixture *fixture)
{
    struct stat status;

    assert_int_equal(stat(fixture->path, &status), 0);
    assert_int_equal(status.st_size, DISK_BYTES);
}

/* After a hostile chain the same ring goes on. */
static int check_same_ring(void **state)
{
    struct fixture *fixture = *state;

    raw_guest_check_served(&fixture->guest);
    raw_guest_close(&fixture->guest);
    check_disk(fixture);
    return 0;
}

/* After a hostile ring its connection still answers, the ring stops when told to, and starts afresh
 * on the same connection and on the next one. */
static int check_after_ring_fault(void **state)
{
    struct fixture *fixture = *state;
    struct raw_guest *guest = &fixture->guest;
    uint32_t base;

    raw_guest_await_ring_fault(guest);
    assert_int_equal(vhost_frontend_sync(&guest->frontend), 0);
    assert_int_equal(frontend_queue_stop(&guest->frontend, &guest->queue, &base), 0);
    virtq_driver_reset(&guest->queue.driver);
    assert_int_equal(frontend_queue_start(&guest->frontend, &guest->ram, &guest->queue, 0), 0);
    raw_guest_check_served(guest);
    raw_guest_close(guest);
    raw_guest_open(guest, fixture->host.socket_path, 0);
    return check_same_ring(state);
}

/* --- chains ----------------------------------------------------------------------------------- */

static void returns_a_chain_that_loops(void **state)
{
    struct raw_guest *guest = &((struct fixture *)*state)->guest;

    raw_guest_request(guest, VIRTIO_BLK_T_IN, 0, SECTOR);
    raw_guest_desc(guest, 2, RAW_GUEST_STATUS, 1, WRITE | NEXT, 1);
    raw_guest_expect(guest, 0, RAW_NO_STATUS, 0);
    raw_guest_desc(guest, 0, RAW_GUEST_HEADER, 16, NEXT, 0);
    raw_guest_expect(guest, 0, RAW_NO_STATUS, 0);
}

static void returns_a_chain_that_leaves_the_table(void **state)
{
    struct raw_guest *guest = &((struct fixture *)*state)->guest;
    const uint16_t nexts[] = {RAW_GUEST_QUEUE_SIZE, RAW_GUEST_QUEUE_SIZE + 1, 0x7fff, 0xffff};

    for (uint32_t i = 0; i < 4; i++) {
        raw_guest_request(guest, VIRTIO_BLK_T_OUT, 0, SECTOR);
        raw_guest_desc(guest, 1, RAW_GUEST_DATA, SECTOR, NEXT, nexts[i]);
        raw_guest_expect(guest, 0, RAW_NO_STATUS, 0);
    }
}

static void ends_a_chain_with_a_readable_buffer_after_a_writable_one(void **state)
{
    struct raw_guest *guest = &((struct fixture *)*state)->guest;
    uint8_t *data = raw_guest_at(guest, RAW_GUEST_DATA);

    raw_guest_request(guest, VIRTIO_BLK_T_IN, 0, SECTOR);
    raw_guest_desc(guest, 2, RAW_GUEST_DATA + 4096, 16, NEXT, 3);
    raw_guest_desc(guest, 3, RAW_GUEST_STATUS, 1, WRITE, 0);
    raw_guest_expect(guest, 0, VIRTIO_BLK_S_IOERR, 1);
    /* Counted but not looked at, these would be a header of two readable pieces and a read into
     * what the device may not write. */
    memset(data, 0xcc, SECTOR);
    raw_guest_header(guest, VIRTIO_BLK_T_IN, 0);
    raw_guest_desc(guest, 0, RAW_GUEST_HEADER, 8, NEXT, 1);
    raw_guest_desc(guest, 1, RAW_GUEST_HEADER + 8, 8, NEXT | WRITE, 2);
    raw_guest_desc(guest, 2, RAW_GUEST_DATA, SECTOR, NEXT, 3);
    raw_guest_desc(guest, 3, RAW_GUEST_STATUS, 1, WRITE, 0);
    raw_guest_expect(guest, 0, VIRTIO_BLK_S_IOERR, 1);
    assert_int_equal(data[0], 0xcc);
    assert_int_equal(data[SECTOR - 1], 0xcc);
}

static void ends_a_chain_with_a_buffer_that_is_not_in_guest_memory(void **state)
{
    struct raw_guest *guest = &((struct fixture *)*state)->guest;
    const struct {
        uint64_t gpa;
        uint32_t len;
    } buffers[] = {
        {RAW_GUEST_END, 512},
        {RAW_GUEST_END - 100, 512},
        {RAW_GUEST_LOW - 1, 512},
        {0, 512},
        {UINT64_MAX - 255, 512}, /* wraps */
        {UINT64_MAX, 512},
        {RAW_GUEST_DATA, UINT32_MAX},
        {RAW_GUEST_DATA + GUEST_RAM_UADDR_BIAS, 512}, /* an address of the other kind */
    };

    for (uint32_t i = 0; i < sizeof(buffers) / sizeof(buffers[0]); i++) {
        for (uint16_t writes = 0; writes < 2; writes++) {
            raw_guest_request(guest, writes ? VIRTIO_BLK_T_OUT : VIRTIO_BLK_T_IN, 0, SECTOR);
            raw_guest_desc(guest, 1, buffers[i].gpa, buffers[i].len,
                           (uint16_t)(NEXT | (writes ? 0 : WRITE)), 2);
            raw_guest_expect(guest, 0, VIRTIO_BLK_S_IOERR, 1);
        }
    }
}

static void ends_a_chain_with_a_header_that_is_not_in_guest_memory(void **state)
{
    struct raw_guest *guest = &((struct fixture *)*state)->guest;

    raw_guest_request(guest, VIRTIO_BLK_T_OUT, 0, SECTOR);
    raw_guest_desc(guest, 0, RAW_GUEST_END - 8, 16, NEXT, 1);
    raw_guest_expect(guest, 0, VIRTIO_BLK_S_IOERR, 1);
}

static void returns_a_chain_whose_status_byte_cannot_be_written(void **state)
{
    struct raw_guest *guest = &((struct fixture *)*state)->guest;

    raw_guest_request(guest, VIRTIO_BLK_T_OUT, 0, SECTOR);
    raw_guest_desc(guest, 2, RAW_GUEST_END, 1, WRITE, 0); /* not mapped */
    raw_guest_expect(guest, 0, RAW_NO_STATUS, 0);
    raw_guest_request(guest, VIRTIO_BLK_T_OUT, 0, SECTOR);
    raw_guest_desc(guest, 2, RAW_GUEST_STATUS, 1, 0, 0); /* not writable */
    raw_guest_expect(guest, 0, RAW_NO_STATUS, 0);
    raw_guest_request(guest, VIRTIO_BLK_T_OUT, 0, SECTOR);
    raw_guest_desc(guest, 2, RAW_GUEST_STATUS, 0, WRITE, 0); /* empty */
    raw_guest_expect(guest, 0, RAW_NO_STATUS, 0);
}

/* --- indirect tables -------------------------------------------------------------------------- */

/* A read with its three descriptors in the table. */
static void indirect_read(struct raw_guest *guest)
{
    raw_guest_header(guest, VIRTIO_BLK_T_IN, 0);
    raw_guest_table(guest, 0, RAW_GUEST_HEADER, 16, NEXT, 1);
    raw_guest_table(guest, 1, RAW_GUEST_DATA, SECTOR, NEXT | WRITE, 2);
    raw_guest_table(guest, 2, RAW_GUEST_STATUS, 1, WRITE, 0);
    raw_guest_desc(guest, 0, RAW_GUEST_TABLE, 3 * 16, VRING_DESC_F_INDIRECT, 0);
}

static void returns_indirect_tables_of_impossible_sizes(void **state)
{
    struct raw_guest *guest = &((struct fixture *)*state)->guest;
    const uint32_t sizes[] = {0, 1, 15, 17, 47, 3 * 16 + 8, UINT32_MAX, UINT32_MAX - 15};

    for (uint32_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        indirect_read(guest);
        raw_guest_desc(guest, 0, RAW_GUEST_TABLE, sizes[i], VRING_DESC_F_INDIRECT, 0);
        raw_guest_expect(guest, 0, RAW_NO_STATUS, 0);
    }
    indirect_read(guest);
    raw_guest_expect(guest, 0, VIRTIO_BLK_S_OK, SECTOR + 1);
}

static void returns_indirect_tables_that_are_not_in_guest_memory(void **state)
{
    struct raw_guest *guest = &((struct fixture *)*state)->guest;
    const uint64_t places[] = {RAW_GUEST_END, RAW_GUEST_END - 32, UINT64_MAX - 15, 0};

    for (uint32_t i = 0; i < 4; i++) {
        indirect_read(guest);
        raw_guest_desc(guest, 0, places[i], 3 * 16, VRING_DESC_F_INDIRECT, 0);
        raw_guest_expect(guest, 0, RAW_NO_STATUS, 0);
    }
}

static void returns_an_indirect_table_within_another(void **state)
{
    struct raw_guest *guest = &((struct fixture *)*state)->guest;

    indirect_read(guest);
    raw_guest_table(guest, 1, RAW_GUEST_TABLE, 3 * 16, VRING_DESC_F_INDIRECT, 0);
    raw_guest_expect(guest, 0, RAW_NO_STATUS, 0);
    indirect_read(guest);
    raw_guest_table(guest, 0, RAW_GUEST_TABLE, 3 * 16, VRING_DESC_F_INDIRECT | NEXT, 1);
    raw_guest_expect(guest, 0, RAW_NO_STATUS, 0);
}

static void returns_an_indirect_descriptor_that_goes_on(void **state)
{
    struct raw_guest *guest = &((struct fixture *)*state)->guest;

    indirect_read(guest);
    raw_guest_desc(guest, 0, RAW_GUEST_TABLE, 3 * 16, VRING_DESC_F_INDIRECT | NEXT, 1);
    raw_guest_desc(guest, 1, RAW_GUEST_STATUS, 1, WRITE, 0);
    raw_guest_expect(guest, 0, RAW_NO_STATUS, 0);
}

static void returns_an_indirect_table_that_loops_or_leads_out_of_itself(void **state)
{
    struct raw_guest *guest = &((struct fixture *)*state)->guest;

    indirect_read(guest);
    raw_guest_table(guest, 2, RAW_GUEST_STATUS, 1, WRITE | NEXT, 1);
    raw_guest_expect(guest, 0, RAW_NO_STATUS, 0);
    indirect_read(guest);
    raw_guest_table(guest, 1, RAW_GUEST_DATA, SECTOR, WRITE | NEXT, 3);
    raw_guest_expect(guest, 0, RAW_NO_STATUS, 0);
}

static void serves_direct_descriptors_before_an_indirect_one(void **state)
{
    struct raw_guest *guest = &((struct fixture *)*state)->guest;

    indirect_read(guest);
    raw_guest_table(guest, 0, RAW_GUEST_HEADER + 6, 10, NEXT, 1);
    raw_guest_desc(guest, 5, RAW_GUEST_HEADER, 6, NEXT, 0);
    raw_guest_expect(guest, 5, VIRTIO_BLK_S_OK, SECTOR + 1);
}

/* The write flag of the descriptor that refers to a table says nothing (2.7.5.3.2). */
static void ignores_the_write_flag_of_an_indirect_descriptor(void **state)
{
    struct raw_guest *guest = &((struct fixture *)*state)->guest;

    indirect_read(guest);
    raw_guest_desc(guest, 0, RAW_GUEST_TABLE, 3 * 16, VRING_DESC_F_INDIRECT | WRITE, 0);
    raw_guest_expect(guest, 0, VIRTIO_BLK_S_OK, SECTOR + 1);
}

/* --- rings ------------------------------------------------------------------------------------ */

static void stops_a_ring_whose_index_jumps(void **state)
{
    struct raw_guest *guest = &((struct fixture *)*state)->guest;

    raw_guest_request(guest, VIRTIO_BLK_T_IN, 0, SECTOR);
    guest->queue.driver.avail_index = RAW_GUEST_QUEUE_SIZE + 1;
    virtq_driver_publish_and_kick(&guest->queue.driver);
}

static void stops_a_ring_whose_index_goes_back(void **state)
{
    struct raw_guest *guest = &((struct fixture *)*state)->guest;

    guest->queue.driver.avail_index = UINT16_MAX;
    virtq_driver_publish_and_kick(&guest->queue.driver);
}

static void stops_a_ring_with_a_head_beyond_it(void **state)
{
    struct raw_guest *guest = &((struct fixture *)*state)->guest;

    raw_guest_submit(guest, RAW_GUEST_QUEUE_SIZE);
}

static void stops_a_ring_with_a_head_that_is_still_in_use(void **state)
{
    struct raw_guest *guest = &((struct fixture *)*state)->guest;

    raw_guest_request(guest, VIRTIO_BLK_T_IN, 0, 4 << 20);
    virtq_driver_add_raw(&guest->queue.driver, 0, UINT32_MAX, 0);
    virtq_driver_add_raw(&guest->queue.driver, 0, UINT32_MAX, 0);
    virtq_driver_publish_and_kick(&guest->queue.driver);
}

/* --- anything --------------------------------------------------------------------------------- */

static uint64_t random_gpa(struct test_random *random)
{
    /* Nowhere near the ring: a read into it would rightly destroy it. */
    static const uint64_t places[] = {
        RAW_GUEST_HEADER,     RAW_GUEST_STATUS,    RAW_GUEST_DATA,   RAW_GUEST_TABLE,
        RAW_GUEST_HIGH - 300, RAW_GUEST_END - 300, UINT64_MAX - 300, RAW_GUEST_LOW + (64 << 10)};

    return places[test_random_below(random, 8)] + test_random_below(random, 400);
}

static struct vring_desc random_desc(struct test_random *random, uint16_t count)
{
    static const uint32_t lengths[] = {0, 1, 15, 16, 512, 4096, 1 << 20, UINT32_MAX};
    struct vring_desc desc = {.addr = random_gpa(random),
                              .len = lengths[test_random_below(random, 8)],
                              .flags = (uint16_t)test_random_below(random, 8),
                              .next = (uint16_t)test_random_below(random, count)};

    if (test_random_one_in(random, 32)) {
        desc.flags = (uint16_t)test_random_next(random);
        desc.next = (uint16_t)test_random_next(random);
    }
    if ((desc.flags & VRING_DESC_F_INDIRECT) != 0 && test_random_below(random, 4) != 0) {
        desc.addr = RAW_GUEST_TABLE;
        desc.len = (uint32_t)test_random_below(random, 40) * 16;
    }
    return desc;
}

static void fill_at_random(struct raw_guest *guest, struct test_random *random)
{
    struct vring_desc *table = raw_guest_at(guest, RAW_GUEST_TABLE);
    uint8_t *header = raw_guest_at(guest, RAW_GUEST_HEADER);

    for (uint32_t i = 0; i < RAW_GUEST_QUEUE_SIZE; i++) {
        guest->queue.driver.desc[i] = random_desc(random, RAW_GUEST_QUEUE_SIZE);
        table[i] = random_desc(random, 40);
    }
    for (uint32_t i = 0; i < 400; i++) {
        header[i] = (uint8_t)(test_random_one_in(random, 4) ? test_random_below(random, 12) : 0);
    }
    /* Most chains begin as a request does. */
    for (uint16_t i = 0; i < RAW_GUEST_QUEUE_SIZE && test_random_below(random, 4) != 0; i += 3) {
        guest->queue.driver.desc[i].addr = RAW_GUEST_HEADER;
        guest->queue.driver.desc[i].len = 16;
        guest->queue.driver.desc[i].flags = NEXT;
    }
}

/* A batch of distinct heads of random chains. All of them come back. */
static void submit_at_random(struct raw_guest *guest, struct test_random *random)
{
    struct virtq_driver *driver = &guest->queue.driver;
    struct virtq_completion completions[RAW_GUEST_QUEUE_SIZE];
    uint32_t first = (uint32_t)test_random_below(random, RAW_GUEST_QUEUE_SIZE);
    uint32_t count = 1 + (uint32_t)test_random_below(random, RAW_GUEST_QUEUE_SIZE);

    for (uint32_t i = 0; i < count; i++) {
        virtq_driver_add_raw(driver, (uint16_t)((first + i) % RAW_GUEST_QUEUE_SIZE), UINT32_MAX, 0);
    }
    virtq_driver_publish_and_kick(driver);
    while (driver->in_flight_count > 0) {
        if (test_random_one_in(random, 8)) { /* changes descriptors behind the device's back */
            fill_at_random(guest, random);
        }
        assert_int_equal(virtq_driver_wait(driver, 20000), 1);
        if (virtq_driver_reap(driver, completions, RAW_GUEST_QUEUE_SIZE) < 0) {
            fail_msg("%s", virtq_driver_fault(driver));
        }
    }
}

static void returns_every_head_of_random_chains(void **state)
{
    struct fixture *fixture = *state;
    struct test_random random = {test_seed()};
    uint64_t rounds = test_count_long(2000, 100000);

    test_print_scale(rounds, "batches of random chains");
    for (uint64_t round = 0; round < rounds; round++) {
        fill_at_random(&fixture->guest, &random);
        submit_at_random(&fixture->guest, &random);
    }
    assert_true(backend_host_alive(&fixture->host));
}

#define CHAIN_TEST(name) cmocka_unit_test_setup_teardown(name, connect_guest, check_same_ring)
#define RING_TEST(name) cmocka_unit_test_setup_teardown(name, connect_guest, check_after_ring_fault)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CHAIN_TEST(returns_a_chain_that_loops),
        CHAIN_TEST(returns_a_chain_that_leaves_the_table),
        CHAIN_TEST(ends_a_chain_with_a_readable_buffer_after_a_writable_one),
        CHAIN_TEST(ends_a_chain_with_a_buffer_that_is_not_in_guest_memory),
        CHAIN_TEST(ends_a_chain_with_a_header_that_is_not_in_guest_memory),
        CHAIN_TEST(returns_a_chain_whose_status_byte_cannot_be_written),
        CHAIN_TEST(returns_indirect_tables_of_impossible_sizes),
        CHAIN_TEST(returns_indirect_tables_that_are_not_in_guest_memory),
        CHAIN_TEST(returns_an_indirect_table_within_another),
        CHAIN_TEST(returns_an_indirect_descriptor_that_goes_on),
        CHAIN_TEST(returns_an_indirect_table_that_loops_or_leads_out_of_itself),
        CHAIN_TEST(serves_direct_descriptors_before_an_indirect_one),
        CHAIN_TEST(ignores_the_write_flag_of_an_indirect_descriptor),
        RING_TEST(stops_a_ring_whose_index_jumps),
        RING_TEST(stops_a_ring_whose_index_goes_back),
        RING_TEST(stops_a_ring_with_a_head_beyond_it),
        RING_TEST(stops_a_ring_with_a_head_that_is_still_in_use),
        CHAIN_TEST(returns_every_head_of_random_chains),
    };

    return cmocka_run_group_tests(tests, start, stop);
}
