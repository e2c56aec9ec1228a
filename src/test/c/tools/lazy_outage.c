/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * The real back end while its image cannot be read: requests for stripes that are not there wait,
 * those for others go on at once on the same queue, and the process is idle. A queue can be
 * stopped, a front end can leave, SIGTERM ends the process; when the image is back, everything that
 * waited completes without a restart. With a limit on waiting, requests fail and the stripe does
 * not.
 *
 *   UBIBLK_BACKEND_CMD=bin/vhost-backend lazy_outage
 *   UBIBLK_BACKEND_CMD=... lazy_outage stalled
 *
 * The outage is an image that is shorter than it was when it was opened, so that reading it fails;
 * or, with a back end made for that (StalledBackend), a file beside it that makes reading hang.
 * Exit 0, or 1 after a sentence.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "support/blk_client.h"
#include "support/lazy_disk.h"
#include "support/stamped_disk.h"
#include "support/test_scale.h"

enum {
    SHIFT = 7, /* 64 KiB */
    STRIPE_SECTORS = 1 << SHIFT,
    STRIPE_BYTES = STRIPE_SECTORS * STAMP_BYTES,
    DISK_BYTES = 16 << 20,
    IMAGE_BYTES = (14 << 20) + 12345,
    WARM_STRIPES = 4,
    WAITING = 8,
    FREE_SLOT = WAITING, /* the slots below have waiting requests */
    WARM_REQUESTS = 2000,
    IDLE_MS = 1000,
    IDLE_CPU_MS_MAX = 100,
    WAIT_MS = 40000, /* a pause between attempts is 30 s at most */
    GENERATION = 7,
};

struct outage {
    struct lazy_disk files;
    struct backend_host host;
    struct blk_client client;
    struct test_random random;
    uint64_t next_cold; /* the first stripe that nobody has touched */
    bool stalls;        /* reading the image hangs; else it fails */
    enum io_engine_kind io_engine;
};

static void require(struct outage *outage, bool holds, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static void require(struct outage *outage, bool holds, const char *format, ...)
{
    va_list args;

    if (holds) {
        return;
    }
    fprintf(stderr, "lazy_outage: ");
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fprintf(stderr, "\n");
    backend_host_kill(&outage->host);
    lazy_disk_remove(&outage->files);
    exit(1);
}

/* --- image and process ------------------------------------------------------------------------ */

/* While it is there, reading the image hangs. */
static void stall_file(const struct outage *outage, char path[BACKEND_HOST_PATH_BYTES + 16])
{
    snprintf(path, BACKEND_HOST_PATH_BYTES + 16, "%s.stalled", outage->files.image_path);
}

static void break_image(struct outage *outage)
{
    char stall[BACKEND_HOST_PATH_BYTES + 16];

    stall_file(outage, stall);
    if (outage->stalls) {
        int fd = open(stall, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);

        require(outage, fd >= 0, "making %s", stall);
        close(fd);
        return;
    }
    require(outage, truncate(outage->files.image_path, 0) == 0, "truncating the image");
}

static void heal_image(struct outage *outage)
{
    char stall[BACKEND_HOST_PATH_BYTES + 16];

    stall_file(outage, stall);
    if (outage->stalls) {
        require(outage, unlink(stall) == 0, "removing %s", stall);
        return;
    }
    int fd = open(outage->files.image_path, O_WRONLY | O_CLOEXEC);
    ssize_t put = fd < 0 ? -1 : pwrite(fd, outage->files.origin, IMAGE_BYTES, 0);

    require(outage, put == IMAGE_BYTES, "writing the image again");
    close(fd);
}

static void start(struct outage *outage, uint32_t fetch_timeout_ms)
{
    static const struct lazy_disk_settings settings = {.copy_on_read = true,
                                                       .fetch_concurrency = 32};
    struct backend_host_params params = backend_host_defaults(outage->files.base_path);
    char config[LAZY_DISK_CONFIG_BYTES + 64];
    int error;

    lazy_disk_config(&outage->files, &settings, config);
    snprintf(config + strlen(config), 64, "fetch_timeout_ms: %u\n", fetch_timeout_ms);
    params.extra_config = config;
    params.encrypted = outage->files.params.encrypted;
    params.device.io_engine = outage->io_engine;
    error = backend_host_start(&outage->host, &params);
    require(outage, error == 0, "starting the back end: %s", strerror(-error));
}

static void connect_client(struct outage *outage)
{
    struct blk_client_params params = {.socket_path = outage->host.socket_path,
                                       .features = BLK_CLIENT_FEATURES,
                                       .protocol_features = BLK_CLIENT_PROTOCOL_FEATURES,
                                       .queue_count = 1,
                                       .queue_size = 64,
                                       .depth = FREE_SLOT + 1,
                                       .slot_bytes = STRIPE_BYTES,
                                       .connect_timeout_ms = 10000};
    int error = blk_client_open(&outage->client, &params);

    require(outage, error == 0, "connecting: %s", strerror(-error));
}

static void stop(struct outage *outage)
{
    int status = backend_host_stop(&outage->host);

    require(outage, status == 0, "status 0x%x after SIGTERM", (unsigned)status);
}

/* --- requests --------------------------------------------------------------------------------- */

static void submit(struct outage *outage, uint16_t slot, uint32_t type, uint64_t sector,
                   uint32_t byte_len)
{
    int error = blk_client_submit(&outage->client, 0, slot, type, sector, byte_len);

    require(outage, error == 0, "submitting: %s", strerror(-error));
    blk_client_publish(&outage->client, 0);
}

/* The next request to complete. */
static struct blk_client_done await_one(struct outage *outage)
{
    struct blk_client_done done = {0};
    int count;

    require(outage, virtq_driver_wait(&outage->client.queues[0].driver, WAIT_MS) == 1,
            "nothing completes within %d ms", WAIT_MS);
    count = blk_client_reap(&outage->client, 0, &done, 1);
    require(outage, count == 1, "a completion that makes no sense: %s",
            virtq_driver_fault(&outage->client.queues[0].driver));
    return done;
}

static const uint8_t *slot_data(struct outage *outage, uint16_t slot)
{
    return blk_client_slot(&outage->client, 0, slot)->data;
}

static bool holds_image(struct outage *outage, uint16_t slot, uint64_t sector, uint32_t byte_len)
{
    return memcmp(slot_data(outage, slot), outage->files.origin + sector * STAMP_BYTES, byte_len) ==
           0;
}

/* Reads one whole stripe in the free slot; its status. */
static uint8_t read_stripe(struct outage *outage, uint64_t stripe)
{
    struct blk_client_done done;

    submit(outage, FREE_SLOT, VIRTIO_BLK_T_IN, stripe * STRIPE_SECTORS, STRIPE_BYTES);
    done = await_one(outage);
    require(outage, done.slot == FREE_SLOT, "a request that should wait has completed");
    return done.status;
}

/* Sectors of the warm stripes, while others wait on the same queue. */
static void work_on_warm_stripes(struct outage *outage, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        uint64_t sector = test_random_below(&outage->random, WARM_STRIPES * STRIPE_SECTORS - 8);
        struct blk_client_done done;

        submit(outage, FREE_SLOT, VIRTIO_BLK_T_IN, sector, 8 * STAMP_BYTES);
        done = await_one(outage);
        require(outage, done.slot == FREE_SLOT && done.status == VIRTIO_BLK_S_OK,
                "slot %u ended with status %u beside waiting requests", done.slot, done.status);
        require(outage, holds_image(outage, FREE_SLOT, sector, 8 * STAMP_BYTES),
                "a stripe that was fetched has other content than the image");
    }
}

/* Requests that wait: reads of whole stripes, and in the last slot a write to the middle of one.
 * The first stripe of theirs. */
static uint64_t submit_waiting(struct outage *outage)
{
    uint64_t first = outage->next_cold;
    uint16_t last = WAITING - 1;

    outage->next_cold += WAITING;
    for (uint16_t slot = 0; slot < last; slot++) {
        submit(outage, slot, VIRTIO_BLK_T_IN, (first + slot) * STRIPE_SECTORS, STRIPE_BYTES);
    }
    stamp_fill(blk_client_slot(&outage->client, 0, last)->data, (first + last) * STRIPE_SECTORS + 5,
               GENERATION);
    submit(outage, last, VIRTIO_BLK_T_OUT, (first + last) * STRIPE_SECTORS + 5, STAMP_BYTES);
    return first;
}

/* Each completes once and brings what it should. */
static void await_waiting(struct outage *outage, uint64_t first)
{
    uint64_t written = first + WAITING - 1;

    for (uint32_t i = 0; i < WAITING; i++) {
        struct blk_client_done done = await_one(outage);

        require(outage, done.status == VIRTIO_BLK_S_OK, "slot %u ended with status %u", done.slot,
                done.status);
        require(
            outage,
            done.slot == WAITING - 1 ||
                holds_image(outage, done.slot, (first + done.slot) * STRIPE_SECTORS, STRIPE_BYTES),
            "slot %u has other content than the image", done.slot);
    }
    require(outage, read_stripe(outage, written) == VIRTIO_BLK_S_OK, "reading what was written");
    require(outage,
            holds_image(outage, FREE_SLOT, written * STRIPE_SECTORS, 5 * STAMP_BYTES) &&
                stamp_matches(slot_data(outage, FREE_SLOT) + (size_t)5 * STAMP_BYTES,
                              written * STRIPE_SECTORS + 5, GENERATION),
            "the write that waited is not where it should be");
}

/* --- what must hold --------------------------------------------------------------------------- */

static void others_go_on_and_the_process_is_idle(struct outage *outage)
{
    uint64_t first, cpu_ms;

    break_image(outage);
    first = submit_waiting(outage);
    work_on_warm_stripes(outage, WARM_REQUESTS);
    cpu_ms = backend_host_cpu_ms(&outage->host);
    poll(NULL, 0, IDLE_MS);
    cpu_ms = backend_host_cpu_ms(&outage->host) - cpu_ms;
    require(outage, cpu_ms <= IDLE_CPU_MS_MAX, "%llu ms of CPU in %d ms of waiting",
            (unsigned long long)cpu_ms, IDLE_MS);
    heal_image(outage);
    await_waiting(outage, first);
}

static void a_queue_stops_and_resumes(struct outage *outage)
{
    struct frontend_queue *queue = &outage->client.queues[0];
    uint64_t first;
    uint32_t base;
    int error;

    break_image(outage);
    first = submit_waiting(outage);
    error = frontend_queue_stop(&outage->client.frontend, queue, &base);
    require(outage, error == 0, "stopping the queue: %s", strerror(-error));
    require(outage, (uint16_t)base == queue->driver.used_index,
            "stopped at %u, %u were used: the others cannot be resumed", base,
            queue->driver.used_index);
    error = frontend_queue_start(&outage->client.frontend, &outage->client.ram, queue, base);
    require(outage, error == 0, "starting the queue: %s", strerror(-error));
    heal_image(outage);
    await_waiting(outage, first);
}

static void the_memory_table_changes(struct outage *outage)
{
    static const struct guest_ram_spec spec = {.gpa = UINT64_C(1) << 40, .size = 1 << 20};
    struct guest_ram *ram = &outage->client.ram;
    uint64_t first;
    int error;

    break_image(outage);
    first = submit_waiting(outage);
    error = guest_ram_add(ram, &spec);
    require(outage, error == 0, "more guest memory: %s", strerror(-error));
    error =
        vhost_frontend_add_mem_reg(&outage->client.frontend, &ram->regions[ram->region_count - 1]);
    require(outage, error == 0, "adding memory: %s", strerror(-error));
    work_on_warm_stripes(outage, 10);
    error =
        vhost_frontend_rem_mem_reg(&outage->client.frontend, &ram->regions[ram->region_count - 1]);
    require(outage, error == 0, "removing memory: %s", strerror(-error));
    heal_image(outage);
    await_waiting(outage, first);
}

static void a_front_end_leaves(struct outage *outage)
{
    uint64_t first;

    break_image(outage);
    submit_waiting(outage);
    blk_client_vanish(&outage->client);
    connect_client(outage);
    first = submit_waiting(outage);
    work_on_warm_stripes(outage, 10);
    heal_image(outage);
    await_waiting(outage, first);
}

static void sigterm_ends_the_process(struct outage *outage)
{
    break_image(outage);
    submit_waiting(outage);
    stop(outage);
    blk_client_vanish(&outage->client);
    heal_image(outage);
    start(outage, 0);
    connect_client(outage);
    await_waiting(outage, submit_waiting(outage));
}

/* Expects a process with a limit on waiting. */
static void a_request_fails_and_its_stripe_does_not(struct outage *outage)
{
    uint64_t stripe = outage->next_cold++;
    uint8_t status = VIRTIO_BLK_S_IOERR;

    break_image(outage);
    require(outage, read_stripe(outage, stripe) == VIRTIO_BLK_S_IOERR,
            "a read of what cannot be fetched does not fail");
    work_on_warm_stripes(outage, 10);
    heal_image(outage);
    for (uint32_t i = 0; i < 100 && status == VIRTIO_BLK_S_IOERR; i++) {
        status = read_stripe(outage, stripe);
    }
    require(outage, status == VIRTIO_BLK_S_OK, "the stripe stays dead: status %u", status);
    require(outage, holds_image(outage, FREE_SLOT, stripe * STRIPE_SECTORS, STRIPE_BYTES),
            "the stripe has other content than the image");
}

static void make_files(struct outage *outage, bool encrypted)
{
    struct lazy_disk_params params = {.disk_bytes = DISK_BYTES,
                                      .image_bytes = IMAGE_BYTES,
                                      .shift = SHIFT,
                                      .encrypted = encrypted,
                                      .track_written = encrypted,
                                      .metadata_version = "2.0"};
    int error = lazy_disk_create(&outage->files, &params);

    require(outage, error == 0, "making the files: %s", strerror(-error));
}

static void run(bool encrypted, enum io_engine_kind io_engine, bool stalls)
{
    struct outage outage = {.random = {test_seed()},
                            .next_cold = WARM_STRIPES,
                            .io_engine = io_engine,
                            .stalls = stalls};

    make_files(&outage, encrypted);
    start(&outage, 0);
    connect_client(&outage);
    for (uint64_t stripe = 0; stripe < WARM_STRIPES; stripe++) {
        require(&outage, read_stripe(&outage, stripe) == VIRTIO_BLK_S_OK, "warming up");
    }
    others_go_on_and_the_process_is_idle(&outage);
    a_queue_stops_and_resumes(&outage);
    the_memory_table_changes(&outage);
    a_front_end_leaves(&outage);
    sigterm_ends_the_process(&outage);
    blk_client_close(&outage.client);
    stop(&outage);
    start(&outage, 400);
    connect_client(&outage);
    a_request_fails_and_its_stripe_does_not(&outage);
    blk_client_close(&outage.client);
    stop(&outage);
    lazy_disk_remove(&outage.files);
}

int main(int argc, char **argv)
{
    bool stalls = argc > 1 && strcmp(argv[1], "stalled") == 0;

    if (getenv("UBIBLK_BACKEND_CMD") == NULL) {
        fprintf(stderr, "lazy_outage: UBIBLK_BACKEND_CMD must name vhost-backend\n");
        return 2;
    }
    test_print_scale(12, stalls ? "stalls of the source" : "outages of the image");
    run(true, IO_ENGINE_URING, stalls);
    run(false, IO_ENGINE_SYNC, stalls);
    return 0;
}
