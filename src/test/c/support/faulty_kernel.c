/* SPDX-License-Identifier: AGPL-3.0-only */
#include "support/faulty_kernel.h"

#include <errno.h>
#include <pthread.h>
#include <sys/uio.h>
#include <unistd.h>

#include "io/io_engine.h"
#include "support/cmocka_test.h"

enum { SECTOR = 512, EVENTS_MAX = 4096 };

/* Everything under the mutex; the queue and session threads of the back end use it. */
struct kernel {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    struct kernel_event events[EVENTS_MAX]; /* in the order in which the calls ended */
    uint32_t event_count, sync_calls;
    bool hold_writes; /* the next write waits until release */
    bool held;
    bool hold_completions;                   /* of either engine */
    int read_error, write_error, sync_error; /* 0, or what every call fails with */
    int retries;                             /* calls that fail with EINTR first */
    bool shorten;                            /* transfers end after one sector */
    bool stall;                              /* transfers return 0 */
};

static struct kernel kernel = {.mutex = PTHREAD_MUTEX_INITIALIZER,
                               .changed = PTHREAD_COND_INITIALIZER};

ssize_t __real_preadv2(int fd, const struct iovec *iov, int count, off_t offset, int flags);
ssize_t __real_pwritev2(int fd, const struct iovec *iov, int count, off_t offset, int flags);
int __real_fdatasync(int fd);
ssize_t __wrap_preadv2(int fd, const struct iovec *iov, int count, off_t offset, int flags);
ssize_t __wrap_pwritev2(int fd, const struct iovec *iov, int count, off_t offset, int flags);
int __wrap_fdatasync(int fd);
uint32_t __real_io_engine_reap(struct io_engine *engine, struct io_op **ops, uint32_t max);
uint32_t __wrap_io_engine_reap(struct io_engine *engine, struct io_op **ops, uint32_t max);

static void record(enum kernel_event_kind kind, off_t offset, bool durable)
{
    assert_true(kernel.event_count < EVENTS_MAX);
    kernel.events[kernel.event_count++] = (struct kernel_event){kind, offset, durable};
    pthread_cond_broadcast(&kernel.changed);
}

/* Whether the call is to fail, with errno set, or to transfer nothing. */
static bool fails(int error, ssize_t *result)
{
    if (kernel.retries > 0) {
        kernel.retries--;
        error = EINTR;
    }
    *result = kernel.stall ? 0 : -1;
    errno = error;
    return error != 0 || kernel.stall;
}

/* The first sector of a transfer: as short as O_DIRECT can make it. */
static struct iovec part_of(const struct iovec *iov)
{
    return (struct iovec){iov->iov_base, SECTOR};
}

ssize_t __wrap_preadv2(int fd, const struct iovec *iov, int count, off_t offset, int flags)
{
    struct iovec part = part_of(iov);
    ssize_t result;
    bool shorten;

    pthread_mutex_lock(&kernel.mutex);
    shorten = kernel.shorten;
    if (fails(kernel.read_error, &result)) {
        int error = errno;

        pthread_mutex_unlock(&kernel.mutex);
        errno = error;
        return result;
    }
    pthread_mutex_unlock(&kernel.mutex);
    return shorten ? __real_preadv2(fd, &part, 1, offset, flags)
                   : __real_preadv2(fd, iov, count, offset, flags);
}

ssize_t __wrap_pwritev2(int fd, const struct iovec *iov, int count, off_t offset, int flags)
{
    struct iovec part = part_of(iov);
    ssize_t result;
    int error;

    pthread_mutex_lock(&kernel.mutex);
    if (kernel.hold_writes) {
        kernel.hold_writes = false;
        kernel.held = true;
        pthread_cond_broadcast(&kernel.changed);
        while (kernel.held) {
            pthread_cond_wait(&kernel.changed, &kernel.mutex);
        }
    }
    if (!fails(kernel.write_error, &result)) {
        result = kernel.shorten ? __real_pwritev2(fd, &part, 1, offset, flags)
                                : __real_pwritev2(fd, iov, count, offset, flags);
    }
    error = errno;
    if (result > 0) {
        record(KERNEL_WRITE, offset, (flags & RWF_DSYNC) != 0);
    }
    pthread_mutex_unlock(&kernel.mutex);
    errno = error;
    return result;
}

int __wrap_fdatasync(int fd)
{
    int result = 0, error;

    pthread_mutex_lock(&kernel.mutex);
    error = kernel.sync_error;
    kernel.sync_calls++;
    if (error == 0) {
        result = __real_fdatasync(fd);
        record(KERNEL_SYNC, 0, false);
    }
    pthread_mutex_unlock(&kernel.mutex);
    if (error != 0) {
        errno = error;
        result = -1;
    }
    return result;
}

/* While completions are held, every request that was issued stays in flight. */
uint32_t __wrap_io_engine_reap(struct io_engine *engine, struct io_op **ops, uint32_t max)
{
    bool hold;

    pthread_mutex_lock(&kernel.mutex);
    hold = kernel.hold_completions;
    pthread_mutex_unlock(&kernel.mutex);
    return hold ? 0 : __real_io_engine_reap(engine, ops, max);
}

void kernel_hold_completions(bool hold)
{
    pthread_mutex_lock(&kernel.mutex);
    kernel.hold_completions = hold;
    pthread_mutex_unlock(&kernel.mutex);
}

void kernel_hold_next_write(void)
{
    pthread_mutex_lock(&kernel.mutex);
    kernel.hold_writes = true;
    pthread_mutex_unlock(&kernel.mutex);
}

void kernel_await_held(void)
{
    pthread_mutex_lock(&kernel.mutex);
    while (!kernel.held) {
        pthread_cond_wait(&kernel.changed, &kernel.mutex);
    }
    pthread_mutex_unlock(&kernel.mutex);
}

void kernel_release_write(void)
{
    pthread_mutex_lock(&kernel.mutex);
    kernel.held = false;
    pthread_cond_broadcast(&kernel.changed);
    pthread_mutex_unlock(&kernel.mutex);
}

void kernel_set_errors(int read_error, int write_error, int sync_error)
{
    pthread_mutex_lock(&kernel.mutex);
    kernel.read_error = read_error;
    kernel.write_error = write_error;
    kernel.sync_error = sync_error;
    pthread_mutex_unlock(&kernel.mutex);
}

void kernel_set_transfers(bool shorten, bool stall, int retries)
{
    pthread_mutex_lock(&kernel.mutex);
    kernel.shorten = shorten;
    kernel.stall = stall;
    kernel.retries = retries;
    pthread_mutex_unlock(&kernel.mutex);
}

void kernel_reset(void)
{
    pthread_mutex_lock(&kernel.mutex);
    kernel.event_count = 0;
    kernel.sync_calls = 0;
    kernel.held = kernel.hold_writes = false;
    pthread_mutex_unlock(&kernel.mutex);
    kernel_set_transfers(false, false, 0);
    kernel_hold_completions(false);
    kernel_set_errors(0, 0, 0);
}

uint32_t kernel_event_count(void)
{
    uint32_t count;

    pthread_mutex_lock(&kernel.mutex);
    count = kernel.event_count;
    pthread_mutex_unlock(&kernel.mutex);
    return count;
}

struct kernel_event kernel_event_at(uint32_t index)
{
    struct kernel_event event;

    pthread_mutex_lock(&kernel.mutex);
    event = kernel.events[index];
    pthread_mutex_unlock(&kernel.mutex);
    return event;
}

uint32_t kernel_sync_calls(void)
{
    uint32_t calls;

    pthread_mutex_lock(&kernel.mutex);
    calls = kernel.sync_calls;
    pthread_mutex_unlock(&kernel.mutex);
    return calls;
}
