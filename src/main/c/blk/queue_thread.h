/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * The thread of a queue, whatever its transport: pinned to its CPUs before it allocates anything,
 * and known to work before whoever starts it goes on.
 */
#ifndef UBIBLK_BLK_QUEUE_THREAD_H
#define UBIBLK_BLK_QUEUE_THREAD_H

#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <stdint.h>

#include "base/error.h"
#include "base/log.h"

/* Makes what the thread needs, on the thread. 0, or -errno with a sentence. Required. */
typedef int queue_open_fn(void *queue, struct error *error);

/* The thread's work, once open has returned 0; it ends with this. Required. */
typedef void queue_run_fn(void *queue);

/* Ends what open made, however far that came. On the thread, its last call. Required. */
typedef void queue_close_fn(void *queue);

/* Borrowed by queue_thread_start, but for queue and log, which are kept until the join. */
struct queue_thread_params {
    uint32_t index;
    const cpu_set_t *cpus; /* where it may run; NULL: anywhere. A failure to pin it is logged */
    struct log *log;
    queue_open_fn *open;
    queue_run_fn *run;
    queue_close_fn *close;
    void *queue; /* handed to these */
};

/* Owned by the caller. */
struct queue_thread {
    struct queue_thread_params params;
    pthread_t thread;
    sem_t opened;
    int result; /* of open */
    struct error error;
};

/* Starts the thread and waits until open has returned. Returns 0, or -errno with a sentence: there
 * is no thread then. */
int queue_thread_start(struct queue_thread *thread, const struct queue_thread_params *params,
                       struct error *error);

/* Waits for its end. */
void queue_thread_join(struct queue_thread *thread);

#endif
