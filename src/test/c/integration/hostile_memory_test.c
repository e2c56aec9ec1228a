/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Guest memory that no honest front end shares: regions that cannot be, that cannot be mapped or
 * overlap, and regions that are taken away from under a ring.
 */
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "support/cmocka_test.h"
#include "support/hostile_peer.h"

enum { PAGE = 4096 };

static int share_one(struct peer *peer, const struct frontend_mem_region *region, int fd,
                     bool table)
{
    struct frontend_single_region single = {.region = *region};
    struct frontend_mem_table all = {.region_count = 1, .regions = {*region}};

    return table ? vhost_frontend_command(&peer->frontend, FRONTEND_SET_MEM_TABLE, &all, 40, &fd, 1)
                 : vhost_frontend_command(&peer->frontend, FRONTEND_ADD_MEM_REG, &single,
                                          sizeof(single), &fd, 1);
}

static void refuses_regions_that_cannot_be(void **state)
{
    struct peer *peer = *state;
    const uint64_t size = peer->ram.regions[0].size;
    const struct frontend_mem_region regions[] = {
        {0x100000, 0, 0x500000, 0},        /* nothing */
        {0x100000, size + 1, 0x500000, 0}, /* longer than the file */
        {0x100000, UINT64_MAX, 0x500000, 0},
        {0x100000, size, 0x500000, PAGE},              /* its end is beyond the file */
        {0x100000, size, 0x500000, UINT64_MAX - 4095}, /* offset and size wrap */
        {0x100000, size, 0x500000, UINT64_C(1) << 63},
        {UINT64_MAX - 100, size, 0x500000, 0}, /* guest addresses wrap */
        {0x100000, size, UINT64_MAX - 100, 0}, /* front-end addresses wrap */
    };

    for (uint32_t i = 0; i < sizeof(regions) / sizeof(regions[0]); i++) {
        for (uint32_t table = 0; table < 2; table++) {
            peer_negotiate(peer);
            peer_check_refused(peer,
                               share_one(peer, &regions[i], peer->ram.regions[0].fd, table == 1));
        }
    }
}

static void refuses_memory_that_cannot_be_mapped(void **state)
{
    struct peer *peer = *state;
    const struct frontend_mem_region region = {0x100000, PAGE, 0x500000, 0};
    int odd[4], pipe_fds[2];

    assert_int_equal(pipe2(pipe_fds, O_CLOEXEC), 0);
    odd[0] = pipe_fds[0];
    odd[1] = peer->queue.kick_fd;
    odd[2] = open("/dev/null", O_RDWR | O_CLOEXEC);
    odd[3] = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    for (uint32_t i = 0; i < 4; i++) {
        peer_negotiate(peer);
        peer_check_refused(peer, share_one(peer, &region, odd[i], i % 2 == 0));
    }
    close(pipe_fds[0]);
    close(pipe_fds[1]);
    close(odd[2]);
    close(odd[3]);
}

static void refuses_overlapping_regions(void **state)
{
    struct peer *peer = *state;
    const struct frontend_mem_region first = {0x100000, 4 * PAGE, 0x500000, 0},
                                     second = {0x101000, PAGE, 0x900000, 0};
    int fd = peer->ram.regions[0].fd;

    peer_negotiate(peer);
    assert_int_equal(share_one(peer, &first, fd, false), 0);
    peer_check_refused(peer, share_one(peer, &second, fd, false));
}

static void refuses_tables_whose_counts_do_not_agree(void **state)
{
    struct peer *peer = *state;
    struct frontend_mem_table table = {
        .regions = {{0x100000, PAGE, 0x500000, 0}, {0x200000, PAGE, 0x600000, 0}}};
    const struct {
        uint32_t regions, payload_regions, fds;
    } cases[] = {{0, 0, 0}, {0, 1, 1},    {2, 1, 2},          {2, 2, 1},
                 {1, 2, 2}, {33, 33, 33}, {UINT32_MAX, 2, 2}, {0x8000001, 1, 1}};
    int fds[FRONTEND_FDS_MAX];

    for (uint32_t i = 0; i < FRONTEND_FDS_MAX; i++) {
        fds[i] = peer->ram.regions[0].fd;
    }
    for (uint32_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        uint8_t payload[8 + 33 * 32] = {0};

        table.region_count = cases[i].regions;
        memcpy(payload, &table, 8 + 2 * 32);
        peer_negotiate(peer);
        peer_check_refused(peer, vhost_frontend_command(&peer->frontend, FRONTEND_SET_MEM_TABLE,
                                                        payload, 8 + cases[i].payload_regions * 32,
                                                        fds, cases[i].fds));
    }
}

static void refuses_to_remove_memory_that_it_does_not_have(void **state)
{
    struct peer *peer = *state;
    struct guest_ram_region other = peer->ram.regions[0];

    other.gpa += PAGE;
    peer_negotiate(peer);
    assert_int_equal(vhost_frontend_share(&peer->frontend, &peer->ram), 0);
    peer_check_refused(peer, vhost_frontend_rem_mem_reg(&peer->frontend, &other));
    peer_negotiate(peer);
    peer_check_refused(peer, vhost_frontend_rem_mem_reg(&peer->frontend, &peer->ram.regions[0]));
}

static void stops_a_ring_whose_memory_is_taken_away(void **state)
{
    struct peer *peer = *state;

    peer_negotiate(peer);
    peer_start_queue(peer);
    assert_int_equal(vhost_frontend_rem_mem_reg(&peer->frontend, &peer->ram.regions[0]), 0);
    peer->queue.driver.avail_index = 1;
    virtq_driver_publish_and_kick(&peer->queue.driver);
    assert_int_equal(vhost_frontend_sync(&peer->frontend), 0);
    assert_int_equal(backend_host_mapping_count(&peer->host), 0);
    assert_int_equal(vhost_frontend_add_mem_reg(&peer->frontend, &peer->ram.regions[0]), 0);
    assert_false(virtq_driver_has_used(&peer->queue.driver));
    peer_hang_up(peer);
    peer_check_clean(peer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        PEER_TEST(refuses_regions_that_cannot_be),
        PEER_TEST(refuses_memory_that_cannot_be_mapped),
        PEER_TEST(refuses_overlapping_regions),
        PEER_TEST(refuses_tables_whose_counts_do_not_agree),
        PEER_TEST(refuses_to_remove_memory_that_it_does_not_have),
        PEER_TEST(stops_a_ring_whose_memory_is_taken_away),
    };
    int failed = cmocka_run_group_tests_name("io_uring", tests, peer_setup_uring, peer_teardown);

    return failed + cmocka_run_group_tests_name("sync", tests, peer_setup_sync, peer_teardown);
}
