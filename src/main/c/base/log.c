/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * A guest can make its back end say something as often as it likes, by switching its cache mode or
 * breaking its ring and starting over. So lines below error are counted by the minute, and what is
 * too much is left out, with one line that says how much that was. Errors are few by nature (each
 * ends something for good) and must not be lost behind such noise.
 */
#include "log.h"

#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/clock.h"

#define MINUTE_NS UINT64_C(60000000000)

struct log {
    pthread_mutex_t mutex;
    pthread_cond_t filled;
    enum log_level level;
    uint32_t capacity;
    uint32_t head;
    uint32_t count;
    uint64_t dropped;  /* since the reader was told: the ring was full */
    uint64_t left_out; /* since the reader was told: too many in a minute */
    uint64_t minute_start_ns;
    uint32_t minute_lines;
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

/* The next free record, with its level set, or NULL when the ring is full. Under the mutex. */
static struct log_record *record_take(struct log *log, enum log_level level)
{
    if (log->count == log->capacity) {
        log->dropped++;
        return NULL;
    }
    struct log_record *record = &log->records[(log->head + log->count) % log->capacity];
    record->level = level;
    log->count++;
    pthread_cond_signal(&log->filled);
    return record;
}

static void describe_left_out(struct log *log, struct log_record *record)
{
    record->level = LOG_WARN;
    snprintf(record->message, sizeof(record->message),
             "%llu log lines were left out: more than %d in a minute",
             (unsigned long long)log->left_out, LOG_LINES_PER_MINUTE);
    log->left_out = 0;
}

/* Whether this minute has room for one more line below error. Under the mutex. */
static bool minute_has_room(struct log *log, uint64_t now_ns)
{
    if (now_ns - log->minute_start_ns >= MINUTE_NS) {
        log->minute_start_ns = now_ns;
        log->minute_lines = 0;
        struct log_record *record = log->left_out > 0 ? record_take(log, LOG_WARN) : NULL;
        if (record) {
            describe_left_out(log, record);
        }
    }
    if (log->minute_lines == LOG_LINES_PER_MINUTE) {
        log->left_out++;
        return false;
    }
    log->minute_lines++;
    return true;
}

void log_write(struct log *log, enum log_level level, const char *format, ...)
{
    if (!log || level > log->level) {
        return;
    }
    pthread_mutex_lock(&log->mutex);
    struct log_record *record = NULL;
    if (level == LOG_ERROR || minute_has_room(log, clock_now_ns())) {
        record = record_take(log, level);
    }
    if (record) {
        va_list args;
        va_start(args, format);
        vsnprintf(record->message, sizeof(record->message), format, args);
        va_end(args);
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
    } else if (log->closed && log->left_out > 0) {
        describe_left_out(log, record);
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
