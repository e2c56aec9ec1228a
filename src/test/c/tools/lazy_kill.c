/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * kill -9 of the real back end at random moments, over lazily filled disks: while it starts, under
 * load, and with nothing in flight. It is started again on the same files, and everything that it
 * had acknowledged must be there (support/lazy_victim.h says what that means). When a disk is
 * filled, or has been through enough, it is stopped in order, compared in full, and the next one
 * begins with another kind of disk.
 *
 *   UBIBLK_BACKEND_CMD=bin/vhost-backend lazy_kill
 *
 * init-metadata and dump-metadata are those beside it. Exit 0, or 1 after a sentence; the files
 * are kept then. UBIBLK_CHECK and UBIBLK_SEED as for tests, UBIBLK_TEST_LOG shows every round.
 */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "support/lazy_victim.h"
#include "support/test_scale.h"

enum {
    MIB = 1 << 20,
    LOAD_US_MAX = 300000,
    START_US_MAX = 900000,
    GENERATIONS_PER_DISK = 1 << 24,
    FULL_KILLS_PER_DISK = 12,
    REDUCED_KILLS_PER_DISK = 4,
};

enum moment { STARTING, LOADED, IDLE, MOMENTS };

static const char *const moment_names[MOMENTS] = {"starting", "loaded", "idle"};

struct kind {
    bool encrypted, track_written;
    const char *metadata_version;
};

/* In turn; the first ones are all that a reduced run sees. */
static const struct kind kinds[] = {
    {true, true, "2.0"},  {false, true, "1.0"}, {true, false, "1.0"},  {false, false, "2.0"},
    {false, true, "2.0"}, {true, true, "1.0"},  {false, false, "1.0"}, {true, false, "2.0"},
};

struct run {
    struct test_random random;
    struct lazy_victim victim;
    uint64_t kills_wanted, kills[MOMENTS];
    uint64_t disks, filled, requests, lost, sectors_checked;
};

static uint64_t below(struct run *run, uint64_t limit)
{
    return test_random_below(&run->random, limit);
}

static uint64_t kills(const struct run *run)
{
    return run->kills[STARTING] + run->kills[LOADED] + run->kills[IDLE];
}

static void require(struct run *run, int error)
{
    if (error == 0) {
        return;
    }
    fprintf(stderr, "lazy_kill: disk %llu, after %llu kills: %s\n  its files are in %s\n",
            (unsigned long long)run->disks, (unsigned long long)kills(run), run->victim.failure,
            run->victim.files.directory);
    lazy_victim_destroy(&run->victim, true);
    exit(1);
}

/* --- choices ---------------------------------------------------------------------------------- */

static struct lazy_victim_params choose_disk(struct run *run)
{
    const struct kind *kind = &kinds[run->disks % (sizeof(kinds) / sizeof(kinds[0]))];
    struct lazy_victim_params params = {.files = {.disk_bytes = (16 + below(run, 49)) * MIB,
                                                  .shift = 6 + (uint32_t)below(run, 3),
                                                  .encrypted = kind->encrypted,
                                                  .track_written = kind->track_written,
                                                  .metadata_version = kind->metadata_version},
                                        .queue_count = 1 + (uint32_t)below(run, 2),
                                        .depth = (uint16_t)(16u << below(run, 4)),
                                        .first_generation =
                                            1 + (uint32_t)(run->disks * GENERATIONS_PER_DISK),
                                        .seed = test_random_next(&run->random)};
    uint64_t disk_bytes = params.files.disk_bytes;

    /* Neither is a multiple of a stripe; every other image ends within a sector. */
    params.files.disk_bytes -= (1 + below(run, 63)) * STAMP_BYTES;
    params.files.image_bytes = disk_bytes / 2 + below(run, disk_bytes / 3);
    params.files.image_bytes = params.files.image_bytes / STAMP_BYTES * STAMP_BYTES;
    if (params.files.image_bytes % ((uint64_t)STAMP_BYTES << params.files.shift) == 0) {
        params.files.image_bytes += STAMP_BYTES;
    }
    params.files.image_bytes += run->disks % 2 == 0 ? 0 : 1 + below(run, STAMP_BYTES - 1);
    return params;
}

static struct lazy_victim_start choose_start(struct run *run)
{
    static const uint32_t concurrencies[] = {1, 4, 32};

    return (struct lazy_victim_start){
        .lazy = {.copy_on_read = below(run, 2) == 0,
                 .autofetch = below(run, 3) == 0,
                 .fetch_concurrency = concurrencies[below(run, 3)]},
        .io_engine = below(run, 3) == 0 ? IO_ENGINE_SYNC : IO_ENGINE_URING,
        .direct_io = below(run, 3) == 0 ? DIRECT_IO_FALSE : DIRECT_IO_AUTO,
        .write_through = below(run, 4) == 0,
    };
}

/* Most kills are under load; a few rounds have seen all kinds. */
static enum moment choose_moment(const struct run *run)
{
    uint64_t turn = kills(run) % 8;

    return turn == 1 ? STARTING : turn == 5 ? IDLE : LOADED;
}

/* A part of the disk small enough that there is something left for the next rounds. */
static void choose_window(struct run *run)
{
    struct blk_stress *stress = &run->victim.stress;
    uint64_t sectors = stress->disk->sector_count;

    stress->window_sectors = sectors / 24 + below(run, sectors / 8);
    stress->window_sector = below(run, sectors - stress->window_sectors);
}

/* --- rounds ----------------------------------------------------------------------------------- */

static bool show_rounds(void)
{
    const char *wanted = getenv("UBIBLK_TEST_LOG");

    return wanted != NULL && wanted[0] != '\0';
}

static void print_round(const struct run *run, enum moment moment,
                        const struct lazy_victim_start *start)
{
    if (show_rounds()) {
        printf("    %s: %s, copy_on_read %d, autofetch %d, concurrency %u, direct %s, "
               "write_through %d; %llu requests lost so far\n",
               moment_names[moment], start->io_engine == IO_ENGINE_SYNC ? "sync" : "io_uring",
               start->lazy.copy_on_read, start->lazy.autofetch, start->lazy.fetch_concurrency,
               start->direct_io == DIRECT_IO_FALSE ? "no" : "auto", start->write_through,
               (unsigned long long)run->victim.stress.lost);
        fflush(stdout);
    }
}

static void load(struct run *run, enum moment moment)
{
    uint64_t duration_us = below(run, LOAD_US_MAX);

    choose_window(run);
    require(run, lazy_victim_load(&run->victim, clock_now_ns() + duration_us * 1000));
    if (moment == IDLE) {
        require(run, lazy_victim_drain(&run->victim));
    }
}

/* One start and one kill. Some starts are loaded at once, so that autofetch is still at work. */
static void run_round(struct run *run)
{
    struct lazy_victim_start start = choose_start(run);
    enum moment moment = choose_moment(run);
    bool hurried = below(run, 3) == 0;

    require(run, lazy_victim_launch(&run->victim, &start));
    if (moment == STARTING) {
        poll(NULL, 0, (int)(below(run, START_US_MAX) / 1000));
    } else {
        require(run, lazy_victim_connect(&run->victim));
        if (!hurried) {
            require(run, lazy_victim_check(&run->victim));
        }
        load(run, moment);
    }
    require(run, lazy_victim_kill(&run->victim));
    run->kills[moment]++;
    print_round(run, moment, &start);
}

static bool is_filled(const struct run *run)
{
    const struct metadata_image *seen = &run->victim.seen;

    return seen->flags != NULL &&
           metadata_image_count(seen, METADATA_HAS_SOURCE, METADATA_FETCHED) == 0;
}

static void print_disk(const struct run *run, uint64_t rounds)
{
    const struct lazy_disk *files = &run->victim.files;
    const struct metadata_image *seen = &run->victim.seen;

    printf(
        "  %s, metadata %s, track_written %s, %llu bytes from %llu, %u KiB stripes: %llu kills, "
        "%llu of %llu fetched, %llu written\n",
        files->params.encrypted ? "encrypted" : "plain", files->params.metadata_version,
        files->params.track_written ? "on" : "off", (unsigned long long)files->params.disk_bytes,
        (unsigned long long)files->params.image_bytes, 1u << (files->params.shift - 1),
        (unsigned long long)rounds,
        (unsigned long long)metadata_image_count(seen, METADATA_HAS_SOURCE | METADATA_FETCHED, 0),
        (unsigned long long)files->source_count,
        (unsigned long long)metadata_image_count(seen, METADATA_WRITTEN, 0));
    fflush(stdout);
}

/* One disk from empty files to the comparison at its end. */
static void run_disk(struct run *run)
{
    uint64_t rounds = 0, most = test_count(REDUCED_KILLS_PER_DISK, FULL_KILLS_PER_DISK);
    struct lazy_victim_params params = choose_disk(run);
    struct lazy_victim_start start;

    require(run, lazy_victim_create(&run->victim, &params));
    while (kills(run) < run->kills_wanted && rounds < most && !is_filled(run)) {
        run_round(run);
        rounds++;
    }
    start = choose_start(run);
    require(run, lazy_victim_launch(&run->victim, &start));
    require(run, lazy_victim_connect(&run->victim));
    require(run, lazy_victim_check(&run->victim));
    run->filled += is_filled(run);
    require(run, lazy_victim_end(&run->victim));
    print_disk(run, rounds);
    run->requests += run->victim.stress.started;
    run->lost += run->victim.stress.lost;
    run->sectors_checked += run->victim.sectors_checked;
    lazy_victim_destroy(&run->victim, false);
    run->disks++;
}

int main(void)
{
    static struct run run;

    if (getenv("UBIBLK_BACKEND_CMD") == NULL) {
        fprintf(stderr, "lazy_kill: UBIBLK_BACKEND_CMD must name vhost-backend\n");
        return 2;
    }
    run.random.state = test_seed();
    run.kills_wanted = test_count(10, 200);
    test_print_scale(run.kills_wanted, "kills");
    while (kills(&run) < run.kills_wanted) {
        run_disk(&run);
    }
    printf("%llu starting, %llu loaded, %llu idle; %llu disks, %llu of them filled; %llu requests, "
           "%llu in flight when killed; %llu sectors compared\n",
           (unsigned long long)run.kills[STARTING], (unsigned long long)run.kills[LOADED],
           (unsigned long long)run.kills[IDLE], (unsigned long long)run.disks,
           (unsigned long long)run.filled, (unsigned long long)run.requests,
           (unsigned long long)run.lost, (unsigned long long)run.sectors_checked);
    return 0;
}
