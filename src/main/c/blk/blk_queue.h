/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * The request path of one queue: from a parsed request to its result. Knows neither vhost nor ublk.
 *
 * The transport pops a request into the slot of its head or tag, fills it in and starts it. After
 * each batch it submits once, then answers the driver for those that ended:
 *
 *     for each that was popped:
 *         request = blk_queue_slot(queue, head), filled in; blk_queue_start(queue, request, now)
 *     blk_queue_submit(queue, now)                  one system call for the batch
 *     blk_queue_reap(queue, now)
 *     while ((request = blk_queue_next_done(queue)))
 *         answer; blk_queue_release(queue, request)
 *
 * Nothing here allocates after create, takes a lock, logs a request or enters the JVM. All calls
 * come from the thread that created the queue.
 */
#ifndef UBIBLK_BLK_BLK_QUEUE_H
#define UBIBLK_BLK_BLK_QUEUE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "blk/blk_device.h"
#include "blk/blk_request.h"
#include "io/io_engine.h"

struct blk_queue;

/* The engine's watch slots: two for the transport's eventfds, one for published stripes. */
enum { BLK_QUEUE_WATCH_WAKE = 0, BLK_QUEUE_WATCH_KICK = 1, BLK_QUEUE_WATCH_STRIPES = 2 };

/* Between two looks of a transport at an engine that has failed and still owes transfers. */
enum { BLK_QUEUE_FAILED_PAUSE_MS = 10 };

/*
 * Makes queue number index of the device with its own engine and bounce buffers. device is kept
 * until destroy. Returns 0 with *out owned, or -errno with a sentence.
 */
int blk_queue_create(struct blk_device *device, uint32_t index, struct blk_queue **out,
                     struct error *error);

/*
 * The same with room for one command per slot, which go to the driver behind command_fd (kept until
 * destroy) in the same system calls as transfers. Needs io_uring: -ENOTSUP with a sentence where
 * the device has another engine.
 */
int blk_queue_create_with_commands(struct blk_device *device, uint32_t index, int command_fd,
                                   struct blk_queue **out, struct error *error);

/* The same on an engine that the caller made (taken on success), for tests and benchmarks; the
 * image of a lazy disk is its FILE_IMAGE, commands go to its FILE_COMMAND. */
int blk_queue_create_on(struct blk_device *device, uint32_t index, struct io_engine *engine,
                        struct blk_queue **out, struct error *error);

/* Nothing may be in progress (asserted). NULL is fine. */
void blk_queue_destroy(struct blk_queue *queue);

/* The slot of a head or tag below the device's queue_size. Its state says whether it is in use. */
struct blk_request *blk_queue_slot(struct blk_queue *queue, uint32_t index);

/* The large segment array that belongs to a slot, BLK_QUEUE_ARENA_SEGMENTS long; touched only for
 * large requests. */
enum { BLK_QUEUE_ARENA_SEGMENTS = BLK_REQUEST_SEGMENTS_MAX + 32 };
struct iovec *blk_queue_arena(struct blk_queue *queue, uint32_t index);

/*
 * Takes a request whose op, sector, sector_count, iov, iov_count, byte_len and, where the transport
 * has that, fua are set; the segments stay untouched by others until it is released. Range,
 * alignment and the device's state are checked here, once.
 */
void blk_queue_start(struct blk_queue *queue, struct blk_request *request, uint64_t now_ns);

/* Ends a request that is not to be started: result 0 or -errno, byte_len bytes transferred. */
void blk_queue_finish(struct blk_queue *queue, struct blk_request *request, int result,
                      uint64_t now_ns);

/* Gives the engine whatever can be given, requests whose stripes have come included; it goes with
 * the next submit or wait. */
void blk_queue_issue(struct blk_queue *queue, uint64_t now_ns);

/* Issues, and submits all that was prepared. 0, or -errno when the engine is unusable. */
int blk_queue_submit(struct blk_queue *queue, uint64_t now_ns);

/*
 * Prepares a command whose command and argument are set; the rest of op is filled in here. The
 * caller owns op and lends it until blk_queue_next_command hands it back. One per slot at a time.
 */
void blk_queue_command(struct blk_queue *queue, struct io_op *op);

/* A command that was collected by blk_queue_reap, oldest first, with the driver's result; or NULL.
 */
struct io_op *blk_queue_next_command(struct blk_queue *queue);

/* Collects completions; returns how many the engine had. Does not sleep. */
uint32_t blk_queue_reap(struct blk_queue *queue, uint64_t now_ns);

/* An ended request in completion order, or NULL. Its result and byte_len say how it ended. */
struct blk_request *blk_queue_next_done(struct blk_queue *queue);

/* The driver has been answered: the slot is free again. */
void blk_queue_release(struct blk_queue *queue, struct blk_request *request);

/* Requests between start and release. */
uint32_t blk_queue_busy(const struct blk_queue *queue);

/* Requests that wait for a stripe. They are busy, too. */
uint32_t blk_queue_held(const struct blk_queue *queue);

/* Takes a request back that waits for a stripe: its slot is free then, as if it had never been
 * started. False when it does not wait for one. */
bool blk_queue_withdraw(struct blk_queue *queue, struct blk_request *request);

/* Ends every request that waits for a stripe with -ETIMEDOUT; with the next submit. */
void blk_queue_expire_held(struct blk_queue *queue);

/* Leaves out what the engine has not been given yet of requests, where that is more than the
 * device's seg_size_max times seg_count_max bytes, which no driver needs: they end with -ETIMEDOUT
 * once what it has been given has ended. False when there is none such; with the next submit.
 */
bool blk_queue_expire_oversized(struct blk_queue *queue);

/* When the first request that waits for a stripe has waited long enough; UINT64_MAX: never. */
uint64_t blk_queue_deadline_ns(const struct blk_queue *queue);

/* The eventfd that says that stripes were published, for a thread that cannot sleep in the engine;
 * -1: none. Borrowed. */
int blk_queue_stripes_fd(const struct blk_queue *queue);

/* Writes in progress that may be volatile when they complete (not durable ones). */
uint32_t blk_queue_volatile_writes(const struct blk_queue *queue);

/* As io_engine_watch, _unwatch, _fired and _wait; wait also submits what was prepared. */
int blk_queue_watch(struct blk_queue *queue, uint32_t slot, int fd);
void blk_queue_unwatch(struct blk_queue *queue, uint32_t slot);
uint32_t blk_queue_fired(struct blk_queue *queue);
int blk_queue_wait(struct blk_queue *queue, uint64_t timeout_ns);

#endif
