/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Shows that a vhost-user-blk back end works: writes, flushes, reads back, verifies, and prints a
 * short throughput figure. Used by bin/quickstart.
 *
 *   quickstart_client SOCKET CAPACITY_BYTES
 *
 * CAPACITY_BYTES is checked against what the device says. Exit 0 when everything matched, 1 when
 * something did not, 2 on wrong usage. It overwrites the disk's first 64 MiB.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "support/blk_client.h"
#include "support/test_scale.h"

enum {
    SECTOR = 512,
    DEPTH = 32,
    CHUNK = 65536,
    SMALL = 4096,
    WRITE_BYTES_MAX = 64 << 20,
    FIGURE_MS = 1000,
    CONNECT_TIMEOUT_MS = 10000,
    WAIT_TIMEOUT_MS = 60000,
};

enum pattern { WRITE_PATTERN, VERIFY_PATTERN, RANDOM_READS };

/* One pass over the disk with DEPTH requests in flight. */
struct pass {
    struct blk_client *client;
    enum pattern pattern;
    uint32_t chunk_bytes;
    uint64_t chunk_count; /* chunks to do; for RANDOM_READS chunks to choose from */
    uint64_t started, ended;
    uint64_t chunk_of_slot[DEPTH];
    struct test_random random;
    double deadline, elapsed;
    bool mismatch;
};

static double now_seconds(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* The content of chunk: every 8 bytes say which place of the disk they belong to. */
static void fill(uint64_t *words, uint64_t chunk, uint32_t byte_len)
{
    for (uint32_t i = 0; i < byte_len / 8; i++) {
        words[i] = (chunk * byte_len + i * 8) * UINT64_C(0x9e3779b97f4a7c15);
    }
}

static bool matches(const uint64_t *words, uint64_t chunk, uint32_t byte_len)
{
    for (uint32_t i = 0; i < byte_len / 8; i++) {
        if (words[i] != (chunk * byte_len + i * 8) * UINT64_C(0x9e3779b97f4a7c15)) {
            return false;
        }
    }
    return true;
}

static bool wants_more(const struct pass *pass)
{
    return pass->pattern == RANDOM_READS ? now_seconds() < pass->deadline
                                         : pass->started < pass->chunk_count;
}

static int start_one(struct pass *pass, uint16_t slot)
{
    struct blk_client_slot *parts = blk_client_slot(pass->client, 0, slot);
    uint64_t chunk = pass->pattern == RANDOM_READS
                         ? test_random_below(&pass->random, pass->chunk_count)
                         : pass->started;
    uint32_t type = pass->pattern == WRITE_PATTERN ? VIRTIO_BLK_T_OUT : VIRTIO_BLK_T_IN;

    if (pass->pattern == WRITE_PATTERN) {
        fill((uint64_t *)(void *)parts->data, chunk, pass->chunk_bytes);
    }
    pass->chunk_of_slot[slot] = chunk;
    pass->started++;
    return blk_client_submit(pass->client, 0, slot, type, chunk * pass->chunk_bytes / SECTOR,
                             pass->chunk_bytes);
}

static int end_one(struct pass *pass, const struct blk_client_done *done)
{
    const struct blk_client_slot *parts = blk_client_slot(pass->client, 0, done->slot);

    pass->ended++;
    if (done->status != VIRTIO_BLK_S_OK) {
        return -EIO;
    }
    if (pass->pattern == VERIFY_PATTERN &&
        !matches((const uint64_t *)(const void *)parts->data, pass->chunk_of_slot[done->slot],
                 pass->chunk_bytes)) {
        pass->mismatch = true;
        return -EBADMSG;
    }
    return 0;
}

/* Takes what has ended and starts as many again. */
static int turn(struct pass *pass)
{
    struct blk_client_done done[DEPTH];
    int count, error = 0;

    if (virtq_driver_wait(&pass->client->queues[0].driver, WAIT_TIMEOUT_MS) == 0) {
        return -ETIMEDOUT;
    }
    count = blk_client_reap(pass->client, 0, done, DEPTH);
    if (count < 0) {
        return count;
    }
    for (int i = 0; i < count && error == 0; i++) {
        error = end_one(pass, &done[i]);
        if (error == 0 && wants_more(pass)) {
            error = start_one(pass, done[i].slot);
        }
    }
    blk_client_publish(pass->client, 0);
    return error;
}

static int run(struct pass *pass)
{
    double start = now_seconds();
    int error = 0;

    pass->deadline = start + FIGURE_MS / 1e3;
    for (uint16_t slot = 0; slot < DEPTH && wants_more(pass) && error == 0; slot++) {
        error = start_one(pass, slot);
    }
    blk_client_publish(pass->client, 0);
    while (error == 0 && pass->ended < pass->started) {
        error = turn(pass);
    }
    pass->elapsed = now_seconds() - start;
    return error;
}

static void print_rate(const char *what, const struct pass *pass)
{
    double bytes = (double)pass->ended * pass->chunk_bytes;

    printf("  %-34s %8.0f MB/s  %9.0f requests/s\n", what, bytes / pass->elapsed / 1e6,
           (double)pass->ended / pass->elapsed);
}

static int fail(const char *what, int error)
{
    fprintf(stderr, "%s failed: %s\n", what,
            error == -EBADMSG ? "the disk returned other data than was written" : strerror(-error));
    return 1;
}

static int drive(struct blk_client *client, uint64_t capacity_bytes)
{
    uint64_t bytes = capacity_bytes < WRITE_BYTES_MAX ? capacity_bytes : WRITE_BYTES_MAX;
    struct pass write = {.client = client,
                         .pattern = WRITE_PATTERN,
                         .chunk_bytes = CHUNK,
                         .chunk_count = bytes / CHUNK};
    struct pass verify = write, reads = write;
    int error = run(&write);

    if (error < 0) {
        return fail("writing", error);
    }
    print_rate("write 64 KiB, sequential", &write);
    error = blk_client_execute(client, 0, VIRTIO_BLK_T_FLUSH, 0, NULL, 0);
    if (error != 0) {
        return fail("flushing", error < 0 ? error : -EIO);
    }
    printf("  flush                              done\n");
    verify.pattern = VERIFY_PATTERN;
    error = run(&verify);
    if (error < 0) {
        return fail("reading back", error);
    }
    print_rate("read 64 KiB and verify", &verify);
    reads.pattern = RANDOM_READS;
    reads.chunk_bytes = SMALL;
    reads.chunk_count = bytes / SMALL;
    error = run(&reads);
    if (error < 0) {
        return fail("reading at random", error);
    }
    print_rate("read 4 KiB, random, 32 in flight", &reads);
    printf("  %" PRIu64 " MiB written, flushed, read back: every byte matched\n", bytes >> 20);
    return 0;
}

static int check_capacity(struct blk_client *client, uint64_t capacity_bytes)
{
    uint64_t sectors = 0;
    char id[VIRTIO_BLK_ID_BYTES + 1] = {0};
    int error = vhost_frontend_get_config(&client->frontend, 0, sizeof(sectors), &sectors);

    if (error < 0) {
        return fail("reading the device's configuration", error);
    }
    if (sectors != capacity_bytes / SECTOR) {
        fprintf(stderr, "the device has %" PRIu64 " sectors, expected %" PRIu64 "\n", sectors,
                capacity_bytes / SECTOR);
        return 1;
    }
    error = blk_client_execute(client, 0, VIRTIO_BLK_T_GET_ID, 0, id, VIRTIO_BLK_ID_BYTES);
    if (error != 0) {
        return fail("asking for the device's id", error < 0 ? error : -EIO);
    }
    printf("  device \"%s\", %" PRIu64 " sectors\n", id, sectors);
    return 0;
}

int main(int argc, char **argv)
{
    struct blk_client_params params = {.features = BLK_CLIENT_FEATURES,
                                       .protocol_features = BLK_CLIENT_PROTOCOL_FEATURES,
                                       .queue_count = 1,
                                       .queue_size = DEPTH,
                                       .depth = DEPTH,
                                       .slot_bytes = CHUNK,
                                       .connect_timeout_ms = CONNECT_TIMEOUT_MS};
    struct blk_client client;
    uint64_t capacity_bytes;
    int result;

    if (argc != 3 || (capacity_bytes = strtoull(argv[2], NULL, 10)) < CHUNK) {
        fprintf(stderr, "usage: %s SOCKET CAPACITY_BYTES (at least %d)\n", argv[0], CHUNK);
        return 2;
    }
    params.socket_path = argv[1];
    result = blk_client_open(&client, &params);
    if (result < 0) {
        return fail("connecting", result);
    }
    result = check_capacity(&client, capacity_bytes);
    if (result == 0) {
        result = drive(&client, capacity_bytes);
    }
    blk_client_close(&client);
    return result;
}
