/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Virtqueues that no honest front end sets up: their numbers, sizes and places, and what it gives
 * them to kick and call with. hostile_rings_test has what a driver then writes into them.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "support/cmocka_test.h"
#include "support/hostile_peer.h"

enum { WAIT_MS = 20000 };

static void refuses_queues_that_do_not_exist(void **state)
{
    struct peer *peer = *state;
    const uint32_t indices[] = {PEER_QUEUES, PEER_QUEUES + 1, 63, 254};
    const uint32_t states[] = {FRONTEND_SET_VRING_NUM, FRONTEND_SET_VRING_BASE,
                               FRONTEND_SET_VRING_ENABLE};

    for (uint32_t i = 0; i < 4; i++) {
        uint32_t base;

        for (uint32_t k = 0; k < 3; k++) {
            peer_negotiate(peer);
            peer_check_refused(peer,
                               vhost_frontend_set_vring(&peer->frontend, states[k],
                                                        indices[i] | (i == 1 ? 1u << 31 : 0), 1));
        }
        peer_negotiate(peer);
        peer_check_refused(peer, vhost_frontend_get_vring_base(&peer->frontend, indices[i], &base));
        peer_negotiate(peer);
        peer_check_refused(peer,
                           vhost_frontend_set_vring_addr(&peer->frontend, indices[i], 0, 0, 0));
        peer_negotiate(peer);
        peer_check_refused(peer,
                           vhost_frontend_set_vring_fd(&peer->frontend, FRONTEND_SET_VRING_CALL,
                                                       indices[i], peer->queue.call_fd));
    }
}

static void refuses_ring_sizes_that_cannot_be(void **state)
{
    struct peer *peer = *state;
    const uint32_t sizes[] = {0,     3,     PEER_QUEUE_SIZE - 1, PEER_QUEUE_SIZE * 2,
                              32768, 65536, UINT32_MAX};

    for (uint32_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        peer_negotiate(peer);
        peer_check_refused(
            peer, vhost_frontend_set_vring(&peer->frontend, FRONTEND_SET_VRING_NUM, 0, sizes[i]));
    }
}

static void refuses_bases_that_do_not_fit_an_index(void **state)
{
    struct peer *peer = *state;

    peer_negotiate(peer);
    peer_check_refused(
        peer, vhost_frontend_set_vring(&peer->frontend, FRONTEND_SET_VRING_BASE, 0, 65536));
}

/* The ring cannot start where its memory is not: the refusal comes with the kick at the latest. */
static void refuses_rings_outside_of_guest_memory(void **state)
{
    struct peer *peer = *state;
    const uint64_t good = guest_ram_uaddr(&peer->ram, peer->queue.desc_gpa);
    const uint64_t end = peer->ram.regions[0].uaddr + peer->ram.regions[0].size;
    const uint64_t bad[] = {
        0, end, end - 16, good + 1, UINT64_MAX, UINT64_MAX - 15, peer->queue.desc_gpa};

    for (uint32_t part = 0; part < 3; part++) {
        for (uint32_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
            int result;

            peer_negotiate(peer);
            assert_int_equal(vhost_frontend_share(&peer->frontend, &peer->ram), 0);
            assert_int_equal(vhost_frontend_set_vring(&peer->frontend, FRONTEND_SET_VRING_NUM, 0,
                                                      PEER_QUEUE_SIZE),
                             0);
            result = vhost_frontend_set_vring_addr(&peer->frontend, 0, part == 0 ? bad[i] : good,
                                                   part == 1 ? bad[i] : good + 2048,
                                                   part == 2 ? bad[i] : good + 4096);
            if (result == 0) {
                result = vhost_frontend_set_vring_fd(&peer->frontend, FRONTEND_SET_VRING_KICK, 0,
                                                     peer->queue.kick_fd);
            }
            peer_check_refused(peer, result);
        }
    }
}

static void refuses_a_started_ring_without_a_kick_descriptor(void **state)
{
    struct peer *peer = *state;

    peer_negotiate(peer);
    peer_check_refused(
        peer, vhost_frontend_set_vring_fd(&peer->frontend, FRONTEND_SET_VRING_KICK, 0, -1));
}

static void refuses_a_kick_before_anything_else(void **state)
{
    struct peer *peer = *state;

    peer_connect(peer);
    assert_int_equal(vhost_frontend_set_vring_fd(&peer->frontend, FRONTEND_SET_VRING_KICK, 0,
                                                 peer->queue.kick_fd),
                     0);
    peer_check_dropped(peer);
    peer_negotiate(peer);
    peer_check_refused(peer, vhost_frontend_set_vring_fd(&peer->frontend, FRONTEND_SET_VRING_KICK,
                                                         0, peer->queue.kick_fd));
}

static void refuses_to_enable_a_ring_without_protocol_features(void **state)
{
    struct peer *peer = *state;

    peer_connect(peer);
    assert_int_equal(vhost_frontend_negotiate(&peer->frontend, FRONTEND_BIT(32), 0), 0);
    assert_int_equal(vhost_frontend_set_vring(&peer->frontend, FRONTEND_SET_VRING_ENABLE, 0, 1), 0);
    peer_check_dropped(peer);
}

static void keeps_one_descriptor_of_each_kind_however_often_it_is_replaced(void **state)
{
    struct peer *peer = *state;
    const uint32_t requests[] = {FRONTEND_SET_VRING_KICK, FRONTEND_SET_VRING_CALL,
                                 FRONTEND_SET_VRING_ERR};
    uint32_t before;

    peer_negotiate(peer);
    peer_start_queue(peer);
    assert_int_equal(vhost_frontend_set_vring_fd(&peer->frontend, FRONTEND_SET_VRING_ERR, 0,
                                                 peer->queue.call_fd),
                     0);
    before = backend_host_fd_count(&peer->host);
    for (uint32_t i = 0; i < 60; i++) {
        assert_int_equal(
            vhost_frontend_set_vring_fd(&peer->frontend, requests[i % 3], 0, peer->queue.kick_fd),
            0);
        assert_int_equal(backend_host_fd_count(&peer->host), before);
    }
    peer_hang_up(peer);
    peer_check_clean(peer);
}

/* Kick descriptors that are no eventfds: the ring may be refused, nothing may spin or hang. */
static void survives_kick_descriptors_of_other_kinds(void **state)
{
    struct peer *peer = *state;
    int pipe_fds[2], odd[4];

    assert_int_equal(pipe2(pipe_fds, O_CLOEXEC), 0);
    close(pipe_fds[1]); /* hung up: readable for ever */
    odd[0] = pipe_fds[0];
    odd[1] = fcntl(peer->ram.regions[0].fd, F_DUPFD_CLOEXEC, 0);
    odd[2] = open("/dev/null", O_RDONLY | O_CLOEXEC);
    odd[3] = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    for (uint32_t i = 0; i < 4; i++) {
        uint64_t cpu_ms;
        int result;

        peer_negotiate(peer);
        peer_start_queue(peer);
        result = vhost_frontend_set_vring_fd(&peer->frontend, FRONTEND_SET_VRING_KICK, 0, odd[i]);
        assert_true(result == 0 || result == -EREMOTEIO || result == -ECONNRESET);
        cpu_ms = backend_host_cpu_ms(&peer->host);
        assert_int_equal(vhost_frontend_await_close(&peer->frontend, 300),
                         result == 0 ? -ETIMEDOUT : 0);
        assert_in_range(backend_host_cpu_ms(&peer->host) - cpu_ms, 0, 150);
        peer_hang_up(peer);
        peer_check_clean(peer);
        close(odd[i]);
    }
}

/* Signals must not end the process (a pipe that nobody reads) or block it (a full one, or a full
 * eventfd in blocking mode). */
static void survives_call_descriptors_that_break_or_block(void **state)
{
    struct peer *peer = *state;
    int broken[2], full[2], odd[3];

    assert_int_equal(pipe2(broken, O_CLOEXEC), 0);
    close(broken[0]);
    assert_int_equal(pipe2(full, O_CLOEXEC | O_NONBLOCK), 0);
    while (write(full[1], &(uint64_t){1}, 8) == 8) {
    }
    assert_int_equal(fcntl(full[1], F_SETFL, 0), 0);
    odd[0] = broken[1];
    odd[1] = full[1];
    odd[2] = eventfd(0, EFD_CLOEXEC);
    assert_int_equal(write(odd[2], &(uint64_t){UINT64_MAX - 1}, 8), 8);
    for (uint32_t i = 0; i < 3; i++) {
        peer_negotiate(peer);
        peer_start_queue(peer);
        assert_int_equal(
            vhost_frontend_set_vring_fd(&peer->frontend, FRONTEND_SET_VRING_CALL, 0, odd[i]), 0);
        peer->queue.driver.avail_index = 1; /* one chain of an empty descriptor: goes back */
        virtq_driver_publish_and_kick(&peer->queue.driver);
        assert_int_equal(virtq_driver_poll(&peer->queue.driver, WAIT_MS), 1);
        peer_hang_up(peer);
        peer_check_clean(peer);
        close(odd[i]);
    }
    close(full[0]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        PEER_TEST(refuses_queues_that_do_not_exist),
        PEER_TEST(refuses_ring_sizes_that_cannot_be),
        PEER_TEST(refuses_bases_that_do_not_fit_an_index),
        PEER_TEST(refuses_rings_outside_of_guest_memory),
        PEER_TEST(refuses_a_started_ring_without_a_kick_descriptor),
        PEER_TEST(refuses_a_kick_before_anything_else),
        PEER_TEST(refuses_to_enable_a_ring_without_protocol_features),
        PEER_TEST(keeps_one_descriptor_of_each_kind_however_often_it_is_replaced),
        PEER_TEST(survives_kick_descriptors_of_other_kinds),
        PEER_TEST(survives_call_descriptors_that_break_or_block),
    };
    int failed = cmocka_run_group_tests_name("io_uring", tests, peer_setup_uring, peer_teardown);

    return failed + cmocka_run_group_tests_name("sync", tests, peer_setup_sync, peer_teardown);
}
