/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Messages that no honest front end sends: cut off, too large, not negotiated, with surplus
 * descriptors, or at random. The worst that may happen is that this connection ends.
 */
#include <errno.h>

#include "support/cmocka_test.h"
#include "support/hostile_peer.h"
#include "support/test_scale.h"

static void outlives_a_message_that_stops_anywhere(void **state)
{
    struct peer *peer = *state;
    struct {
        struct frontend_header header;
        struct frontend_mem_table table;
    } message = {.header = {FRONTEND_SET_MEM_TABLE, FRONTEND_VERSION, 8 + 2 * 32},
                 .table = {.region_count = 2}};

    for (size_t length = 0; length < sizeof(message.header) + 8 + 2 * 32; length += 5) {
        peer_connect(peer);
        assert_int_equal(vhost_frontend_send_raw(&peer->frontend, &message, length,
                                                 (int[]){peer->ram.regions[0].fd}, length > 0),
                         0);
        peer_hang_up(peer);
    }
    peer_check_clean(peer);
}

static void serves_a_message_that_comes_in_pieces(void **state)
{
    struct peer *peer = *state;
    struct frontend_header header = {FRONTEND_GET_FEATURES, FRONTEND_VERSION, 0};
    struct frontend_reply reply;

    peer_connect(peer);
    for (size_t i = 0; i < sizeof(header); i++) {
        assert_int_equal(
            vhost_frontend_send_raw(&peer->frontend, (const uint8_t *)&header + i, 1, NULL, 0), 0);
    }
    assert_int_equal(vhost_frontend_receive(&peer->frontend, &reply), 0);
    assert_int_equal(reply.header.request, FRONTEND_GET_FEATURES);
    peer_hang_up(peer);
}

static void drops_a_front_end_that_announces_too_much(void **state)
{
    struct peer *peer = *state;
    const uint32_t sizes[] = {UINT32_MAX, 0x80000000, 1 << 20, 4096 + 1};

    for (uint32_t i = 0; i < 4; i++) {
        struct frontend_header header = {FRONTEND_SET_MEM_TABLE, FRONTEND_VERSION, sizes[i]};

        peer_negotiate(peer);
        assert_int_equal(vhost_frontend_send_raw(&peer->frontend, &header, sizeof(header), NULL, 0),
                         0);
        peer_check_dropped(peer);
    }
}

static void drops_a_front_end_of_another_version(void **state)
{
    struct peer *peer = *state;
    const uint32_t versions[] = {0, 2, 3};

    for (uint32_t i = 0; i < 3; i++) {
        struct frontend_header header = {FRONTEND_GET_FEATURES, versions[i], 0};

        peer_connect(peer);
        assert_int_equal(vhost_frontend_send_raw(&peer->frontend, &header, sizeof(header), NULL, 0),
                         0);
        peer_check_dropped(peer);
    }
}

static void drops_a_front_end_with_a_request_that_was_not_negotiated(void **state)
{
    struct peer *peer = *state;
    const uint32_t requests[] = {0,  6,  7,  19, 20, 21, 22, 23, 26,  27,         28,
                                 31, 32, 33, 34, 35, 39, 40, 41, 255, 0x7fffffff, UINT32_MAX};
    uint8_t payload[64] = {0};

    for (uint32_t i = 0; i < sizeof(requests) / sizeof(requests[0]); i++) {
        peer_negotiate(peer);
        assert_int_equal(
            vhost_frontend_send(&peer->frontend, requests[i], 0, payload, sizeof(payload), NULL, 0),
            0);
        peer_check_dropped(peer);
    }
}

static const uint32_t with_payload[] = {
    FRONTEND_SET_FEATURES,   FRONTEND_SET_PROTOCOL_FEATURES, FRONTEND_SET_MEM_TABLE,
    FRONTEND_SET_VRING_NUM,  FRONTEND_SET_VRING_ADDR,        FRONTEND_SET_VRING_BASE,
    FRONTEND_GET_VRING_BASE, FRONTEND_SET_VRING_KICK,        FRONTEND_SET_VRING_CALL,
    FRONTEND_SET_VRING_ERR,  FRONTEND_SET_VRING_ENABLE,      FRONTEND_SET_CONFIG,
    FRONTEND_ADD_MEM_REG,    FRONTEND_REM_MEM_REG,
};

static void drops_a_front_end_whose_payload_is_too_short(void **state)
{
    struct peer *peer = *state;
    uint8_t payload[8] = {0};

    for (uint32_t i = 0; i < sizeof(with_payload) / sizeof(with_payload[0]); i++) {
        for (uint32_t size = 0; size < 8; size += 7) {
            peer_negotiate(peer);
            assert_int_equal(
                vhost_frontend_send(&peer->frontend, with_payload[i], 0, payload, size, NULL, 0),
                0);
            peer_check_dropped(peer);
        }
    }
}

static void refuses_a_configuration_message_that_lies_about_its_size(void **state)
{
    struct peer *peer = *state;
    const uint32_t sizes[] = {2, 60, 256, 257, 0x10000, UINT32_MAX};

    for (uint32_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        struct frontend_config config = {.size = sizes[i]};
        struct frontend_reply reply;

        peer_negotiate(peer); /* one byte of configuration follows, not sizes[i] */
        assert_int_equal(
            vhost_frontend_query(&peer->frontend, FRONTEND_GET_CONFIG, &config, 13, &reply), 0);
        assert_int_equal(reply.header.size, 0);
        assert_int_equal(
            vhost_frontend_command(&peer->frontend, FRONTEND_SET_CONFIG, &config, 13, NULL, 0),
            -EREMOTEIO);
        peer_check_dropped(peer);
    }
}

static void keeps_none_of_the_surplus_descriptors(void **state)
{
    struct peer *peer = *state;
    const uint32_t counts[] = {1, 2, 9, 33, FRONTEND_FDS_MAX};
    uint8_t payload[64] = {0};
    int fds[FRONTEND_FDS_MAX];

    for (uint32_t i = 0; i < FRONTEND_FDS_MAX; i++) {
        fds[i] = peer->ram.regions[0].fd;
    }
    for (uint32_t request = 1; request <= FRONTEND_REM_MEM_REG; request++) {
        for (uint32_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
            peer_negotiate(peer);
            assert_int_equal(vhost_frontend_send(&peer->frontend, request, 0, payload,
                                                 sizeof(payload), fds, counts[i]),
                             0);
            peer_hang_up(peer);
        }
        peer_check_clean(peer);
    }
}

static void refuses_features_that_it_does_not_offer(void **state)
{
    struct peer *peer = *state;

    peer_negotiate(peer);
    peer_check_refused(peer, vhost_frontend_set_u64(&peer->frontend, FRONTEND_SET_FEATURES,
                                                    FRONTEND_BIT(34 /* RING_PACKED */)));
    peer_negotiate(peer);
    peer_check_refused(
        peer, vhost_frontend_set_u64(&peer->frontend, FRONTEND_SET_PROTOCOL_FEATURES, UINT64_MAX));
}

static void send_at_random(struct peer *peer, struct test_random *random)
{
    uint8_t payload[128];
    uint32_t request = 1 + (uint32_t)test_random_below(random, 40);
    uint32_t size = (uint32_t)test_random_below(random, sizeof(payload));
    int fds[4] = {peer->ram.regions[0].fd, peer->queue.kick_fd, peer->queue.call_fd,
                  peer->ram.regions[0].fd};

    for (uint32_t i = 0; i < sizeof(payload); i++) {
        payload[i] = (uint8_t)(test_random_below(random, 4) == 0 ? test_random_next(random)
                                                                 : test_random_below(random, 2));
    }
    (void)vhost_frontend_send(&peer->frontend, request, (uint32_t)test_random_below(random, 4) << 2,
                              payload, size, fds, (uint32_t)test_random_below(random, 5));
}

static void outlives_random_messages(void **state)
{
    struct peer *peer = *state;
    struct test_random random = {test_seed()};
    uint64_t rounds = test_count_long(500, 20000);

    test_print_scale(rounds, "connections of random messages");
    for (uint64_t round = 0; round < rounds; round++) {
        uint64_t messages = 1 + test_random_below(&random, 8);

        switch (test_random_below(&random, 3)) {
        case 0:
            peer_connect(peer);
            break;
        case 1:
            peer_negotiate(peer);
            break;
        default:
            peer_negotiate(peer);
            peer_start_queue(peer);
        }
        for (uint64_t i = 0; i < messages; i++) {
            send_at_random(peer, &random);
        }
        peer_hang_up(peer);
    }
    peer_check_clean(peer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        PEER_TEST(outlives_a_message_that_stops_anywhere),
        PEER_TEST(serves_a_message_that_comes_in_pieces),
        PEER_TEST(drops_a_front_end_that_announces_too_much),
        PEER_TEST(drops_a_front_end_of_another_version),
        PEER_TEST(drops_a_front_end_with_a_request_that_was_not_negotiated),
        PEER_TEST(drops_a_front_end_whose_payload_is_too_short),
        PEER_TEST(refuses_a_configuration_message_that_lies_about_its_size),
        PEER_TEST(keeps_none_of_the_surplus_descriptors),
        PEER_TEST(refuses_features_that_it_does_not_offer),
        PEER_TEST(outlives_random_messages),
    };
    int failed = cmocka_run_group_tests_name("io_uring", tests, peer_setup_uring, peer_teardown);

    return failed + cmocka_run_group_tests_name("sync", tests, peer_setup_sync, peer_teardown);
}
