/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * A lazily filled disk whose back end is killed again and again.
 *
 * Design: stamped_disk knows what each sector may hold, whatever happened, so a life is connect,
 * load, kill, over and over on one stress. The metadata file is read as soon as the new process
 * answers, before anything is sent to it: flags are never cleared, so what must be set because of
 * the past is set there.
 */
#include "support/lazy_victim.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { COLD_STRIPES_READ = 2, QUEUE_SIZE = 256 };

static int fail(struct lazy_victim *victim, int error, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static int fail(struct lazy_victim *victim, int error, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vsnprintf(victim->failure, sizeof(victim->failure), format, args);
    va_end(args);
    return error;
}

/* Takes over the sentence of a stress that failed. */
static int pass_on(struct lazy_victim *victim, int error)
{
    return error < 0 ? fail(victim, error, "%s", victim->stress.failure) : 0;
}

/* --- geometry --------------------------------------------------------------------------------- */

static uint64_t stripe_start(const struct lazy_victim *victim, uint64_t stripe)
{
    return stripe << victim->files.params.shift;
}

/* Sectors of a stripe; the last one may be short. */
static uint32_t stripe_length(const struct lazy_victim *victim, uint64_t stripe)
{
    uint64_t left = victim->disk.sector_count - stripe_start(victim, stripe);
    uint64_t whole = UINT64_C(1) << victim->files.params.shift;

    return (uint32_t)(left < whole ? left : whole);
}

/* Whether a completed or settled write lies in the stripe. */
static bool is_written(const struct lazy_victim *victim, uint64_t stripe)
{
    uint64_t start = stripe_start(victim, stripe);

    for (uint64_t i = start; i < start + stripe_length(victim, stripe); i++) {
        if (victim->disk.generation[i] != 0) {
            return true;
        }
    }
    return false;
}

/* --- life ------------------------------------------------------------------------------------- */

static int init_guest(struct lazy_victim *victim, const struct lazy_victim_params *params)
{
    struct blk_stress_params stress = {.seed = params->seed,
                                       .features = BLK_CLIENT_FEATURES,
                                       .protocol_features = BLK_CLIENT_PROTOCOL_FEATURES,
                                       .queue_count = params->queue_count,
                                       .region_count = 2,
                                       .queue_size = QUEUE_SIZE,
                                       .depth = params->depth};
    int error = stamped_disk_init(&victim->disk, params->files.disk_bytes / STAMP_BYTES);

    if (error < 0) {
        return error;
    }
    victim->disk.origin = victim->files.origin;
    victim->disk.next_generation = params->first_generation;
    victim->attempted = calloc(victim->files.stripe_count, sizeof(bool));
    if (victim->attempted == NULL) {
        return -ENOMEM;
    }
    return blk_stress_init(&victim->stress, &stress, &victim->disk);
}

int lazy_victim_create(struct lazy_victim *victim, const struct lazy_victim_params *params)
{
    int error;

    memset(victim, 0, sizeof(*victim));
    error = lazy_disk_create(&victim->files, &params->files);
    if (error < 0) {
        return fail(victim, error, "making the files: %s", strerror(-error));
    }
    error = init_guest(victim, params);
    return error < 0 ? fail(victim, error, "making the guest: %s", strerror(-error)) : 0;
}

void lazy_victim_destroy(struct lazy_victim *victim, bool keep_files)
{
    if (victim->host.pid > 0) {
        backend_host_kill(&victim->host);
    }
    if (victim->stress.requests != NULL) {
        blk_stress_deinit(&victim->stress);
    }
    stamped_disk_deinit(&victim->disk);
    free(victim->attempted);
    victim->attempted = NULL;
    metadata_image_deinit(&victim->seen);
    if (!keep_files) {
        lazy_disk_remove(&victim->files);
    }
}

int lazy_victim_launch(struct lazy_victim *victim, const struct lazy_victim_start *start)
{
    struct backend_host_params params = backend_host_defaults(victim->files.base_path);
    char config[LAZY_DISK_CONFIG_BYTES];
    int error;

    victim->start = *start;
    lazy_disk_config(&victim->files, &start->lazy, config);
    params.extra_config = config;
    params.encrypted = victim->files.params.encrypted;
    params.device.queue_count = victim->stress.params.queue_count;
    params.device.queue_size = QUEUE_SIZE;
    params.device.io_engine = start->io_engine;
    params.device.direct_io = start->direct_io;
    params.device.write_through = start->write_through;
    error = backend_host_launch(&victim->host, &params);
    return error < 0 ? fail(victim, error, "launching: %s", strerror(-error)) : 0;
}

int lazy_victim_connect(struct lazy_victim *victim)
{
    int error = backend_host_await(&victim->host);

    if (error < 0) {
        return fail(victim, error, "the back end does not start: %s", strerror(-error));
    }
    return pass_on(victim, blk_stress_connect(&victim->stress, victim->host.socket_path));
}

int lazy_victim_load(struct lazy_victim *victim, uint64_t deadline_ns)
{
    return pass_on(victim, blk_stress_run_until(&victim->stress, deadline_ns));
}

int lazy_victim_drain(struct lazy_victim *victim)
{
    return pass_on(victim, blk_stress_drain(&victim->stress));
}

/* Remembers where writes may be, before reading back says which of them are. */
static void note_attempts(struct lazy_victim *victim)
{
    for (uint64_t i = 0; i < victim->disk.sector_count; i++) {
        if (victim->disk.generation[i] != 0 || victim->disk.maybe[i] != 0 ||
            victim->disk.written[i]) {
            victim->attempted[i >> victim->files.params.shift] = true;
        }
    }
}

int lazy_victim_kill(struct lazy_victim *victim)
{
    bool connected = victim->stress.frontend.fd >= 0;
    int error;

    backend_host_kill(&victim->host);
    if (!connected) {
        return 0;
    }
    error = blk_stress_collect(&victim->stress);
    note_attempts(victim);
    blk_stress_vanish(&victim->stress, true);
    return pass_on(victim, error);
}

/* --- checks ----------------------------------------------------------------------------------- */

static int look(struct lazy_victim *victim)
{
    int error;

    metadata_image_deinit(&victim->seen);
    error = lazy_disk_look(&victim->files, &victim->seen);
    return error < 0 ? fail(victim, error, "the metadata file: %s", victim->seen.fault) : 0;
}

static int check_flags(struct lazy_victim *victim)
{
    bool tracked = victim->files.params.track_written;

    for (uint64_t i = 0; i < victim->files.stripe_count; i++) {
        uint8_t flags = victim->seen.flags[i];
        bool written = is_written(victim, i), complete = true;

        if (i < victim->files.source_count) {
            complete = (flags & METADATA_FETCHED) != 0;
        }
        if (written && !complete) {
            return fail(victim, -EBADMSG, "stripe %" PRIu64 " holds a write but is not FETCHED", i);
        }
        if (written && tracked && (flags & METADATA_WRITTEN) == 0) {
            return fail(victim, -EBADMSG, "stripe %" PRIu64 " holds a write but is not WRITTEN", i);
        }
        if ((flags & METADATA_WRITTEN) != 0 && !(tracked && victim->attempted[i])) {
            return fail(victim, -EBADMSG, "stripe %" PRIu64 " is WRITTEN but never was", i);
        }
    }
    return 0;
}

/* Whether the back end has no need to fetch the stripe when it is read. */
static bool is_warm(const struct lazy_victim *victim, uint64_t stripe)
{
    return !victim->start.lazy.copy_on_read || victim->start.lazy.autofetch ||
           stripe >= victim->files.source_count ||
           (victim->seen.flags[stripe] & METADATA_FETCHED) != 0 || is_written(victim, stripe);
}

static int read_stripe(struct lazy_victim *victim, uint64_t stripe)
{
    uint32_t length = stripe_length(victim, stripe);

    victim->sectors_checked += length;
    return blk_stress_script_read(&victim->stress, stripe_start(victim, stripe), length);
}

static int read_warm_and_some_cold(struct lazy_victim *victim)
{
    int error = 0;

    for (uint64_t i = 0; i < victim->files.stripe_count && error == 0; i++) {
        error = is_warm(victim, i) ? read_stripe(victim, i) : 0;
    }
    for (uint32_t i = 0; i < COLD_STRIPES_READ && error == 0; i++) {
        error = read_stripe(victim,
                            test_random_below(&victim->stress.random, victim->files.stripe_count));
    }
    return error < 0 ? error : blk_stress_run_script(&victim->stress);
}

/* With copy_on_read off, reads of all kinds have left the stripes where they were. */
static int check_nothing_fetched(struct lazy_victim *victim)
{
    uint64_t before = metadata_image_count(&victim->seen, METADATA_FETCHED, 0), after;
    int error;

    if (victim->start.lazy.copy_on_read || victim->start.lazy.autofetch) {
        return 0;
    }
    error = look(victim);
    if (error < 0) {
        return error;
    }
    after = metadata_image_count(&victim->seen, METADATA_FETCHED, 0);
    return after == before ? 0
                           : fail(victim, -EBADMSG, "reads without copy_on_read fetched %" PRIu64,
                                  after - before);
}

int lazy_victim_check(struct lazy_victim *victim)
{
    int error = look(victim);

    if (error == 0) {
        error = pass_on(victim, blk_stress_run_script(&victim->stress));
    }
    if (error == 0) {
        error = check_flags(victim);
    }
    if (error == 0) {
        error = pass_on(victim, read_warm_and_some_cold(victim));
    }
    return error == 0 ? check_nothing_fetched(victim) : error;
}

/* --- the end ---------------------------------------------------------------------------------- */

static int check_whole_disk(struct lazy_victim *victim)
{
    int error = blk_stress_script_verify(&victim->stress);

    victim->sectors_checked += victim->disk.sector_count;
    return pass_on(victim, error < 0 ? error : blk_stress_run_script(&victim->stress));
}

static int stop(struct lazy_victim *victim)
{
    int status = backend_host_stop(&victim->host);

    blk_stress_vanish(&victim->stress, false);
    return status == 0 ? 0 : fail(victim, -ECHILD, "status 0x%x after SIGTERM", (unsigned)status);
}

/* The file itself, wherever it has content of its own. */
static int check_base(struct lazy_victim *victim)
{
    uint8_t *bytes = malloc((size_t)STAMP_BYTES << victim->files.params.shift);
    int error = bytes == NULL ? -ENOMEM : 0;

    for (uint64_t i = 0; i < victim->files.stripe_count && error == 0; i++) {
        uint64_t start = stripe_start(victim, i);
        uint32_t length = stripe_length(victim, i);

        if (i < victim->files.source_count && (victim->seen.flags[i] & METADATA_FETCHED) == 0) {
            continue;
        }
        error = lazy_disk_read_base(&victim->files, start, length, bytes);
        if (error == 0 && !stamped_disk_check(&victim->disk, bytes, start, length)) {
            error = fail(victim, -EBADMSG, "in the base disk: %s", victim->disk.mismatch);
        }
        victim->sectors_checked += length;
    }
    free(bytes);
    return error;
}

int lazy_victim_end(struct lazy_victim *victim)
{
    int error = check_whole_disk(victim);

    if (error == 0) {
        error = stop(victim);
    }
    if (error == 0) {
        error = look(victim);
    }
    if (error == 0) {
        error = check_flags(victim);
    }
    if (error == 0) {
        error = check_base(victim);
    }
    if (error == 0 && !lazy_disk_dump_agrees(&victim->files, &victim->seen)) {
        error = fail(victim, -EBADMSG, "dump-metadata disagrees");
    }
    return error;
}
