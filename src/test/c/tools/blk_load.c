/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Keeps a vhost-user-blk back end busy, or connected and idle, for a script that looks at it.
 *
 *   blk_load SOCKET
 *
 * Reads and writes at random places with DEPTH requests in flight. Each line on standard input
 * switches between busy and idle, beginning with busy; once the change is there (requests have
 * ended, none is left) it prints "busy" or "idle". Ends in order with the end of the input: exit
 * 0, or 1 when a request failed. It overwrites the disk.
 */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "support/blk_client.h"
#include "support/test_scale.h"

enum {
    SECTOR = 512,
    DEPTH = 16,
    CHUNK = 32768,
    BUSY_REQUESTS = 200, /* that end before it says so: all buffers have been used */
    CONNECT_TIMEOUT_MS = 10000,
    WAIT_TIMEOUT_MS = 60000,
};

struct load {
    struct blk_client client;
    struct test_random random;
    uint64_t chunk_count;
    uint32_t in_flight;
    uint64_t ended;
};

static int fail(const char *what, int error)
{
    fprintf(stderr, "blk_load: %s: %s\n", what, strerror(-error));
    return 1;
}

static int start_one(struct load *load, uint16_t slot)
{
    uint64_t chunk = test_random_below(&load->random, load->chunk_count);
    uint32_t type = test_random_one_in(&load->random, 2) ? VIRTIO_BLK_T_OUT : VIRTIO_BLK_T_IN;

    load->in_flight++;
    return blk_client_submit(&load->client, 0, slot, type, chunk * (CHUNK / SECTOR), CHUNK);
}

static int start_all(struct load *load)
{
    int result = 0;

    for (uint16_t slot = 0; slot < DEPTH && result == 0; slot++) {
        result = start_one(load, slot);
    }
    blk_client_publish(&load->client, 0);
    return result;
}

/* Takes what has ended, and starts as many again or lets the number in flight sink. */
static int turn(struct load *load, bool again)
{
    struct blk_client_done done[DEPTH];
    int count, result = 0;

    if (virtq_driver_wait(&load->client.queues[0].driver, WAIT_TIMEOUT_MS) == 0) {
        return -ETIMEDOUT;
    }
    count = blk_client_reap(&load->client, 0, done, DEPTH);
    for (int i = 0; i < count && result == 0; i++) {
        load->in_flight--;
        load->ended++;
        result = done[i].status != VIRTIO_BLK_S_OK ? -EIO
                 : again                           ? start_one(load, done[i].slot)
                                                   : 0;
    }
    blk_client_publish(&load->client, 0);
    return count < 0 ? count : result;
}

static int say(const char *word)
{
    printf("%s\n", word);
    return fflush(stdout) == 0 ? 0 : -EPIPE;
}

static bool input_waits(void)
{
    struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};

    return poll(&input, 1, 0) != 0;
}

static int be_busy(struct load *load)
{
    uint64_t start = load->ended;
    bool said = false;
    int result = start_all(load);

    while (result == 0 && !(said && input_waits())) {
        result = turn(load, true);
        if (result == 0 && !said && load->ended - start >= BUSY_REQUESTS) {
            said = true;
            result = say("busy");
        }
    }
    while (result == 0 && load->in_flight > 0) {
        result = turn(load, false);
    }
    return result;
}

static int run(struct load *load)
{
    char line[64];
    bool busy = true;
    int result = be_busy(load);

    while (result == 0 && fgets(line, sizeof(line), stdin) != NULL) {
        busy = !busy;
        result = busy ? be_busy(load) : say("idle");
    }
    return result;
}

int main(int argc, char **argv)
{
    static struct load load;
    struct blk_client_params params = {.features = BLK_CLIENT_FEATURES,
                                       .protocol_features = BLK_CLIENT_PROTOCOL_FEATURES,
                                       .queue_count = 1,
                                       .queue_size = 64,
                                       .depth = DEPTH,
                                       .slot_bytes = CHUNK,
                                       .connect_timeout_ms = CONNECT_TIMEOUT_MS};
    uint64_t sectors = 0;
    int result;

    if (argc != 2) {
        fprintf(stderr, "usage: blk_load SOCKET\n");
        return 2;
    }
    setvbuf(stdin, NULL, _IONBF, 0);
    load.random.state = test_seed();
    params.socket_path = argv[1];
    result = blk_client_open(&load.client, &params);
    if (result < 0) {
        return fail("connecting", result);
    }
    result = vhost_frontend_get_config(&load.client.frontend, 0, sizeof(sectors), &sectors);
    load.chunk_count = sectors / (CHUNK / SECTOR);
    if (result == 0) {
        result = load.chunk_count == 0 ? -ENOSPC : run(&load);
    }
    blk_client_close(&load.client);
    return result < 0 ? fail("after some requests", result) : 0;
}
