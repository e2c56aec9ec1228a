/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Log lines on their way from C threads to the logging library in Java: a bounded ring of records.
 *
 * C has no logger of its own. A thread that has something to say writes one record; a Java thread
 * waits in log_wait and hands each record to the logger. When the ring is full the record is
 * counted and dropped: nobody waits for a logger. Lines below error are limited to
 * LOG_LINES_PER_MINUTE, since a guest can cause some of them at will. Cold paths only: connections,
 * negotiations, failures. Never per request, never key material.
 */
#ifndef UBIBLK_BASE_LOG_H
#define UBIBLK_BASE_LOG_H

#include <stdint.h>

enum log_level { LOG_ERROR = 0, LOG_WARN = 1, LOG_INFO = 2, LOG_DEBUG = 3 };

enum { LOG_RECORD_BYTES = 512, LOG_LINES_PER_MINUTE = 300 };

struct log_record {
    enum log_level level;
    char message[LOG_RECORD_BYTES];
};

struct log;

/* Returns owned, or NULL when out of memory. Records above level are not kept; capacity is in
 * records. */
struct log *log_create(enum log_level level, uint32_t capacity);

/* Ends the log; no thread may be in log_write or log_wait. NULL is fine. */
void log_destroy(struct log *log);

/* Adds one line. Any thread; holds a mutex for the copy of one record. A NULL log drops the line.
 */
void log_write(struct log *log, enum log_level level, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/*
 * Takes the oldest record. Waits up to timeout_ms (-1: for ever) for one.
 * Returns 1 with *record filled, 0 on timeout, -ESHUTDOWN after log_close once the ring is empty.
 * Lines that were dropped since the last call are reported as one warning; lines left out in a
 * minute as one warning in the next minute that has a line, or after log_close. One reader at a
 * time.
 */
int log_wait(struct log *log, struct log_record *record, int timeout_ms);

/* Wakes the reader for good: log_wait hands out what is left and then returns -ESHUTDOWN. Any
 * thread. */
void log_close(struct log *log);

#endif
