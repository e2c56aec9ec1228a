/* SPDX-License-Identifier: AGPL-3.0-only */
#include "support/hostile_peer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "support/blk_client.h"

enum { DISK_BYTES = 16 << 20, WAIT_MS = 20000, PAGE = 4096 };

void peer_connect(struct peer *peer)
{
    assert_int_equal(vhost_frontend_connect(&peer->frontend, peer->host.socket_path, WAIT_MS), 0);
}

void peer_negotiate(struct peer *peer)
{
    peer_connect(peer);
    assert_int_equal(vhost_frontend_negotiate(&peer->frontend, BLK_CLIENT_FEATURES,
                                              BLK_CLIENT_PROTOCOL_FEATURES),
                     0);
    peer->frontend.need_reply = true;
}

void peer_start_queue(struct peer *peer)
{
    virtq_driver_reset(&peer->queue.driver);
    assert_int_equal(vhost_frontend_share(&peer->frontend, &peer->ram), 0);
    assert_int_equal(frontend_queue_start(&peer->frontend, &peer->ram, &peer->queue, 0), 0);
}

void peer_hang_up(struct peer *peer)
{
    vhost_frontend_disconnect(&peer->frontend);
}

void peer_check_clean(struct peer *peer)
{
    struct blk_client_params params = {.socket_path = peer->host.socket_path,
                                       .features = BLK_CLIENT_FEATURES,
                                       .protocol_features = BLK_CLIENT_PROTOCOL_FEATURES,
                                       .queue_count = PEER_QUEUES,
                                       .queue_size = PEER_QUEUE_SIZE,
                                       .depth = 1,
                                       .slot_bytes = PAGE,
                                       .connect_timeout_ms = WAIT_MS};
    struct blk_client client;
    uint8_t bytes[PAGE];

    assert_int_equal(blk_client_open(&client, &params), 0);
    memset(bytes, 0x3c, sizeof(bytes));
    for (uint32_t queue = 0; queue < PEER_QUEUES; queue++) {
        assert_int_equal(
            blk_client_execute(&client, queue, VIRTIO_BLK_T_OUT, 8, bytes, sizeof(bytes)), 0);
        memset(bytes, 0, sizeof(bytes));
        assert_int_equal(
            blk_client_execute(&client, queue, VIRTIO_BLK_T_IN, 8, bytes, sizeof(bytes)), 0);
        assert_int_equal(bytes[77], 0x3c);
    }
    blk_client_close(&client);
    peer_connect(peer);
    assert_int_equal(vhost_frontend_sync(&peer->frontend), 0);
    /* The client's connection was closed before this one was answered, which has one descriptor. */
    assert_int_equal(backend_host_fd_count(&peer->host), peer->fd_count + 1);
    assert_int_equal(backend_host_mapping_count(&peer->host), 0);
    peer_hang_up(peer);
}

void peer_check_dropped(struct peer *peer)
{
    assert_int_equal(vhost_frontend_await_close(&peer->frontend, WAIT_MS), 0);
    peer_hang_up(peer);
    peer_check_clean(peer);
}

void peer_check_refused(struct peer *peer, int result)
{
    assert_true(result == -EREMOTEIO || result == -ECONNRESET);
    peer_hang_up(peer);
    peer_check_clean(peer);
}

static int start(void **state, enum io_engine_kind engine)
{
    struct guest_ram_spec spec = {.gpa = 0x100000, .size = 1 << 20};
    struct peer *peer = calloc(1, sizeof(*peer));
    struct backend_host_params params;

    assert_non_null(peer);
    assert_int_equal(test_disk_create(peer->path, DISK_BYTES), 0);
    params = backend_host_defaults(peer->path);
    params.device.queue_count = PEER_QUEUES;
    params.device.queue_size = PEER_QUEUE_SIZE;
    params.device.io_engine = engine;
    /* Before there is guest memory that the child would inherit. */
    assert_int_equal(backend_host_start(&peer->host, &params), 0);
    assert_int_equal(guest_ram_init(&peer->ram, &spec, 1), 0);
    assert_int_equal(frontend_queue_init(&peer->queue, &peer->ram, 0, 0, PEER_QUEUE_SIZE, true), 0);
    peer_connect(peer);
    assert_int_equal(vhost_frontend_sync(&peer->frontend), 0);
    peer->fd_count = backend_host_fd_count(&peer->host) - 1;
    peer_hang_up(peer);
    *state = peer;
    return 0;
}

int peer_setup_uring(void **state)
{
    return start(state, IO_ENGINE_URING);
}

int peer_setup_sync(void **state)
{
    return start(state, IO_ENGINE_SYNC);
}

int peer_leave(void **state)
{
    peer_hang_up(*state);
    return 0;
}

int peer_teardown(void **state)
{
    struct peer *peer = *state;

    assert_int_equal(backend_host_stop(&peer->host), 0);
    frontend_queue_deinit(&peer->queue);
    guest_ram_deinit(&peer->ram);
    test_disk_remove(peer->path);
    free(peer);
    return 0;
}
