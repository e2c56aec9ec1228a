/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * A lazily filled disk whose back end is killed again and again, and everything that must hold of
 * it each time it comes back:
 *
 *   - every sector holds the newest completed write, or one that was in flight at a kill, or, if it
 *     was never written, what the image has there (zeros behind its end);
 *   - a stripe with a source that holds a guest's write is FETCHED, and with track_written every
 *     stripe that holds one is WRITTEN; no other is;
 *   - reading with copy_on_read off fetches nothing.
 *
 * Functions return 0 or -errno with a sentence in failure. Belongs to one thread of a process
 * without others.
 */
#ifndef UBIBLK_SUPPORT_LAZY_VICTIM_H
#define UBIBLK_SUPPORT_LAZY_VICTIM_H

#include <stdbool.h>
#include <stdint.h>

#include "support/blk_client.h"
#include "support/blk_stress.h"
#include "support/lazy_disk.h"
#include "support/stamped_disk.h"

enum { LAZY_FAILURE_BYTES = 600 };

/* Borrowed by lazy_victim_create. */
struct lazy_victim_params {
    struct lazy_disk_params files;
    uint32_t queue_count;
    uint16_t depth;            /* requests in flight per queue */
    uint32_t first_generation; /* of its writes; leave room for those of a whole life */
    uint64_t seed;
};

/* How the back end is started; may differ each time. */
struct lazy_victim_start {
    struct lazy_disk_settings lazy;
    enum io_engine_kind io_engine;
    enum direct_io direct_io;
    bool write_through;
};

struct lazy_victim {
    struct lazy_disk files;
    struct stamped_disk disk;
    struct blk_stress stress;
    struct backend_host host;
    struct lazy_victim_start start; /* of the last start */
    bool *attempted;                /* per stripe: a write may have reached it; owned */
    struct metadata_image seen;     /* as the last check found it */
    uint64_t sectors_checked;
    char failure[LAZY_FAILURE_BYTES];
};

int lazy_victim_create(struct lazy_victim *victim, const struct lazy_victim_params *params);

/* Kills the back end and frees everything; the files go, too, unless keep_files. */
void lazy_victim_destroy(struct lazy_victim *victim, bool keep_files);

/* Starts the process and does not wait for it. */
int lazy_victim_launch(struct lazy_victim *victim, const struct lazy_victim_start *start);

/* Waits until it listens and connects. */
int lazy_victim_connect(struct lazy_victim *victim);

/* Checks all that can be read without making the back end fetch, and a little that must be fetched.
 * After connect, before the load. */
int lazy_victim_check(struct lazy_victim *victim);

/* Random requests until the monotonic clock shows deadline_ns; what was lost before is read back
 * first. */
int lazy_victim_load(struct lazy_victim *victim, uint64_t deadline_ns);

/* Waits until nothing is in flight. */
int lazy_victim_drain(struct lazy_victim *victim);

/* kill -9, in whatever state. Takes what the dead process had completed. */
int lazy_victim_kill(struct lazy_victim *victim);

/* The whole disk through the back end, SIGTERM with exit status 0, then the files themselves:
 * metadata, dump-metadata's view of it, and the base disk wherever it is filled. */
int lazy_victim_end(struct lazy_victim *victim);

#endif
