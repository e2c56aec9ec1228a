/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * AES-XTS: every engine that works here, beside each other and beside the limit of the CPU, as
 * Markdown tables.
 *
 *   xts_bench [--rounds N] [--seconds S] [--quick]
 *
 *   --rounds N    rounds of which the median is taken (7); each measures everything once, all
 *                 engines one right after another, and begins with another engine
 *   --seconds S   of CPU time for each figure of a round (0.02)
 *   --quick       2 rounds of 1 ms on less memory, to see that it works
 *
 * A hot source is the same memory for each request, a cold one comes from a large area in no order
 * that a CPU could foresee. Copying goes from there to another buffer, always the same, as ours do
 * with a guest's memory; in place is what libraries do to bounce buffers.
 */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "aes_limit.h"
#include "base/error.h"
#include "base/sector.h"
#include "crypt/xts.h"

enum {
    ROUNDS_MAX = 101,
    PEERS_MAX = 5,
    SIZES = 4,
    WORKS = 8 * SIZES,
    REQUEST_BYTES_MAX = 1 << 20,
    LOOK_BYTES = 1 << 20, /* between two looks at the clock, which costs as much as a few sectors */
    LIMIT_LOOPS = 2000,
    HUGE_PAGE_BYTES = 2 << 20,
    SECTOR_ROUNDS = (SECTOR_BYTES / 16 + 1) * 14, /* of its blocks and its tweak */
};

static const size_t sizes[SIZES] = {512, 4096, 65536, REQUEST_BYTES_MAX};
static const char *const size_names[SIZES] = {"512 B", "4 KiB", "64 KiB", "1 MiB"};

/* One row of half a table. */
struct work {
    size_t byte_len;
    bool cold, in_place, decrypt;
};

struct peer {
    struct xts *xts;
    enum aes_width width; /* of the limit that it is compared with */
};

struct bench {
    int rounds;
    double seconds;
    size_t cold_bytes; /* a power of two, and a multiple of REQUEST_BYTES_MAX */
    struct peer peers[PEERS_MAX];
    int peer_count;
    int openssl; /* index of that peer, or -1 */
    uint8_t *source;
    uint8_t *buffer;
    double limit[AES_WIDTHS][ROUNDS_MAX];      /* bytes per second */
    double rate[WORKS][PEERS_MAX][ROUNDS_MAX]; /* bytes per second */
};

static struct work work_of(int index)
{
    return (struct work){.byte_len = sizes[index / 8],
                         .cold = (index & 4) != 0,
                         .in_place = (index & 2) != 0,
                         .decrypt = (index & 1) != 0};
}

static double cpu_seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

/* --- measuring -------------------------------------------------------------------------------- */

static double measure_limit(const struct bench *bench, enum aes_width width)
{
    double start = cpu_seconds(), now = start;
    uint64_t block_rounds = 0;
    while (now - start < bench->seconds) {
        block_rounds += aes_limit_run(width, LIMIT_LOOPS);
        now = cpu_seconds();
    }
    return (double)block_rounds / SECTOR_ROUNDS * SECTOR_BYTES / (now - start);
}

/* The memory of request number call: an odd factor visits all places once before any twice. */
static uint8_t *source_of(const struct bench *bench, const struct work *work, uint64_t call)
{
    if (!work->cold)
        return bench->source;
    size_t places = bench->cold_bytes / work->byte_len;
    return bench->source + (call * 0x9e3779b1 & (places - 1)) * work->byte_len;
}

static double measure(const struct bench *bench, const struct work *work, const struct xts *xts,
                      uint64_t *calls)
{
    size_t sector_count = bytes_to_sectors(work->byte_len);
    uint64_t first = *calls;
    double start = cpu_seconds(), now = start;
    while (now - start < bench->seconds) {
        for (size_t done = 0; done < LOOK_BYTES; done += work->byte_len) {
            uint8_t *source = source_of(bench, work, *calls);
            uint8_t *destination = work->in_place ? source : bench->buffer;
            (work->decrypt ? xts_decrypt : xts_encrypt)(xts, *calls, source, destination,
                                                        sector_count);
            (*calls)++;
        }
        now = cpu_seconds();
    }
    return (double)(*calls - first) * (double)work->byte_len / (now - start);
}

static void measure_all(struct bench *bench)
{
    uint64_t calls = 0;
    for (int round = 0; round < bench->rounds; round++) {
        for (int width = 0; width < AES_WIDTHS; width++) {
            if (aes_width_offered((enum aes_width)width))
                bench->limit[width][round] = measure_limit(bench, (enum aes_width)width);
        }
        for (int index = 0; index < WORKS; index++) {
            struct work work = work_of(index);
            for (int i = 0; i < bench->peer_count; i++) {
                int peer = (i + round) % bench->peer_count;
                bench->rate[index][peer][round] =
                    measure(bench, &work, bench->peers[peer].xts, &calls);
            }
        }
    }
}

/* --- printing --------------------------------------------------------------------------------- */

struct figure {
    double median, low, high;
};

static int compare_doubles(const void *one, const void *two)
{
    double a = *(const double *)one, b = *(const double *)two;
    return (a > b) - (a < b);
}

static struct figure figure_of(const double *values, int count)
{
    double sorted[ROUNDS_MAX];
    memcpy(sorted, values, (size_t)count * sizeof(*values));
    qsort(sorted, (size_t)count, sizeof(*sorted), compare_doubles);
    double median =
        count % 2 == 1 ? sorted[count / 2] : (sorted[count / 2 - 1] + sorted[count / 2]) / 2;
    return (struct figure){median, sorted[0], sorted[count - 1]};
}

static void print_limits(const struct bench *bench)
{
    printf("## Limit of the CPU\n\n"
           "| width | rounds of a block, per ns | XTS, GB/s (lowest–highest round) |\n"
           "| --- | --- | --- |\n");
    for (int width = 0; width < AES_WIDTHS; width++) {
        if (!aes_width_offered((enum aes_width)width))
            continue;
        struct figure limit = figure_of(bench->limit[width], bench->rounds);
        printf("| %d bits | %.2f | %.2f (%.2f–%.2f) |\n", aes_width_bits[width],
               limit.median / SECTOR_BYTES * SECTOR_ROUNDS / 1e9, limit.median / 1e9,
               limit.low / 1e9, limit.high / 1e9);
    }
}

/* One direction of a row: rate with range, time per sector, share of the limit, times openssl. */
static void print_rate(const struct bench *bench, int index, int peer)
{
    struct figure rate = figure_of(bench->rate[index][peer], bench->rounds);
    enum aes_width width = bench->peers[peer].width;
    printf(" %.2f (%.2f–%.2f) | %.1f |", rate.median / 1e9, rate.low / 1e9, rate.high / 1e9,
           SECTOR_BYTES / rate.median * 1e9);
    if (width < AES_WIDTHS)
        printf(" %.0f %% |",
               100 * rate.median / figure_of(bench->limit[width], bench->rounds).median);
    else
        printf(" |");
    if (bench->openssl >= 0)
        printf(" %.1f |",
               rate.median / figure_of(bench->rate[index][bench->openssl], bench->rounds).median);
    else
        printf(" |");
}

static void print_size(const struct bench *bench, int size)
{
    printf("\n## Requests of %s\n\n"
           "| source | | engine | encrypt, GB/s | ns per sector | of the limit | × openssl "
           "| decrypt, GB/s | ns per sector | of the limit | × openssl |\n"
           "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |\n",
           size_names[size]);
    for (int index = 8 * size; index < 8 * (size + 1); index += 2) {
        struct work work = work_of(index);
        for (int peer = 0; peer < bench->peer_count; peer++) {
            printf("| %s | %s | %s |", work.cold ? "cold" : "hot",
                   work.in_place ? "in place" : "copying", xts_engine_name(bench->peers[peer].xts));
            print_rate(bench, index, peer);
            print_rate(bench, index + 1, peer);
            printf("\n");
        }
    }
}

static void print_all(const struct bench *bench)
{
    print_limits(bench);
    for (int size = 0; size < SIZES; size++)
        print_size(bench, size);
    printf("\nMedians of %d rounds of %g s each, with the lowest and the highest round.\n",
           bench->rounds, bench->seconds);
}

/* --- the rest --------------------------------------------------------------------------------- */

/* Ours have their own width; a library may use whatever the CPU has. */
static enum aes_width width_of(enum xts_engine_kind kind)
{
    if (kind == XTS_ENGINE_AESNI)
        return AES_WIDTH_128;
    if (kind == XTS_ENGINE_VAES256)
        return AES_WIDTH_256;
    if (kind == XTS_ENGINE_VAES512)
        return AES_WIDTH_512;
    for (int width = AES_WIDTHS - 1; width >= 0; width--) {
        if (aes_width_offered((enum aes_width)width))
            return (enum aes_width)width;
    }
    return AES_WIDTHS;
}

static void open_peers(struct bench *bench)
{
    static const uint8_t data_key[XTS_KEY_BYTES] = {1}, tweak_key[XTS_KEY_BYTES] = {2};
    bench->openssl = -1;
    for (enum xts_engine_kind kind = XTS_ENGINE_VAES512; kind <= XTS_ENGINE_OPENSSL; kind++) {
        struct peer *peer = &bench->peers[bench->peer_count];
        struct error error;
        if (xts_create(data_key, tweak_key, kind, NULL, &peer->xts, &error) < 0) {
            printf("* %s\n", error.message);
            continue;
        }
        peer->width = width_of(kind);
        if (kind == XTS_ENGINE_OPENSSL)
            bench->openssl = bench->peer_count;
        bench->peer_count++;
    }
    printf("\n");
}

/* Touched throughout, so that no page is the kernel's zero page. */
static uint8_t *memory_of(size_t byte_len)
{
    uint8_t *bytes = aligned_alloc(HUGE_PAGE_BYTES, byte_len);
    if (!bytes)
        abort();
    memset(bytes, 3, byte_len);
    return bytes;
}

static bool parse(struct bench *bench, int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--quick") == 0) {
            bench->rounds = 2;
            bench->seconds = 0.001;
            bench->cold_bytes = 4 * REQUEST_BYTES_MAX;
        } else if (strcmp(argv[i], "--rounds") == 0 && i + 1 < argc) {
            bench->rounds = (int)strtol(argv[++i], NULL, 10);
        } else if (strcmp(argv[i], "--seconds") == 0 && i + 1 < argc) {
            bench->seconds = strtod(argv[++i], NULL);
        } else {
            return false;
        }
    }
    return bench->rounds >= 1 && bench->rounds <= ROUNDS_MAX && bench->seconds > 0;
}

int main(int argc, char **argv)
{
    static struct bench bench = {.rounds = 7, .seconds = 0.02, .cold_bytes = (size_t)256 << 20};
    if (!parse(&bench, argc, argv)) {
        fprintf(stderr, "usage: xts_bench [--rounds 1..%d] [--seconds S] [--quick]\n", ROUNDS_MAX);
        return 2;
    }
    open_peers(&bench);
    bench.source = memory_of(bench.cold_bytes);
    bench.buffer = memory_of(HUGE_PAGE_BYTES);
    measure_all(&bench);
    print_all(&bench);
    for (int i = 0; i < bench.peer_count; i++)
        xts_destroy(bench.peers[i].xts);
    free(bench.source);
    free(bench.buffer);
    return 0;
}
