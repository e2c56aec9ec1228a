/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * A ring belongs to the thread that made it, so the thread itself opens what it needs, and tells
 * the one that waits how that went.
 */
#include "queue_thread.h"

#include <errno.h>
#include <stdio.h>

#include "base/thread.h"

static int first_cpu(const cpu_set_t *cpus)
{
    int cpu = 0;
    while (cpu < CPU_SETSIZE && !CPU_ISSET((size_t)cpu, cpus))
        cpu++;
    return cpu;
}

static void pin_thread(const struct queue_thread_params *params)
{
    if (!params->cpus)
        return;
    int failure = pthread_setaffinity_np(pthread_self(), sizeof(*params->cpus), params->cpus);
    if (failure) {
        log_write(params->log, LOG_WARN, "queue %u cannot be pinned to CPU %d%s: errno %d",
                  params->index, first_cpu(params->cpus),
                  CPU_COUNT(params->cpus) > 1 ? " and others" : "", failure);
    }
}

static void *thread_main(void *argument)
{
    struct queue_thread *thread = argument;
    const struct queue_thread_params params = thread->params;
    pin_thread(&params);
    int result = params.open(params.queue, &thread->error);
    thread->result = result;
    sem_post(&thread->opened);
    if (result == 0)
        params.run(params.queue);
    params.close(params.queue);
    return NULL;
}

int queue_thread_start(struct queue_thread *thread, const struct queue_thread_params *params,
                       struct error *error)
{
    char name[16];
    *thread = (struct queue_thread){.params = *params};
    sem_init(&thread->opened, 0, 0);
    snprintf(name, sizeof(name), "queue-%u", params->index);
    int result = thread_start(&thread->thread, name, thread_main, thread);
    if (result < 0) {
        sem_destroy(&thread->opened);
        return error_set_errno(error, result, "queue %u: cannot start its thread", params->index);
    }
    while (sem_wait(&thread->opened) < 0 && errno == EINTR)
        continue;
    if (thread->result == 0)
        return 0;
    result = thread->result;
    queue_thread_join(thread);
    if (error)
        *error = thread->error;
    return result;
}

void queue_thread_join(struct queue_thread *thread)
{
    pthread_join(thread->thread, NULL);
    sem_destroy(&thread->opened);
}
