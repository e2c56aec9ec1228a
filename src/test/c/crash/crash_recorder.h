/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Everything that the core of this library does to the base disk and the metadata file, written
 * down in one order, with what was written; and failures made to order.
 *
 * The library is the product's with some calls wrapped: pwrite, fdatasync and fsync (what the
 * control plane writes and syncs) and io_engine_create (what queues do). A power cut is simulated
 * from the record alone: what a write left behind is known by whether a sync that began after its
 * end succeeded. Any thread; one lock.
 */
#ifndef UBIBLK_TEST_CRASH_RECORDER_H
#define UBIBLK_TEST_CRASH_RECORDER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

enum crash_file { CRASH_FILE_BASE, CRASH_FILE_METADATA, CRASH_FILE_COUNT, CRASH_FILE_NONE = -1 };

enum crash_event_kind {
    CRASH_WRITE_BEGIN,
    CRASH_WRITE_END,
    CRASH_SYNC_BEGIN,
    CRASH_SYNC_END,
    CRASH_MARK, /* the test's own: detail is its number */
};

/* Java reads arrays of this (CrashRecord): eight 64-bit words in native order. */
struct crash_event {
    int64_t kind;
    int64_t file;
    int64_t id;          /* of begin and end alike */
    int64_t byte_offset; /* of writes */
    int64_t byte_len;
    int64_t data_offset; /* where the bytes are in the record's data */
    int64_t result;      /* of ends: 0 or -errno */
    int64_t detail;      /* of writes: 1 when durable by itself; of marks: the number */
};

/* Begins a new record of these two files. Failures are drawn from seed. */
void crash_recorder_begin(const char *base_path, const char *metadata_path, uint64_t seed);

/* From here on nothing is recorded or made to fail; the record stays until the next begin. */
void crash_recorder_end(void);

/* How many of a thousand writes and syncs fail from here on. */
void crash_recorder_fail(enum crash_file file, uint32_t writes_per_mille, uint32_t syncs_per_mille);

/* Until the end of this record the library is told of success when a sync is made to fail. */
void crash_recorder_hide_failures(void);

void crash_recorder_mark(int64_t number);

/* The record so far, borrowed until the next begin; only after end. */
const struct crash_event *crash_recorder_events(uint64_t *count);
const uint8_t *crash_recorder_data(uint64_t *byte_len);

/* --- for the recording engine ----------------------------------------------------------------- */

/* The recorded file behind a descriptor, or CRASH_FILE_NONE. */
enum crash_file crash_recorder_file_of(int fd);

/* Records the beginning; *fault is 0 or the -errno with which it shall fail, not carried out.
 * Returns its id. */
int64_t crash_recorder_write_begins(enum crash_file file, const struct iovec *iov, int iov_count,
                                    uint64_t byte_offset, bool durable, int *fault);
int64_t crash_recorder_sync_begins(enum crash_file file, int *fault);
void crash_recorder_ends(enum crash_event_kind kind, enum crash_file file, int64_t id, int result);

/* What the library is told when a sync shall fail with fault. */
int crash_recorder_told(int fault);

/* Between true and false the calling thread's system calls are not recorded: the engine that makes
 * them has done so. */
void crash_recorder_inside(bool inside);

#endif
