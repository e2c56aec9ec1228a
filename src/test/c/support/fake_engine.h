/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Engines for tests, made outside io/ on the same vtable.
 *
 * The fake engine does nothing by itself: ops are recorded in the order of prep and, once
 * submitted, complete at the next reap, or when the test says so (hold), in any order, with any
 * errno. With fds it also carries them out (pread, pwrite, fdatasync) at the moment of completion.
 * A sleep with nothing to report aborts for a timeout of UINT64_MAX (the code under test would
 * hang) and -ETIME at once for all others: no test sleeps. Watched fds are looked at
 * with poll and read. Commands (IO_COMMAND) complete only one by one, when the test says so: it is
 * the driver.
 *
 * One thread, as any engine. Ends with io_engine_destroy(&fake->base).
 */
#ifndef UBIBLK_TEST_SUPPORT_FAKE_ENGINE_H
#define UBIBLK_TEST_SUPPORT_FAKE_ENGINE_H

#include <stdbool.h>
#include <stdint.h>

#include "io/io_engine_ops.h"
#include "io/op_list.h"

enum { FAKE_FAULT_MAX = 16 };

/* One op as it was prepared. */
struct fake_record {
    struct io_op *op;
    enum io_opcode opcode;
    uint8_t file;
    uint8_t flags;
    int32_t buffer_index;
    uint32_t iov_count;
    struct iovec iov_first; /* a copy of iov[0] */
    uint64_t byte_offset;
    uint64_t byte_len;
    uint32_t command;
    uint8_t argument[IO_COMMAND_BYTES];
    int32_t fault; /* 0, or how it will fail */
    bool submitted;
    bool completed;
    int32_t result;           /* once completed */
    uint64_t submit_number;   /* which submit took it, from 1 */
    uint64_t complete_number; /* in which place it completed, from 1 */
};

struct fake_fault {
    enum io_opcode opcode;
    uint64_t countdown; /* hits the op of that kind that brings it to 0 */
    int32_t result;
};

struct fake_engine {
    struct io_engine base;
    bool held;                   /* submitted ops stay until completed by the test */
    bool sleep_forever_ok;       /* a wait for ever with nothing to report returns -ETIME as well */
    struct fake_record *records; /* grows; valid until the next prep */
    uint32_t record_count;
    uint32_t record_capacity;
    uint64_t submit_count;
    uint64_t submit_useful_count; /* submits that took at least one op */
    uint64_t wait_count;
    uint64_t complete_count;
    int submit_result; /* returned by every submit and wait while not 0 */
    uint32_t depth;    /* asserted at prep */
    uint32_t fd_count; /* 0: ops complete without touching memory */
    int fds[IO_FILE_MAX];
    int watched_fds[IO_WATCH_MAX]; /* -1: free */
    uint32_t fired;
    uint32_t dropped_files; /* one bit per file */
    struct fake_fault faults[FAKE_FAULT_MAX];
    uint32_t fault_count;
    struct op_list done;        /* completed, not reaped */
    uint32_t submitted_records; /* records before it have been submitted */
    uint32_t first_pending;     /* records before it have completed */
};

/* Ops are carried out on fds (kept, not closed), or not at all when fd_count is 0. Returns owned.
 */
struct fake_engine *fake_engine_create(uint32_t depth, const int *fds, uint32_t fd_count);

/* From here on submitted ops wait for fake_engine_complete…; false lets go of all that wait. */
void fake_engine_hold(struct fake_engine *fake, bool held);

/* The nth (1: next) op of that kind from here on completes with result (-errno), not carried out.
 */
void fake_engine_fail(struct fake_engine *fake, enum io_opcode opcode, uint64_t nth,
                      int32_t result);

/* Submitted and not yet completed. */
uint32_t fake_engine_pending(const struct fake_engine *fake);

/* Record number of the nth (0: oldest) pending op; asserts that it exists. */
uint32_t fake_engine_pending_at(const struct fake_engine *fake, uint32_t nth);

/* Completes one record that is pending; result 0 carries it out, -errno does not. */
void fake_engine_complete(struct fake_engine *fake, uint32_t record, int32_t result);

/* Completes all that is pending but commands, oldest first or newest first. */
void fake_engine_complete_all(struct fake_engine *fake);
void fake_engine_complete_all_backwards(struct fake_engine *fake);

/* Sets the bit as if the watched fd had become readable. */
void fake_engine_fire(struct fake_engine *fake, uint32_t slot);

/* How many ops of that kind were prepared. */
uint32_t fake_engine_count(const struct fake_engine *fake, enum io_opcode opcode);

/* Forgets the records that are completed; none may be pending. */
void fake_engine_forget(struct fake_engine *fake);

#endif
