/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * What a guest waits for on a disk that is filled while it is used: the latency of the first
 * request to a stripe, one request at a time, each to a stripe of its own that nobody has touched.
 *
 *   cold_stripes --socket PATH --rpc PATH --stripe BYTES [option]...
 *
 * Stripes are visited at random, from --first on. Afterwards the same places are requested again,
 * which shows what the same costs on a stripe that is there. The client looks at the used ring all
 * the time. From the RPC, before and after the first pass, comes what the steps of fetching took.
 *
 * With --beside-autofetch everything is fetched in the background meanwhile. Requests end when that
 * has come as close to --first as --first is to the disk's end, so that no request meets a stripe
 * that came by itself, and all of them are made while it is busy. There is no second pass then.
 */
#include <errno.h>
#include <getopt.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/sector.h"
#include "histogram.h"
#include "rpc_client.h"
#include "support/blk_client.h"
#include "support/test_scale.h"

enum {
    QUEUE_SIZE = 16,
    CONNECT_TIMEOUT_MS = 10000,
    STALL_TIMEOUT_MS = 60000,
    STATUS_INTERVAL_NS = 50000000,
};

struct cold_options {
    const char *socket_path;
    const char *rpc_path;
    const char *work;
    uint32_t block_bytes;
    uint32_t stripe_bytes;
    uint32_t first;
    uint32_t count;
    bool beside_autofetch;
};

struct pass {
    struct histogram latency;
    uint64_t total_ns;
};

struct cold {
    struct cold_options options;
    struct blk_client client;
    struct rpc_client rpc;
    struct rpc_status before, after;
    uint64_t looked_ns;     /* when the status was asked for last */
    uint64_t fetched_limit; /* stripes, when requests beside autofetch end */
    uint64_t *places;       /* sectors, one in each stripe, in random order */
    struct pass first, again;
};

static int usage(void)
{
    fprintf(stderr, "usage: cold_stripes --socket PATH --rpc PATH --stripe BYTES\n"
                    "  --work read|write        (read)\n"
                    "  --block BYTES            (4096)\n"
                    "  --count N                requests (100)\n"
                    "  --first STRIPE           only stripes from here on (0)\n"
                    "  --beside-autofetch\n");
    return 2;
}

static bool set_option(struct cold_options *options, int key, const char *value)
{
    switch (key) {
    case 's':
        options->socket_path = value;
        return true;
    case 'r':
        options->rpc_path = value;
        return true;
    case 'w':
        options->work = value;
        return strcmp(value, "read") == 0 || strcmp(value, "write") == 0;
    case 'b':
        options->block_bytes = (uint32_t)strtoul(value, NULL, 0);
        return options->block_bytes > 0 && options->block_bytes % SECTOR_BYTES == 0;
    case 't':
        options->stripe_bytes = (uint32_t)strtoul(value, NULL, 0);
        return options->stripe_bytes > 0;
    case 'n':
        options->count = (uint32_t)strtoul(value, NULL, 0);
        return options->count > 0;
    case 'f':
        options->first = (uint32_t)strtoul(value, NULL, 0);
        return true;
    case 'a':
        options->beside_autofetch = true;
        return true;
    default:
        return false;
    }
}

static bool parse(struct cold_options *options, int argc, char **argv)
{
    static const struct option names[] = {
        {"socket", required_argument, NULL, 's'},
        {"rpc", required_argument, NULL, 'r'},
        {"work", required_argument, NULL, 'w'},
        {"block", required_argument, NULL, 'b'},
        {"stripe", required_argument, NULL, 't'},
        {"count", required_argument, NULL, 'n'},
        {"first", required_argument, NULL, 'f'},
        {"beside-autofetch", no_argument, NULL, 'a'},
        {0},
    };
    int key;

    *options = (struct cold_options){.work = "read", .block_bytes = 4096, .count = 100};
    while ((key = getopt_long(argc, argv, "", names, NULL)) != -1) {
        if (!set_option(options, key, optarg)) {
            return false;
        }
    }
    return options->socket_path != NULL && options->rpc_path != NULL &&
           options->stripe_bytes >= options->block_bytes && optind == argc;
}

/* One place in each of the first count stripes of a shuffled disk. */
static int choose_places(struct cold *cold, uint64_t disk_bytes)
{
    const struct cold_options *options = &cold->options;
    uint64_t stripes = disk_bytes / options->stripe_bytes;
    uint64_t blocks = options->stripe_bytes / options->block_bytes;
    struct test_random random = {42};

    if (options->first >= stripes || options->count > stripes - options->first) {
        return -ERANGE;
    }
    stripes -= options->first;
    cold->fetched_limit = options->first > stripes ? options->first - stripes : 0;
    cold->places = malloc(stripes * sizeof(*cold->places));
    if (cold->places == NULL) {
        return -ENOMEM;
    }
    for (uint64_t i = 0; i < stripes; i++) {
        cold->places[i] = options->first + i;
    }
    for (uint64_t i = 0; i < options->count; i++) {
        uint64_t other = i + test_random_below(&random, stripes - i);
        uint64_t stripe = cold->places[other];
        uint64_t block = test_random_below(&random, blocks);

        cold->places[other] = cold->places[i];
        cold->places[i] =
            bytes_to_sectors(stripe * options->stripe_bytes + block * options->block_bytes);
    }
    return 0;
}

static int open_disk(struct cold *cold)
{
    const struct cold_options *options = &cold->options;
    struct blk_client_params params = {.socket_path = options->socket_path,
                                       .features = BLK_CLIENT_FEATURES,
                                       .protocol_features = BLK_CLIENT_PROTOCOL_FEATURES,
                                       .queue_count = 1,
                                       .queue_size = QUEUE_SIZE,
                                       .depth = 1,
                                       .slot_bytes = options->block_bytes,
                                       .connect_timeout_ms = CONNECT_TIMEOUT_MS};
    uint64_t capacity;
    int error = blk_client_open(&cold->client, &params);

    if (error < 0) {
        return error;
    }
    error = vhost_frontend_get_config(&cold->client.frontend, 0, sizeof(capacity), &capacity);
    if (error == 0) {
        error = choose_places(cold, sectors_to_bytes(capacity));
    }
    if (error < 0) {
        blk_client_close(&cold->client);
        return error;
    }
    memset(blk_client_slot(&cold->client, 0, 0)->data, 0xa5, options->block_bytes);
    virtq_driver_disable_signals(&cold->client.queues[0].driver);
    return 0;
}

static int request(struct cold *cold, uint64_t sector, struct pass *pass)
{
    const struct cold_options *options = &cold->options;
    uint32_t type = strcmp(options->work, "write") == 0 ? VIRTIO_BLK_T_OUT : VIRTIO_BLK_T_IN;
    struct blk_client_done done;
    uint64_t begin_ns = clock_now_ns();
    int count = blk_client_submit(&cold->client, 0, 0, type, sector, options->block_bytes);

    if (count < 0) {
        return count;
    }
    blk_client_publish(&cold->client, 0);
    count = virtq_driver_poll(&cold->client.queues[0].driver, STALL_TIMEOUT_MS) == 0
                ? -ETIMEDOUT
                : blk_client_reap(&cold->client, 0, &done, 1);
    uint64_t took_ns = clock_now_ns() - begin_ns;

    if (count < 0 || done.status != VIRTIO_BLK_S_OK) {
        return count < 0 ? count : -EIO;
    }
    histogram_add(&pass->latency, took_ns);
    pass->total_ns += took_ns;
    return 0;
}

/* Whether autofetch is still far from the stripes that are asked for. 1, 0 or -errno. */
static int still_far(struct cold *cold)
{
    if (clock_now_ns() - cold->looked_ns < STATUS_INTERVAL_NS) {
        return 1;
    }
    int error = rpc_status(&cold->rpc, &cold->after);

    cold->looked_ns = clock_now_ns();
    return error < 0 ? error : cold->after.running && cold->after.fetched < cold->fetched_limit;
}

static int first_pass(struct cold *cold)
{
    bool beside = cold->options.beside_autofetch;
    int error = rpc_status(&cold->rpc, &cold->before);

    if (error == 0 && beside) {
        error = rpc_ask(&cold->rpc, "{\"command\":\"autofetch\",\"action\":\"resume\"}\n");
    }
    for (uint32_t i = 0; i < cold->options.count && error == 0; i++) {
        int far = beside ? still_far(cold) : 1;

        if (far <= 0) {
            error = far;
            break;
        }
        error = request(cold, cold->places[i], &cold->first);
    }
    return error < 0 ? error : rpc_status(&cold->rpc, &cold->after);
}

static int second_pass(struct cold *cold)
{
    int error = 0;

    for (uint32_t i = 0; i < cold->options.count && error == 0; i++) {
        error = request(cold, cold->places[i], &cold->again);
    }
    return error;
}

static double average(uint64_t after, uint64_t before, uint64_t count)
{
    return count > 0 ? (double)(after - before) / (double)count : 0;
}

static double percentile_us(const struct pass *pass, double share)
{
    return (double)histogram_percentile(&pass->latency, share) / 1e3;
}

static double mean_us(const struct pass *pass)
{
    return pass->latency.total > 0 ? (double)pass->total_ns / 1e3 / (double)pass->latency.total : 0;
}

static void print_figures(const struct cold *cold)
{
    const struct rpc_status *a = &cold->after, *b = &cold->before;
    uint64_t requests = cold->first.latency.total;
    uint64_t commits = a->metadata_syncs - b->metadata_syncs;

    printf("requests=%" PRIu64 " mean_us=%.1f p50_us=%.1f p99_us=%.1f max_us=%.1f", requests,
           mean_us(&cold->first), percentile_us(&cold->first, 0.5),
           percentile_us(&cold->first, 0.99), (double)cold->first.latency.max / 1e3);
    if (!cold->options.beside_autofetch) {
        printf(" again_p50_us=%.1f again_p99_us=%.1f", percentile_us(&cold->again, 0.5),
               percentile_us(&cold->again, 0.99));
    }
    printf(
        " source_us=%.1f write_us=%.1f sync_us=%.1f metadata_us=%.1f commits=%.2f stripes=%.2f\n",
        average(a->source_read_us, b->source_read_us, a->source_reads - b->source_reads),
        average(a->base_write_us, b->base_write_us, a->base_writes - b->base_writes),
        average(a->base_sync_us, b->base_sync_us, a->base_syncs - b->base_syncs),
        average(a->metadata_write_us + a->metadata_sync_us,
                b->metadata_write_us + b->metadata_sync_us, commits),
        average(commits, 0, requests), average(a->source_reads, b->source_reads, requests));
}

static int run(struct cold *cold)
{
    int error = rpc_open(&cold->rpc, cold->options.rpc_path);

    if (error < 0) {
        return error;
    }
    error = open_disk(cold);
    if (error == 0) {
        error = first_pass(cold);
        if (error == 0 && !cold->options.beside_autofetch) {
            error = second_pass(cold);
        }
        if (error == 0) {
            print_figures(cold);
        }
        blk_client_close(&cold->client);
    }
    rpc_close(&cold->rpc);
    free(cold->places);
    return error;
}

int main(int argc, char **argv)
{
    static struct cold cold;
    int error;

    if (!parse(&cold.options, argc, argv)) {
        return usage();
    }
    error = run(&cold);
    if (error < 0) {
        fprintf(stderr, "cold_stripes: %s: %s\n", cold.options.socket_path, strerror(-error));
        return 1;
    }
    return 0;
}
