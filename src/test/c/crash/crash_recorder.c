/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * The end of something that failed is written down late: with the next call of the same thread. The
 * core learns of a failure a moment after it happened, and another thread must not seem to have had
 * time to learn of it in that moment. What begins before the failure is written down overlaps it.
 */
#include "crash_recorder.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "support/test_scale.h"

ssize_t __real_pwrite(int fd, const void *bytes, size_t byte_len, off_t offset);
ssize_t __wrap_pwrite(int fd, const void *bytes, size_t byte_len, off_t offset);
int __real_fdatasync(int fd);
int __wrap_fdatasync(int fd);
int __real_fsync(int fd);
int __wrap_fsync(int fd);

struct recorded_file {
    struct stat status;
    uint32_t writes_per_mille;
    uint32_t syncs_per_mille;
};

static struct {
    pthread_mutex_t lock;
    bool active;
    bool hide_failures;
    uint64_t number; /* of the record */
    struct recorded_file files[CRASH_FILE_COUNT];
    struct test_random random;
    struct crash_event *events;
    uint64_t event_count;
    uint64_t event_capacity;
    uint8_t *data;
    uint64_t data_byte_len;
    uint64_t data_capacity;
    int64_t next_id;
} recorder = {.lock = PTHREAD_MUTEX_INITIALIZER};

/* Ends of one batch that an engine hands out. */
enum { FAILED_ENDS_MAX = 64 };

static _Thread_local struct {
    bool inside;            /* an engine that records what it does itself */
    uint64_t record_number; /* of the record that the failed ends belong to */
    uint32_t failed_count;
    struct crash_event failed_ends[FAILED_ENDS_MAX];
} own;

void crash_recorder_begin(const char *base_path, const char *metadata_path, uint64_t seed)
{
    const char *paths[CRASH_FILE_COUNT] = {base_path, metadata_path};
    pthread_mutex_lock(&recorder.lock);
    for (int file = 0; file < CRASH_FILE_COUNT; file++) {
        recorder.files[file] = (struct recorded_file){0};
        int result = stat(paths[file], &recorder.files[file].status);
        assert(result == 0);
    }
    recorder.event_count = recorder.data_byte_len = 0;
    recorder.next_id = 1;
    recorder.number++;
    recorder.hide_failures = false;
    recorder.random.state = seed;
    recorder.active = true;
    pthread_mutex_unlock(&recorder.lock);
}

void crash_recorder_end(void)
{
    pthread_mutex_lock(&recorder.lock);
    recorder.active = false;
    pthread_mutex_unlock(&recorder.lock);
}

void crash_recorder_fail(enum crash_file file, uint32_t writes_per_mille, uint32_t syncs_per_mille)
{
    pthread_mutex_lock(&recorder.lock);
    recorder.files[file].writes_per_mille = writes_per_mille;
    recorder.files[file].syncs_per_mille = syncs_per_mille;
    pthread_mutex_unlock(&recorder.lock);
}

void crash_recorder_hide_failures(void)
{
    pthread_mutex_lock(&recorder.lock);
    recorder.hide_failures = true;
    pthread_mutex_unlock(&recorder.lock);
}

int crash_recorder_told(int fault)
{
    pthread_mutex_lock(&recorder.lock);
    int told = recorder.hide_failures ? 0 : fault;
    pthread_mutex_unlock(&recorder.lock);
    return told;
}

const struct crash_event *crash_recorder_events(uint64_t *count)
{
    *count = recorder.event_count;
    return recorder.events;
}

const uint8_t *crash_recorder_data(uint64_t *byte_len)
{
    *byte_len = recorder.data_byte_len;
    return recorder.data;
}

enum crash_file crash_recorder_file_of(int fd)
{
    struct stat status;
    if (fstat(fd, &status) != 0) {
        return CRASH_FILE_NONE;
    }
    for (int file = 0; file < CRASH_FILE_COUNT; file++) {
        const struct stat *known = &recorder.files[file].status;
        if (known->st_dev == status.st_dev && known->st_ino == status.st_ino) {
            return (enum crash_file)file;
        }
    }
    return CRASH_FILE_NONE;
}

/* Grows an array so that it has room for more parts; aborts when out of memory. */
static void *make_room(void *array, uint64_t *capacity, uint64_t needed, size_t size)
{
    if (needed <= *capacity) {
        return array;
    }
    *capacity = needed * 2;
    array = realloc(array, *capacity * size);
    if (array == NULL) {
        abort();
    }
    return array;
}

/* Locked. */
static void record(struct crash_event event)
{
    recorder.events = make_room(recorder.events, &recorder.event_capacity, recorder.event_count + 1,
                                sizeof(*recorder.events));
    recorder.events[recorder.event_count++] = event;
}

/* Locked. */
static void settle(void)
{
    for (uint32_t i = 0; i < own.failed_count && own.record_number == recorder.number; i++) {
        record(own.failed_ends[i]);
    }
    own.failed_count = 0;
}

/* Locks, and returns whether what begins is to be recorded. */
static bool enter(enum crash_file file)
{
    pthread_mutex_lock(&recorder.lock);
    if (!recorder.active) {
        return false;
    }
    settle();
    return file != CRASH_FILE_NONE && !own.inside;
}

static void leave(void)
{
    pthread_mutex_unlock(&recorder.lock);
}

/* Locked. */
static int64_t record_data(const struct iovec *iov, int iov_count, int64_t *byte_len)
{
    int64_t offset = (int64_t)recorder.data_byte_len;
    for (int i = 0; i < iov_count; i++) {
        recorder.data = make_room(recorder.data, &recorder.data_capacity,
                                  recorder.data_byte_len + iov[i].iov_len, 1);
        memcpy(recorder.data + recorder.data_byte_len, iov[i].iov_base, iov[i].iov_len);
        recorder.data_byte_len += iov[i].iov_len;
    }
    *byte_len = (int64_t)recorder.data_byte_len - offset;
    return offset;
}

/* Locked. */
static int make_fault(uint32_t per_mille)
{
    bool fails = per_mille > 0 && test_random_below(&recorder.random, 1000) < per_mille;
    return fails ? -EIO : 0;
}

int64_t crash_recorder_write_begins(enum crash_file file, const struct iovec *iov, int iov_count,
                                    uint64_t byte_offset, bool durable, int *fault)
{
    int64_t id = 0;
    *fault = 0;
    if (enter(file)) {
        id = recorder.next_id++;
        *fault = make_fault(recorder.files[file].writes_per_mille);
        struct crash_event event = {.kind = CRASH_WRITE_BEGIN,
                                    .file = file,
                                    .id = id,
                                    .byte_offset = (int64_t)byte_offset,
                                    .detail = durable};
        event.data_offset = record_data(iov, iov_count, &event.byte_len);
        record(event);
    }
    leave();
    return id;
}

int64_t crash_recorder_sync_begins(enum crash_file file, int *fault)
{
    int64_t id = 0;
    *fault = 0;
    if (enter(file)) {
        id = recorder.next_id++;
        *fault = make_fault(recorder.files[file].syncs_per_mille);
        record((struct crash_event){.kind = CRASH_SYNC_BEGIN, .file = file, .id = id});
    }
    leave();
    return id;
}

static void end_failed(struct crash_event event)
{
    assert(own.failed_count < FAILED_ENDS_MAX);
    own.failed_ends[own.failed_count++] = event;
    own.record_number = recorder.number;
}

void crash_recorder_ends(enum crash_event_kind kind, enum crash_file file, int64_t id, int result)
{
    struct crash_event event = {.kind = kind, .file = file, .id = id, .result = result};
    pthread_mutex_lock(&recorder.lock);
    if (recorder.active && id != 0 && result == 0) {
        record(event);
    } else if (recorder.active && id != 0) {
        end_failed(event);
    }
    leave();
}

void crash_recorder_mark(int64_t number)
{
    pthread_mutex_lock(&recorder.lock);
    if (recorder.active) {
        settle();
        record((struct crash_event){.kind = CRASH_MARK, .file = CRASH_FILE_NONE, .detail = number});
    }
    leave();
}

void crash_recorder_inside(bool inside)
{
    pthread_mutex_lock(&recorder.lock);
    if (recorder.active) {
        settle();
    }
    leave();
    own.inside = inside;
}

ssize_t __wrap_pwrite(int fd, const void *bytes, size_t byte_len, off_t offset)
{
    const struct iovec iov = {.iov_base = (void *)(uintptr_t)bytes, .iov_len = byte_len};
    enum crash_file file = crash_recorder_file_of(fd);
    int fault;
    int64_t id = crash_recorder_write_begins(file, &iov, 1, (uint64_t)offset, false, &fault);
    ssize_t written = -1;
    if (fault == 0) {
        written = __real_pwrite(fd, bytes, byte_len, offset);
        /* The record has the whole write; tests are made where it does not fail by itself. */
        assert(written == (ssize_t)byte_len);
    }
    crash_recorder_ends(CRASH_WRITE_END, file, id, fault);
    errno = -fault;
    return written;
}

static int recorded_sync(int fd, int (*sync)(int))
{
    enum crash_file file = crash_recorder_file_of(fd);
    int fault;
    int64_t id = crash_recorder_sync_begins(file, &fault);
    if (fault == 0) {
        int result = sync(fd);
        assert(result == 0);
    }
    crash_recorder_ends(CRASH_SYNC_END, file, id, fault);
    errno = -crash_recorder_told(fault);
    return errno == 0 ? 0 : -1;
}

int __wrap_fdatasync(int fd)
{
    return recorded_sync(fd, __real_fdatasync);
}

int __wrap_fsync(int fd)
{
    return recorded_sync(fd, __real_fsync);
}
