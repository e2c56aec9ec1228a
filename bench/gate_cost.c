/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * What reads cost the request path of a queue on an engine that completes every transfer at once:
 * a program to count instructions of.
 *
 *   gate_cost plain|open|tracked READS DEPTH
 *
 *   plain     a disk without metadata
 *   open      a lazy disk on which everything is fetched: the gate has nothing left to decide
 *   tracked   the same with track_written, and every other stripe not written yet: every request
 *             looks its stripe up
 *
 * 4 KiB each, DEPTH of them started, submitted and answered together. Two runs that differ in READS
 * differ by these reads alone. Runs under valgrind.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "blk/blk_queue.h"
#include "io/io_engine.h"
#include "support/lazy_device.h"
#include "support/null_engine.h"

enum { QUEUE_SIZE = 64, STRIPES = 128, READ_BYTES = 4096, READ_SECTORS = READ_BYTES / 512 };
enum { PLACES = STRIPES * LAZY_STRIPE_SECTORS / READ_SECTORS, STRIDE = 37 /* odd: visits all */ };

static const struct test_device_params device_params = {
    .byte_len = (uint64_t)STRIPES * LAZY_STRIPE_BYTES,
    .queue_size = QUEUE_SIZE,
    .sync_engine = true,
};

static struct lazy_device *create_lazy(bool tracked)
{
    const struct lazy_device_params params = {.device = device_params, .track_written = tracked};
    struct lazy_device *lazy = lazy_device_create(&params);

    for (uint32_t stripe = 0; stripe < STRIPES; stripe++) {
        uint8_t written = tracked && stripe % 2 == 0 ? STRIPE_WRITTEN : 0;

        stripe_map_publish(lazy->map, stripe, STRIPE_FETCHED | written, 0);
    }
    return lazy;
}

/* Sleeping and watching are left to the synchronous engine, the only one that valgrind runs. */
static struct blk_queue *create_queue(struct blk_device *device)
{
    const struct io_engine_params params = {.kind = IO_ENGINE_SYNC,
                                            .depth = QUEUE_SIZE,
                                            .fds = &device->file.fd,
                                            .fd_count = 1,
                                            .log = device->log};
    struct io_engine *inner;
    struct blk_queue *queue;
    struct error error = {0};

    if (io_engine_create(&params, &inner, &error) < 0 ||
        blk_queue_create_on(device, 0, null_engine_create(inner), &queue, &error) < 0) {
        fprintf(stderr, "gate_cost: %s\n", error.message);
        exit(1);
    }
    return queue;
}

static void start(struct blk_queue *queue, uint32_t slot, uint64_t place, uint8_t *data)
{
    struct blk_request *request = blk_queue_slot(queue, slot);

    request->op = QUEUE_OP_READ;
    request->sector = place * READ_SECTORS;
    request->sector_count = READ_SECTORS;
    request->inline_iov[0] = (struct iovec){data, READ_BYTES};
    request->iov = request->inline_iov;
    request->iov_count = 1;
    request->byte_len = READ_BYTES;
    blk_queue_start(queue, request, 1);
}

/* Ends what was started; how many succeeded. */
static uint64_t end(struct blk_queue *queue)
{
    struct blk_request *request;
    uint64_t succeeded = 0;

    blk_queue_submit(queue, 2);
    blk_queue_reap(queue, 3);
    while ((request = blk_queue_next_done(queue)) != NULL) {
        succeeded += request->result == 0;
        blk_queue_release(queue, request);
    }
    return succeeded;
}

static uint64_t run(struct blk_device *device, uint64_t reads, uint32_t depth)
{
    struct blk_queue *queue = create_queue(device);
    uint8_t *data = aligned_alloc(4096, READ_BYTES);
    uint64_t started = 0, succeeded = 0, place = 0;

    if (data == NULL) {
        abort();
    }
    while (started < reads) {
        for (uint32_t slot = 0; slot < depth; slot++) {
            start(queue, slot, place, data);
            place = (place + STRIDE) % PLACES;
        }
        started += depth;
        succeeded += end(queue);
    }
    free(data);
    blk_queue_destroy(queue);
    return succeeded;
}

int main(int argc, char **argv)
{
    const char *kind = argc == 4 ? argv[1] : "";
    uint64_t reads = argc == 4 ? strtoull(argv[2], NULL, 10) : 0;
    uint32_t depth = argc == 4 ? (uint32_t)strtoul(argv[3], NULL, 10) : 0;
    uint64_t succeeded;
    bool plain = strcmp(kind, "plain") == 0, tracked = strcmp(kind, "tracked") == 0;

    if (depth < 1 || depth > QUEUE_SIZE || reads % depth != 0 ||
        !(plain || tracked || strcmp(kind, "open") == 0)) {
        fprintf(stderr, "usage: %s plain|open|tracked READS DEPTH (READS a multiple of DEPTH)\n",
                argv[0]);
        return 2;
    }
    if (plain) {
        struct test_device *test = test_device_create(&device_params);

        succeeded = run(&test->device, reads, depth);
        test_device_destroy(test);
    } else {
        struct lazy_device *lazy = create_lazy(tracked);

        succeeded = run(lazy->device, reads, depth);
        lazy_device_destroy(lazy);
    }
    printf("kind=%s depth=%" PRIu32 " reads=%" PRIu64 "\n", kind, depth, succeeded);
    return succeeded == reads ? 0 : 1;
}
