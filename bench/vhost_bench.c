/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Loads one queue of any vhost-user-blk back end and prints one line of figures.
 *
 *   vhost_bench --socket PATH [name value]...      (the list is in usage())
 *
 * Two clients. "eventfd" sleeps on the call eventfd, as an ordinary guest does. "poll" looks at the
 * used ring all the time and wants no signals, as a polling guest does; it kicks only when the back
 * end asks for it. Both negotiate what Linux would, EVENT_IDX and FLUSH among it, so every back end
 * is in write-back mode.
 *
 * The number of requests in flight is constant: what has ended is submitted again, and shown to the
 * device once per batch. Latency is from submission to the moment when the client sees the end.
 * After the connection a part of the time is a ramp that no figure counts.
 */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/sector.h"
#include "histogram.h"
#include "process_usage.h"
#include "support/blk_client.h"
#include "support/test_scale.h"

enum {
    DEPTH_MAX = 1024,
    REAP_MAX = 64,
    CONNECT_TIMEOUT_MS = 10000,
    STALL_TIMEOUT_MS = 30000,
};

struct bench_options {
    const char *socket_path;
    const char *work; /* randread, randwrite or read */
    bool polling;
    bool event_idx;
    pid_t pid; /* of the back end; 0: no CPU and memory figures */
    uint32_t block_bytes;
    uint32_t depth;
    uint32_t queue_size;
    uint64_t ops; /* 0: as many as the time allows */
    double seconds;
    double ramp_seconds;
    uint64_t span_bytes; /* of the disk; 0: all */
};

struct bench {
    const struct bench_options *options;
    struct blk_client client;
    struct test_random random;
    struct histogram latency;
    uint32_t type;
    bool sequential;
    bool measuring;
    uint64_t block_count, next_block;
    uint64_t ended; /* while measuring */
    uint64_t submitted_ns[DEPTH_MAX];
};

/* Counters at the beginning or end of the measurement. */
struct snapshot {
    uint64_t now_ns, cpu_ns, kicks, signals;
};

static int usage(void)
{
    fprintf(stderr, "usage: vhost_bench --socket PATH\n"
                    "  --work randread|randwrite|read   (randread)\n"
                    "  --mode poll|eventfd              (poll)\n"
                    "  --block BYTES                    (4096)\n"
                    "  --depth N                        (32)\n"
                    "  --queue-size N                   (256)\n"
                    "  --seconds S                      (1)\n"
                    "  --ramp S                         (0.1)\n"
                    "  --ops N                          end after N requests\n"
                    "  --span BYTES                     only the disk's beginning\n"
                    "  --pid PID                        of the back end, for CPU and memory\n"
                    "  --no-event-idx\n");
    return 2;
}

static bool set_number(struct bench_options *options, int key, const char *value)
{
    switch (key) {
    case 'b':
        options->block_bytes = (uint32_t)strtoul(value, NULL, 0);
        return options->block_bytes > 0 && options->block_bytes % SECTOR_BYTES == 0;
    case 'd':
        options->depth = (uint32_t)strtoul(value, NULL, 0);
        return options->depth > 0 && options->depth <= DEPTH_MAX;
    case 'q':
        options->queue_size = (uint32_t)strtoul(value, NULL, 0);
        return options->queue_size > 0;
    case 't':
        options->seconds = strtod(value, NULL);
        return options->seconds > 0;
    case 'r':
        options->ramp_seconds = strtod(value, NULL);
        return options->ramp_seconds >= 0;
    case 'n':
        options->ops = strtoull(value, NULL, 0);
        return true;
    case 'z':
        options->span_bytes = strtoull(value, NULL, 0);
        return true;
    case 'p':
        options->pid = (pid_t)strtol(value, NULL, 0);
        return true;
    default:
        return false;
    }
}

static bool set_option(struct bench_options *options, int key, const char *value)
{
    switch (key) {
    case 's':
        options->socket_path = value;
        return true;
    case 'w':
        options->work = value;
        return strcmp(value, "randread") == 0 || strcmp(value, "randwrite") == 0 ||
               strcmp(value, "read") == 0;
    case 'm':
        options->polling = strcmp(value, "poll") == 0;
        return options->polling || strcmp(value, "eventfd") == 0;
    case 'e':
        options->event_idx = false;
        return true;
    default:
        return set_number(options, key, value);
    }
}

static bool parse(struct bench_options *options, int argc, char **argv)
{
    static const struct option names[] = {
        {"socket", required_argument, NULL, 's'},
        {"work", required_argument, NULL, 'w'},
        {"mode", required_argument, NULL, 'm'},
        {"block", required_argument, NULL, 'b'},
        {"depth", required_argument, NULL, 'd'},
        {"queue-size", required_argument, NULL, 'q'},
        {"seconds", required_argument, NULL, 't'},
        {"ramp", required_argument, NULL, 'r'},
        {"ops", required_argument, NULL, 'n'},
        {"span", required_argument, NULL, 'z'},
        {"pid", required_argument, NULL, 'p'},
        {"no-event-idx", no_argument, NULL, 'e'},
        {0},
    };
    int key;

    *options = (struct bench_options){.work = "randread",
                                      .polling = true,
                                      .event_idx = true,
                                      .block_bytes = 4096,
                                      .depth = 32,
                                      .queue_size = 256,
                                      .seconds = 1,
                                      .ramp_seconds = 0.1};
    while ((key = getopt_long(argc, argv, "", names, NULL)) != -1) {
        if (!set_option(options, key, optarg)) {
            return false;
        }
    }
    return options->socket_path != NULL && optind == argc;
}

static int bench_open(struct bench *bench)
{
    const struct bench_options *options = bench->options;
    struct blk_client_params params = {
        .socket_path = options->socket_path,
        .features =
            BLK_CLIENT_FEATURES & ~(options->event_idx ? 0 : FRONTEND_BIT(VIRTIO_RING_F_EVENT_IDX)),
        .protocol_features = BLK_CLIENT_PROTOCOL_FEATURES,
        .queue_count = 1,
        .queue_size = (uint16_t)options->queue_size,
        .depth = (uint16_t)options->depth,
        .slot_bytes = options->block_bytes,
        .connect_timeout_ms = CONNECT_TIMEOUT_MS};
    uint64_t capacity;
    int error = blk_client_open(&bench->client, &params);

    if (error < 0) {
        return error;
    }
    error = vhost_frontend_get_config(&bench->client.frontend, 0, sizeof(capacity), &capacity);
    if (error < 0) {
        blk_client_vanish(&bench->client);
        return error;
    }
    uint64_t span = sectors_to_bytes(capacity);

    if (options->span_bytes > 0 && options->span_bytes < span) {
        span = options->span_bytes;
    }
    bench->block_count = span / options->block_bytes;
    bench->random.state = 42;
    bench->type = strcmp(options->work, "randwrite") == 0 ? VIRTIO_BLK_T_OUT : VIRTIO_BLK_T_IN;
    bench->sequential = strcmp(options->work, "read") == 0;
    if (options->polling) {
        virtq_driver_disable_signals(&bench->client.queues[0].driver);
    }
    /* Content of its own in every slot: writes of one page of zeroes would flatter some disks. */
    for (uint16_t slot = 0; slot < options->depth; slot++) {
        memset(blk_client_slot(&bench->client, 0, slot)->data, slot + 1, options->block_bytes);
    }
    return 0;
}

static int start_one(struct bench *bench, uint16_t slot, uint64_t now_ns)
{
    uint64_t block;

    if (bench->sequential) {
        block = bench->next_block;
        bench->next_block = block + 1 < bench->block_count ? block + 1 : 0;
    } else {
        block = test_random_below(&bench->random, bench->block_count);
    }
    bench->submitted_ns[slot] = now_ns;
    return blk_client_submit(&bench->client, 0, slot, bench->type,
                             bytes_to_sectors(block * bench->options->block_bytes),
                             bench->options->block_bytes);
}

/* Waits for ended requests and counts them; starts as many again unless ending. The count, or
 * -errno. */
static int turn(struct bench *bench, bool ending)
{
    struct virtq_driver *driver = &bench->client.queues[0].driver;
    struct blk_client_done done[REAP_MAX];
    int woken = bench->options->polling ? virtq_driver_poll(driver, STALL_TIMEOUT_MS)
                                        : virtq_driver_wait(driver, STALL_TIMEOUT_MS);
    int count = woken == 0 ? -ETIMEDOUT : blk_client_reap(&bench->client, 0, done, REAP_MAX);
    uint64_t now_ns = clock_now_ns();
    int error = 0;

    for (int i = 0; i < count && error == 0; i++) {
        if (done[i].status != VIRTIO_BLK_S_OK) {
            error = -EIO;
        } else if (bench->measuring) {
            histogram_add(&bench->latency, now_ns - bench->submitted_ns[done[i].slot]);
        }
        if (error == 0 && !ending) {
            error = start_one(bench, done[i].slot, now_ns);
        }
    }
    if (count < 0 || error < 0) {
        return count < 0 ? count : error;
    }
    if (!ending) {
        blk_client_publish(&bench->client, 0);
    }
    bench->ended += (uint64_t)count;
    return count;
}

/* Keeps the queue full until deadline_ns, or until ops have ended. */
static int run_until(struct bench *bench, uint64_t deadline_ns, uint64_t ops)
{
    bench->ended = 0;
    do {
        int count = turn(bench, false);

        if (count < 0) {
            return count;
        }
    } while ((ops == 0 || bench->ended < ops) && clock_now_ns() < deadline_ns);
    return 0;
}

static int drain(struct bench *bench)
{
    while (bench->client.queues[0].driver.in_flight_count > 0) {
        int count = turn(bench, true);

        if (count < 0) {
            return count;
        }
    }
    return 0;
}

static struct snapshot take_snapshot(const struct bench *bench)
{
    const struct virtq_driver *driver = &bench->client.queues[0].driver;

    return (struct snapshot){.now_ns = clock_now_ns(),
                             .cpu_ns = process_cpu_ns(bench->options->pid),
                             .kicks = driver->kicks,
                             .signals = driver->signals};
}

static uint64_t nanoseconds(double seconds)
{
    return (uint64_t)(seconds * 1e9);
}

static void print_figures(const struct bench *bench, const struct snapshot *begin,
                          const struct snapshot *end)
{
    const struct bench_options *options = bench->options;
    const struct histogram *latency = &bench->latency;
    double seconds = (double)(end->now_ns - begin->now_ns) / 1e9;
    double cpu = (double)(end->cpu_ns - begin->cpu_ns) / 1e9;
    double ops = (double)bench->ended;

    printf("mode=%s work=%s block=%" PRIu32 " depth=%" PRIu32 " seconds=%.3f ops=%" PRIu64
           " iops=%.0f p50_us=%.1f p99_us=%.1f p999_us=%.1f max_us=%.1f kicks=%" PRIu64
           " signals=%" PRIu64,
           options->polling ? "poll" : "eventfd", options->work, options->block_bytes,
           options->depth, seconds, bench->ended, ops / seconds,
           (double)histogram_percentile(latency, 0.5) / 1e3,
           (double)histogram_percentile(latency, 0.99) / 1e3,
           (double)histogram_percentile(latency, 0.999) / 1e3, (double)latency->max / 1e3,
           end->kicks - begin->kicks, end->signals - begin->signals);
    if (options->pid != 0) {
        printf(" cpu_s=%.3f iops_per_cpu=%.0f rss_kib=%" PRIu64, cpu, cpu > 0 ? ops / cpu : 0,
               process_rss_kib(options->pid));
    }
    printf("\n");
}

static int bench_run(struct bench *bench)
{
    const struct bench_options *options = bench->options;
    uint64_t now_ns = clock_now_ns();
    int error = 0;

    for (uint16_t slot = 0; slot < options->depth && error == 0; slot++) {
        error = start_one(bench, slot, now_ns);
    }
    blk_client_publish(&bench->client, 0);
    if (error == 0) {
        error = run_until(bench, now_ns + nanoseconds(options->ramp_seconds), 0);
    }
    if (error < 0) {
        return error;
    }
    struct snapshot begin = take_snapshot(bench);

    bench->measuring = true;
    error = run_until(bench, begin.now_ns + nanoseconds(options->seconds), options->ops);
    bench->measuring = false;
    if (error < 0) {
        return error;
    }
    struct snapshot end = take_snapshot(bench);

    print_figures(bench, &begin, &end);
    return drain(bench);
}

int main(int argc, char **argv)
{
    struct bench_options options;
    struct bench *bench;
    int error;

    if (!parse(&options, argc, argv)) {
        return usage();
    }
    bench = calloc(1, sizeof(*bench));
    if (bench == NULL) {
        return 1;
    }
    bench->options = &options;
    error = bench_open(bench);
    if (error == 0) {
        error = bench_run(bench);
        if (error < 0) {
            fprintf(stderr, "vhost_bench: %s\n",
                    error == -EPROTO ? virtq_driver_fault(&bench->client.queues[0].driver)
                                     : strerror(-error));
        }
        blk_client_close(&bench->client);
    } else {
        fprintf(stderr, "vhost_bench: cannot open %s: %s\n", options.socket_path, strerror(-error));
    }
    free(bench);
    return error < 0 ? 1 : 0;
}
