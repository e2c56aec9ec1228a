/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * A queue's thread with its real engine, and a driver of the test's own behind its commands. The
 * character device is a memory file that has the driver's descriptors where the kernel maps them.
 */
/* wrap: io_engine_create io_engine_wait io_engine_watch eventfd pthread_create mmap prctl */
#include "ublk/ublk_queue.h"

#include "support/cmocka_test.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/event.h"
#include "support/driver_engine.h"
#include "support/lazy_device.h"
#include "ublk/ublk_uapi.h"

enum { DEPTH = 4, Q_ID = 1, STRIPES = 4, WAIT_MS = 20000, BUFFER_BYTES = 65536 };

struct fixture {
    struct lazy_device *lazy;
    struct ublk_queue *queue;
    struct ublksrv_io_desc *iods;
    int char_fd;
    int ended_fd;
};

static struct driver driver;
static _Atomic int create_result;
static _Atomic int watch_result;
static _Atomic int wait_result;
static bool eventfd_fails;
static bool thread_fails;
static _Atomic bool mapped, map_fails; /* the driver's descriptors */
static _Atomic int io_flusher;         /* what the kernel says of the thread */

int __real_io_engine_create(const struct io_engine_params *params, struct io_engine **out,
                            struct error *error);
int __wrap_io_engine_create(const struct io_engine_params *params, struct io_engine **out,
                            struct error *error);
int __real_io_engine_wait(struct io_engine *engine, uint64_t timeout_ns);
int __wrap_io_engine_wait(struct io_engine *engine, uint64_t timeout_ns);
int __real_io_engine_watch(struct io_engine *engine, uint32_t slot, int fd);
int __wrap_io_engine_watch(struct io_engine *engine, uint32_t slot, int fd);
int __real_eventfd(unsigned count, int flags);
int __wrap_eventfd(unsigned count, int flags);
int __real_pthread_create(pthread_t *thread, const pthread_attr_t *attributes,
                          void *(*main)(void *), void *argument);
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attributes,
                          void *(*main)(void *), void *argument);
void *__real_mmap(void *address, size_t byte_len, int protection, int flags, int fd, off_t offset);
void *__wrap_mmap(void *address, size_t byte_len, int protection, int flags, int fd, off_t offset);
int __wrap_prctl(int option, ...);

int __wrap_prctl(int option, ...)
{
    return option == PR_GET_IO_FLUSHER ? atomic_load(&io_flusher) : -1;
}

int __wrap_io_engine_create(const struct io_engine_params *params, struct io_engine **out,
                            struct error *error)
{
    struct io_engine *inner = NULL;
    int result = atomic_load(&create_result);
    if (result < 0)
        return error_set(error, result, "no engine");
    result = __real_io_engine_create(params, &inner, error);
    if (result == 0)
        *out = driver_engine_create(&driver, inner);
    return result;
}

int __wrap_io_engine_wait(struct io_engine *engine, uint64_t timeout_ns)
{
    int result = atomic_load(&wait_result);
    if (result == 0)
        return __real_io_engine_wait(engine, timeout_ns);
    io_engine_submit(engine); /* an engine that fails gives every op back */
    return result;
}

int __wrap_io_engine_watch(struct io_engine *engine, uint32_t slot, int fd)
{
    int result = slot == 0 ? atomic_load(&watch_result) : 0;
    return result < 0 ? result : __real_io_engine_watch(engine, slot, fd);
}

int __wrap_eventfd(unsigned count, int flags)
{
    errno = EMFILE;
    return eventfd_fails ? -1 : __real_eventfd(count, flags);
}

int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attributes,
                          void *(*main)(void *), void *argument)
{
    return thread_fails ? EAGAIN : __real_pthread_create(thread, attributes, main, argument);
}

void *__wrap_mmap(void *address, size_t byte_len, int protection, int flags, int fd, off_t offset)
{
    if (flags == (MAP_SHARED | MAP_POPULATE) && protection == PROT_READ) {
        atomic_store(&mapped, true);
        errno = ENOMEM;
        if (atomic_load(&map_fails))
            return MAP_FAILED;
    }
    return __real_mmap(address, byte_len, protection, flags, fd, offset);
}

static int create_number(struct fixture *f, uint32_t q_id, struct error *error)
{
    cpu_set_t cpus;
    pthread_getaffinity_np(pthread_self(), sizeof(cpus), &cpus);
    const struct ublk_queue_params params = {
        .device = f->lazy->device,
        .q_id = q_id,
        .q_depth = DEPTH,
        .buffer_bytes = BUFFER_BYTES,
        .encoded = true,
        .char_fd = f->char_fd,
        .ended_fd = f->ended_fd,
        .cpus = &cpus,
    };
    return ublk_queue_create(&params, &f->queue, error);
}

static int create(struct fixture *f, struct error *error)
{
    return create_number(f, Q_ID, error);
}

/* Where the kernel has the descriptors of a queue, page size 4096. */
static void make_char_device(struct fixture *f)
{
    const off_t offset = Q_ID * 24 * 4096;
    f->char_fd = memfd_create("ublkc", MFD_CLOEXEC);
    assert_int_equal(0, ftruncate(f->char_fd, offset + 4096));
    f->iods = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, f->char_fd, offset);
    assert_true(f->iods != MAP_FAILED);
}

static int setup(void **state)
{
    const struct lazy_device_params params = {
        .device = {.queue_size = DEPTH, .queue_count = 2, .byte_len = STRIPES * LAZY_STRIPE_BYTES}};
    struct fixture *f = calloc(1, sizeof(*f));
    assert_non_null(f);
    driver_init(&driver);
    f->lazy = lazy_device_create(&params);
    f->lazy->device->private_memory = true;
    atomic_store(&mapped, false);
    for (uint32_t stripe = 0; stripe < STRIPES - 1; stripe++) {
        lazy_device_fetch(f->lazy, stripe);
        lazy_device_commit(f->lazy, stripe);
    }
    f->ended_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    make_char_device(f);
    *state = f;
    return 0;
}

static int setup_started(void **state)
{
    struct error error = {0};
    setup(state);
    return create(*state, &error);
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    ublk_queue_destroy(f->queue);
    munmap(f->iods, 4096);
    close(f->char_fd);
    close(f->ended_fd);
    lazy_device_destroy(f->lazy);
    driver_deinit(&driver);
    free(f);
    return 0;
}

static void send(struct fixture *f, uint32_t tag, uint32_t op, uint64_t sector, uint32_t count)
{
    driver_await(&driver, tag);
    f->iods[tag] =
        (struct ublksrv_io_desc){.op_flags = op, .start_sector = sector, .nr_sectors = count};
    driver_complete(&driver, tag, UBLK_IO_RES_OK);
}

static int32_t answer(uint32_t tag)
{
    struct driver_tag found = driver_await(&driver, tag);
    assert_int_equal(UBLK_U_IO_COMMIT_AND_FETCH_REQ, found.command);
    return found.argument.result;
}

static void abort_all(void)
{
    for (uint32_t tag = 0; tag < DEPTH; tag++) {
        driver_await(&driver, tag);
        driver_complete(&driver, tag, UBLK_IO_RES_ABORT);
    }
}

static void await_end(struct fixture *f)
{
    struct pollfd event = {.fd = f->ended_fd, .events = POLLIN};
    assert_int_equal(1, poll(&event, 1, WAIT_MS));
    assert_true(ublk_queue_ended(f->queue));
}

static uint8_t *buffer_of(uint32_t tag)
{
    return (uint8_t *)(uintptr_t)driver_await(&driver, tag).argument.addr;
}

static void serves_requests_until_its_tags_are_aborted(void **state)
{
    struct fixture *f = *state;
    uint8_t *buffer = buffer_of(2);
    memset(buffer, 0x77, 4096);
    send(f, 2, UBLK_IO_OP_WRITE, 8, 8);
    assert_int_equal(4096, answer(2));
    assert_int_equal(0x77, f->lazy->test->disk[8 * 512]);
    send(f, 3, UBLK_IO_OP_READ, 8, 8);
    assert_int_equal(4096, answer(3));
    assert_memory_equal(buffer, buffer_of(3), 4096);
    send(f, 0, UBLK_IO_OP_FLUSH, 0, 0);
    assert_int_equal(0, answer(0));
    send(f, 0, UBLK_IO_OP_DISCARD, 0, 8);
    assert_int_equal(-EOPNOTSUPP, answer(0));
    assert_false(ublk_queue_ended(f->queue));
    abort_all();
    await_end(f);
    assert_int_equal(0, ublk_queue_failure(f->queue));
}

static void nobody_waits_for_the_one_that_waits_for_a_stripe(void **state)
{
    struct fixture *f = *state;
    const uint32_t stripe = STRIPES - 1;
    send(f, 0, UBLK_IO_OP_READ, (uint64_t)stripe * LAZY_STRIPE_SECTORS, 1);
    for (uint32_t i = 0; i < 100; i++) {
        send(f, 1, UBLK_IO_OP_READ, i, 1);
        assert_int_equal(512, answer(1));
    }
    assert_false(driver_has(&driver, 0));
    lazy_device_fetch(f->lazy, stripe);
    assert_int_equal(512, answer(0));
    assert_int_equal(lazy_device_byte(f->lazy, (uint64_t)stripe * LAZY_STRIPE_BYTES),
                     buffer_of(0)[0]);
}

static void a_stop_fails_what_waits_for_a_stripe_when_its_time_is_over(void **state)
{
    struct fixture *f = *state;
    const uint64_t sector = (STRIPES - 1) * LAZY_STRIPE_SECTORS;
    send(f, 0, UBLK_IO_OP_WRITE, sector, 1);
    ublk_queue_limit_waits(f->queue, clock_now_ns() + 1000000000);
    send(f, 1, UBLK_IO_OP_WRITE, 0, 1); /* writeback goes on */
    assert_int_equal(512, answer(1));
    assert_false(driver_has(&driver, 0));
    assert_int_equal(-EIO, answer(0));
    send(f, 2, UBLK_IO_OP_WRITE, sector, 1); /* and what comes later fails at once */
    assert_int_equal(-EIO, answer(2));
    abort_all();
    await_end(f);
    assert_int_equal(0, ublk_queue_failure(f->queue));
}

static void leaves_its_tags_with_the_driver_when_it_is_destroyed(void **state)
{
    struct fixture *f = *state;
    send(f, 0, UBLK_IO_OP_READ, (STRIPES - 1) * LAZY_STRIPE_SECTORS, 1);
    driver_await(&driver, 1);
    ublk_queue_destroy(f->queue); /* waits for the thread */
    f->queue = NULL;
    assert_false(driver_has(&driver, 0)); /* not committed: the next server gets it */
    assert_true(driver_has(&driver, 1));
}

static void tells_that_a_command_was_refused(void **state)
{
    struct fixture *f = *state;
    struct error error = {0};
    driver.refusal = -EINVAL;
    assert_int_equal(0, create(f, &error));
    await_end(f);
    assert_int_equal(-EINVAL, ublk_queue_failure(f->queue));
}

/* The request of the tag would hang otherwise: nobody can commit it any more. */
static void ends_when_one_command_is_refused(void **state)
{
    struct fixture *f = *state;
    const uint64_t sector = (STRIPES - 1) * LAZY_STRIPE_SECTORS;
    send(f, 0, UBLK_IO_OP_READ, sector, 1);
    driver_await(&driver, 3);
    driver_complete(&driver, 3, -EINVAL);
    await_end(f);
    assert_int_equal(-EINVAL, ublk_queue_failure(f->queue));
    assert_false(driver_has(&driver, 0)); /* not committed: the next server gets it */
    assert_true(driver_has(&driver, 1));
}

static void a_limit_can_be_lifted(void **state)
{
    struct fixture *f = *state;
    const uint32_t stripe = STRIPES - 1;
    ublk_queue_limit_waits(f->queue, 1);
    send(f, 0, UBLK_IO_OP_READ, (uint64_t)stripe * LAZY_STRIPE_SECTORS, 1);
    assert_int_equal(-EIO, answer(0));
    ublk_queue_limit_waits(f->queue, UINT64_MAX);
    send(f, 0, UBLK_IO_OP_READ, (uint64_t)stripe * LAZY_STRIPE_SECTORS, 1);
    send(f, 1, UBLK_IO_OP_READ, 0, 1);
    assert_int_equal(512, answer(1));
    assert_false(driver_has(&driver, 0));
    lazy_device_fetch(f->lazy, stripe);
    assert_int_equal(512, answer(0));
}

static void ends_when_its_engine_fails(void **state)
{
    struct fixture *f = *state;
    send(f, 0, UBLK_IO_OP_READ, (STRIPES - 1) * LAZY_STRIPE_SECTORS, 1);
    atomic_store(&wait_result, -EBADF);
    send(f, 1, UBLK_IO_OP_READ, 0, 1);
    await_end(f);
    assert_int_equal(-EBADF, ublk_queue_failure(f->queue));
    assert_false(driver_has(&driver, 0));
    atomic_store(&wait_result, 0);
}

static void warns_once_when_its_threads_may_have_to_write_memory_back(void **state)
{
    struct fixture *f = *state;
    const int answers[] = {0, -1, 1};
    for (uint32_t i = 0; i < 3; i++) {
        atomic_store(&io_flusher, answers[i]);
        for (uint32_t q_id = 0; q_id < 2; q_id++) {
            struct error error = {0};
            assert_int_equal(0, create_number(f, q_id, &error));
            assert_int_equal(q_id == 0 && answers[i] != 1,
                             test_device_logged(f->lazy->test, "PR_SET_IO_FLUSHER"));
            ublk_queue_destroy(f->queue);
            f->queue = NULL;
            driver_deinit(&driver);
            driver_init(&driver);
        }
    }
}

static void says_why_it_cannot_be_made(void **state)
{
    struct fixture *f = *state;
    struct error error = {0};
    atomic_store(&create_result, -ENOSYS);
    assert_int_equal(-ENOSYS, create(f, &error));
    atomic_store(&create_result, 0);
    atomic_store(&watch_result, -EBADF);
    assert_int_equal(-EBADF, create(f, &error));
    assert_non_null(strstr(error.message, "queue 1"));
    atomic_store(&watch_result, 0);
    eventfd_fails = true;
    assert_int_equal(-EMFILE, create(f, &error));
    eventfd_fails = false;
    thread_fails = true;
    assert_int_equal(-EAGAIN, create(f, &error));
    thread_fails = false;
    assert_false(atomic_load(&mapped)); /* else nobody could take the device over */
    atomic_store(&map_fails, true);
    assert_int_equal(-ENOMEM, create(f, &error));
    assert_non_null(strstr(error.message, "mapping the driver's requests"));
    atomic_store(&map_fails, false);
    f->lazy->device->io_engine = IO_ENGINE_SYNC;
    assert_int_equal(-ENOTSUP, create(f, &error));
    f->lazy->device->io_engine = IO_ENGINE_URING;
    assert_null(f->queue);
    ublk_queue_destroy(NULL);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
#define TEST_STARTED(name) cmocka_unit_test_setup_teardown(name, setup_started, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_STARTED(serves_requests_until_its_tags_are_aborted),
        TEST_STARTED(nobody_waits_for_the_one_that_waits_for_a_stripe),
        TEST_STARTED(a_stop_fails_what_waits_for_a_stripe_when_its_time_is_over),
        TEST_STARTED(leaves_its_tags_with_the_driver_when_it_is_destroyed),
        TEST_STARTED(a_limit_can_be_lifted),
        TEST(tells_that_a_command_was_refused),
        TEST_STARTED(ends_when_one_command_is_refused),
        TEST_STARTED(ends_when_its_engine_fails),
        TEST(warns_once_when_its_threads_may_have_to_write_memory_back),
        TEST(says_why_it_cannot_be_made),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
