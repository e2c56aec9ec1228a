/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * One ublk queue and its thread, from the first fetch until the driver has aborted every tag.
 *
 * All that the thread waits for is in the ring of its engine: requests from the driver, transfers,
 * fetched stripes, and the eventfd by which it is told to end. Nothing waits for a batch: a request
 * is started when its command has completed, whatever else is under way, and what is started,
 * committed and fetched in one round costs one system call.
 */
#ifndef UBIBLK_UBLK_UBLK_QUEUE_H
#define UBIBLK_UBLK_UBLK_QUEUE_H

#include <sched.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "blk/blk_device.h"

struct ublk_queue;

/* Borrowed by ublk_queue_create. */
struct ublk_queue_params {
    struct blk_device *device; /* kept until destroy */
    uint32_t q_id;
    uint32_t q_depth;      /* at most the device's queue_size */
    uint32_t buffer_bytes; /* the most data of one request, in whole pages */
    bool encoded;          /* commands go by their ioctl codes */
    int char_fd;           /* the device's character device; kept until destroy */
    int ended_fd;          /* an eventfd, signalled when the thread ends; kept until destroy */
    const cpu_set_t *cpus; /* where the thread may run; NULL: anywhere */
};

/*
 * Starts the thread and waits until its engine works and its tags have their buffers; it gives them
 * to the driver some time later. Returns 0 with *out owned, or -errno with a sentence.
 */
int ublk_queue_create(const struct ublk_queue_params *params, struct ublk_queue **out,
                      struct error *error);

/*
 * What waits for a stripe fails once deadline_ns (CLOCK_MONOTONIC) has passed, and whatever comes
 * later and would have to wait fails then, too. UINT64_MAX: there is no such limit, as at first.
 * Any thread.
 */
void ublk_queue_limit_waits(struct ublk_queue *queue, uint64_t deadline_ns);

/* Whether the thread has ended: every tag is gone, the engine failed, or the driver refused a
 * command. Any thread. */
bool ublk_queue_ended(const struct ublk_queue *queue);

/* Why it ended: 0 when the driver aborted its tags, else -errno; it may still have requests then,
 * for the next server. Of a queue that has ended. */
int ublk_queue_failure(const struct ublk_queue *queue);

/*
 * Waits for the thread's end and frees the queue. One that still has tags with the driver is told
 * to go without them: transfers end, nothing is committed, and the driver keeps the requests for
 * the next server. NULL is fine.
 */
void ublk_queue_destroy(struct ublk_queue *queue);

#endif
