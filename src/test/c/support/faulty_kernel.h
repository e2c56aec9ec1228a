/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * The kernel as a back end on a file meets it, for tests that run one in their own process: what it
 * writes and syncs is recorded, and its calls are delayed, cut short and made to fail on request.
 * The test wraps preadv2, pwritev2, fdatasync and io_engine_reap; transfers of io_uring are not
 * seen, their completions can be held.
 *
 * There is one kernel per process. Any thread may call; the test is one beside those of the back
 * end.
 */
#ifndef UBIBLK_SUPPORT_FAULTY_KERNEL_H
#define UBIBLK_SUPPORT_FAULTY_KERNEL_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

enum kernel_event_kind { KERNEL_WRITE, KERNEL_SYNC };

/* A write or sync that succeeded. */
struct kernel_event {
    enum kernel_event_kind kind;
    off_t offset;
    bool durable; /* RWF_DSYNC */
};

/* Forgets all events and every request. */
void kernel_reset(void);

/* While completions are held, every request that was issued stays in flight, on either engine. */
void kernel_hold_completions(bool hold);

/* The next write waits in its call until it is released. */
void kernel_hold_next_write(void);
void kernel_await_held(void);
void kernel_release_write(void);

/* What every call fails with from here on; 0: it does not. */
void kernel_set_errors(int read_error, int write_error, int sync_error);

/* How transfers go from here on: in pieces of one sector, not at all, or after so many calls that
 * are interrupted. */
void kernel_set_transfers(bool shorten, bool stall, int retries);

/* Events in the order in which the calls ended, from 0. */
uint32_t kernel_event_count(void);
struct kernel_event kernel_event_at(uint32_t index);

/* Calls of fdatasync, failed ones included. */
uint32_t kernel_sync_calls(void);

#endif
