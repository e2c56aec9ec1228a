/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * A front end that shrinks the file behind its memory while the back end uses it harms only itself:
 * the process lives, and the next front end finds the disk as it was.
 */
#include <string.h>
#include <unistd.h>

#include "base/event.h"
#include "support/backend_host.h"
#include "support/blk_client.h"
#include "support/cmocka_test.h"

enum { DISK_BYTES = 1 << 20, BLOCK = 4096, DEPTH = 16, QUEUE_SIZE = 64 };

static void open_client(struct blk_client *client, const struct backend_host *host, bool unsealed)
{
    const struct blk_client_params params = {.socket_path = host->socket_path,
                                             .features = BLK_CLIENT_FEATURES,
                                             .protocol_features = BLK_CLIENT_PROTOCOL_FEATURES,
                                             .queue_count = 1,
                                             .queue_size = QUEUE_SIZE,
                                             .depth = DEPTH,
                                             .slot_bytes = BLOCK,
                                             .connect_timeout_ms = FRONTEND_TIMEOUT_MS,
                                             .unsealed = unsealed};
    assert_int_equal(blk_client_open(client, &params), 0);
}

static void check_block(struct blk_client *client, uint32_t type, uint8_t value)
{
    uint8_t data[BLOCK];
    memset(data, value, sizeof(data));
    assert_int_equal(blk_client_execute(client, 0, type, 0, data, sizeof(data)), 0);
    for (size_t i = 0; i < sizeof(data); i++) {
        assert_int_equal(data[i], value);
    }
}

static void shrink_under_the_back_end(const struct backend_host *host)
{
    struct blk_client client;
    open_client(&client, host, true);
    for (uint16_t slot = 0; slot < DEPTH; slot++) {
        assert_int_equal(
            blk_client_submit(&client, 0, slot, VIRTIO_BLK_T_OUT, 8 + 8u * slot, BLOCK), 0);
    }
    blk_client_publish(&client, 0);
    assert_int_equal(ftruncate(client.ram.regions[0].fd, 0), 0);
    event_signal(client.queues[0].kick_fd); /* from here on neither side may trust the ring */
    assert_int_equal(vhost_frontend_sync(&client.frontend), 0);
    blk_client_vanish(&client);
}

static void the_next_front_end_is_served(bool encrypted)
{
    char path[BACKEND_HOST_PATH_BYTES];
    struct backend_host host;
    struct blk_client client;
    assert_int_equal(test_disk_create(path, DISK_BYTES), 0);
    struct backend_host_params params = backend_host_defaults(path);
    params.encrypted = encrypted;
    assert_int_equal(backend_host_start(&host, &params), 0);
    open_client(&client, &host, false);
    check_block(&client, VIRTIO_BLK_T_OUT, 0x5a);
    blk_client_close(&client);
    for (int i = 0; i < 20; i++) {
        shrink_under_the_back_end(&host);
        assert_true(backend_host_alive(&host));
    }
    open_client(&client, &host, false);
    check_block(&client, VIRTIO_BLK_T_IN, 0x5a);
    blk_client_close(&client);
    assert_int_equal(backend_host_stop(&host), 0);
    test_disk_remove(path);
}

static void a_plain_disk_outlives_memory_that_is_taken_away(void **state)
{
    (void)state;
    the_next_front_end_is_served(false);
}

static void an_encrypted_disk_outlives_memory_that_is_taken_away(void **state)
{
    (void)state;
    the_next_front_end_is_served(true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_plain_disk_outlives_memory_that_is_taken_away),
        cmocka_unit_test(an_encrypted_disk_outlives_memory_that_is_taken_away),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
