/* SPDX-License-Identifier: AGPL-3.0-only */
#include "log.h"

#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

struct log {
    pthread_mutex_t mutex;
    pthread_cond_t filled;
    enum log_level level;
    uint32_t capacity;
    uint32_t head;
    uint32_t count;
    uint64_t dropped;
    bool closed;
    struct log_record records[];
};

struct log *log_create(enum log_level level, uint32_t capacity)
{
    struct log *log = calloc(1, sizeof(*log) + capacity * sizeof(log->records[0]));
    if (!log) {
        return NULL;
    }
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&log->filled, &attributes);
    pthread_condattr_destroy(&attributes);
    pthread_mutex_init(&log->mutex, NULL);
    log->level = level;
    log->capacity = capacity;
    return log;
}

void log_destroy(struct log *log)
{
    if (!log) {
        return;
    }
    pthread_cond_destroy(&log->filled);
    pthread_mutex_destroy(&log->mutex);
    free(log);
}

void log_write(struct log *log, enum log_level level, const char *format, ...)
{
    if (!log || level > log->level) {
        return;
    }
    pthread_mutex_lock(&log->mutex);
    if (log->count == log->capacity) {
        log->dropped++;
    } else {
        struct log_record *record = &log->records[(log->head + log->count) % log->capacity];
        record->level = level;
        va_list args;
        va_start(args, format);
        vsnprintf(record->message, sizeof(record->message), format, args);
        va_end(args);
        log->count++;
        pthread_cond_signal(&log->filled);
    }
    pthread_mutex_unlock(&log->mutex);
}

static void log_wait_filled(struct log *log, int timeout_ms)
{
    struct timespec deadline;
    clock_gettime(CLOCK_MONOTONIC, &deadline);
    if (timeout_ms > 0) {
        deadline.tv_sec += timeout_ms / 1000;
        deadline.tv_nsec += (long)(timeout_ms % 1000) * 1000000;
        if (deadline.tv_nsec >= 1000000000) {
            deadline.tv_sec++;
            deadline.tv_nsec -= 1000000000;
        }
    }
    while (log->count == 0 && log->dropped == 0 && !log->closed) {
        if (timeout_ms < 0) {
            pthread_cond_wait(&log->filled, &log->mutex);
        } else if (pthread_cond_timedwait(&log->filled, &log->mutex, &deadline) == ETIMEDOUT) {
            return;
        }
    }
}

int log_wait(struct log *log, struct log_record *record, int timeout_ms)
{
    pthread_mutex_lock(&log->mutex);
    log_wait_filled(log, timeout_ms);
    int result = 1;
    if (log->count > 0) {
        *record = log->records[log->head];
        log->head = (log->head + 1) % log->capacity;
        log->count--;
    } else if (log->dropped > 0) {
        record->level = LOG_WARN;
        snprintf(record->message, sizeof(record->message),
                 "%llu log lines were dropped: more than %u waited",
                 (unsigned long long)log->dropped, log->capacity);
        log->dropped = 0;
    } else {
        result = log->closed ? -ESHUTDOWN : 0;
    }
    pthread_mutex_unlock(&log->mutex);
    return result;
}

void log_close(struct log *log)
{
    pthread_mutex_lock(&log->mutex);
    log->closed = true;
    pthread_cond_broadcast(&log->filled);
    pthread_mutex_unlock(&log->mutex);
}
