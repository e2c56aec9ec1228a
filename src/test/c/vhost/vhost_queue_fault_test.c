/* SPDX-License-Identifier: AGPL-3.0-only */
/* A queue that cannot be made, a ring that cannot be started, an engine that breaks. */
/* wrap: calloc malloc eventfd pthread_create io_engine_create io_engine_watch io_engine_wait */
/* wrap: io_engine_reap ppoll */
#include "vhost/vhost_queue.h"

#include "support/cmocka_test.h"

#include <errno.h>
#include <linux/virtio_blk.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "io/io_engine.h"
#include "mem/buffer_pool.h"
#include "support/device_ring.h"
#include "support/test_device.h"

/* The call that fails, counted from 1 and down; 0: none. */
static _Atomic uint32_t calloc_countdown;
static _Atomic bool malloc_fails;
static bool eventfd_fails;
static bool pthread_create_fails;
static _Atomic int engine_result;
static _Atomic int watch_result;
static _Atomic int wait_result;
static _Atomic bool reap_withheld;
static _Atomic uint32_t sleeps_withheld; /* the ppoll that brings it to 0 ends reap_withheld */

void *__real_calloc(size_t count, size_t byte_len);
void *__wrap_calloc(size_t count, size_t byte_len);
void *__real_malloc(size_t byte_len);
void *__wrap_malloc(size_t byte_len);
int __real_eventfd(unsigned count, int flags);
int __wrap_eventfd(unsigned count, int flags);
int __real_pthread_create(pthread_t *thread, const pthread_attr_t *attributes,
                          void *(*main)(void *), void *argument);
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attributes,
                          void *(*main)(void *), void *argument);
int __real_io_engine_create(const struct io_engine_params *params, struct io_engine **out,
                            struct error *error);
int __wrap_io_engine_create(const struct io_engine_params *params, struct io_engine **out,
                            struct error *error);
int __real_io_engine_watch(struct io_engine *engine, uint32_t slot, int fd);
int __wrap_io_engine_watch(struct io_engine *engine, uint32_t slot, int fd);
int __real_io_engine_wait(struct io_engine *engine, uint64_t timeout_ns);
int __wrap_io_engine_wait(struct io_engine *engine, uint64_t timeout_ns);
uint32_t __real_io_engine_reap(struct io_engine *engine, struct io_op **ops, uint32_t max);
uint32_t __wrap_io_engine_reap(struct io_engine *engine, struct io_op **ops, uint32_t max);
int __real_ppoll(struct pollfd *fds, nfds_t count, const struct timespec *timeout,
                 const sigset_t *mask);
int __wrap_ppoll(struct pollfd *fds, nfds_t count, const struct timespec *timeout,
                 const sigset_t *mask);

void *__wrap_calloc(size_t count, size_t byte_len)
{
    uint32_t left = atomic_load(&calloc_countdown);
    if (left > 0) {
        atomic_store(&calloc_countdown, left - 1);
        if (left == 1) {
            return NULL;
        }
    }
    return __real_calloc(count, byte_len);
}

void *__wrap_malloc(size_t byte_len)
{
    return atomic_load(&malloc_fails) ? NULL : __real_malloc(byte_len);
}

int __wrap_eventfd(unsigned count, int flags)
{
    if (eventfd_fails) {
        errno = EMFILE;
        return -1;
    }
    return __real_eventfd(count, flags);
}

int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attributes,
                          void *(*main)(void *), void *argument)
{
    return pthread_create_fails ? EAGAIN
                                : __real_pthread_create(thread, attributes, main, argument);
}

int __wrap_io_engine_create(const struct io_engine_params *params, struct io_engine **out,
                            struct error *error)
{
    int result = atomic_load(&engine_result);
    return result < 0 ? error_set(error, result, "no engine today")
                      : __real_io_engine_create(params, out, error);
}

int __wrap_io_engine_watch(struct io_engine *engine, uint32_t slot, int fd)
{
    int result = atomic_load(&watch_result);
    return result < 0 ? result : __real_io_engine_watch(engine, slot, fd);
}

int __wrap_io_engine_wait(struct io_engine *engine, uint64_t timeout_ns)
{
    int result = atomic_load(&wait_result);
    return result < 0 ? result : __real_io_engine_wait(engine, timeout_ns);
}

uint32_t __wrap_io_engine_reap(struct io_engine *engine, struct io_op **ops, uint32_t max)
{
    return atomic_load(&reap_withheld) ? 0 : __real_io_engine_reap(engine, ops, max);
}

int __wrap_ppoll(struct pollfd *fds, nfds_t count, const struct timespec *timeout,
                 const sigset_t *mask)
{
    uint32_t left = atomic_load(&sleeps_withheld);
    if (left > 0) {
        atomic_store(&sleeps_withheld, left - 1);
        atomic_store(&reap_withheld, left > 1);
    }
    return __real_ppoll(fds, count, timeout, mask);
}

enum { SIZE = 16 };

struct fixture {
    struct test_device *test;
    struct device_ring ring;
    struct vhost_queue *queue;
    struct vhost_command command;
    int done_fd;
    struct error error;
};

static struct fixture fixture;

static int setup(void **state)
{
    const struct test_device_params params = {.queue_size = SIZE, .sync_engine = true};
    (void)state;
    memset(&fixture, 0, sizeof(fixture));
    fixture.test = test_device_create(&params);
    device_ring_open(&fixture.ring, SIZE, false);
    fixture.done_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    fixture.command = (struct vhost_command){
        .setup = {.parts = device_ring_parts(&fixture.ring, fixture.ring.memory),
                  .size = SIZE,
                  .memory = fixture.ring.memory},
        .enabled = true,
        .kick_fd = fixture.ring.queue.kick_fd,
        .call_fd = fixture.ring.queue.call_fd,
        .err_fd = -1};
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    vhost_queue_destroy(fixture.queue);
    close(fixture.done_fd);
    device_ring_close(&fixture.ring);
    test_device_destroy(fixture.test);
    return 0;
}

static int create(void)
{
    fixture.error = (struct error){0};
    int result = vhost_queue_create(&fixture.test->device, 0, -1, fixture.done_fd, &fixture.queue,
                                    &fixture.error);
    assert_int_equal(result, fixture.error.code);
    assert_int_equal(result == 0, fixture.queue != NULL);
    assert_true(result == 0 || strlen(fixture.error.message) > 0);
    return result;
}

static int run(enum vhost_command_kind kind)
{
    struct pollfd done = {.fd = fixture.done_fd, .events = POLLIN};
    fixture.command.kind = kind;
    vhost_queue_post(fixture.queue, &fixture.command);
    while (!vhost_queue_done(fixture.queue)) {
        assert_int_equal(1, poll(&done, 1, 20000));
        device_ring_signals(fixture.done_fd);
    }
    return fixture.command.result;
}

static void reports_that_memory_is_short(void **state)
{
    (void)state;
    /* the queue, its slots */
    for (uint32_t nth = 1; nth <= 2; nth++) {
        atomic_store(&calloc_countdown, nth);
        assert_int_equal(-ENOMEM, create());
        atomic_store(&calloc_countdown, 0);
    }
}

static void reports_an_eventfd_or_thread_that_is_not_to_be_had(void **state)
{
    (void)state;
    eventfd_fails = true;
    int result = create();
    eventfd_fails = false;
    assert_int_equal(-EMFILE, result);
    pthread_create_fails = true;
    result = create();
    pthread_create_fails = false;
    assert_int_equal(-EAGAIN, result);
}

static void passes_on_what_its_thread_could_not_do(void **state)
{
    (void)state;
    atomic_store(&engine_result, -ENOSYS);
    int result = create();
    atomic_store(&engine_result, 0);
    assert_int_equal(-ENOSYS, result);
    assert_string_equal("no engine today", fixture.error.message);
    atomic_store(&watch_result, -EPERM);
    result = create();
    atomic_store(&watch_result, 0);
    assert_int_equal(-EPERM, result);
    assert_non_null(strstr(fixture.error.message, "eventfd"));
}

static void starts_and_moves_no_ring_without_memory(void **state)
{
    (void)state;
    assert_int_equal(0, create());
    atomic_store(&malloc_fails, true);
    int result = run(VHOST_COMMAND_START);
    atomic_store(&malloc_fails, false);
    assert_int_equal(-ENOMEM, result);
    assert_int_equal(0, run(VHOST_COMMAND_START));
    atomic_store(&malloc_fails, true);
    result = run(VHOST_COMMAND_MEMORY);
    atomic_store(&malloc_fails, false);
    assert_int_equal(-ENOMEM, result);
    device_ring_add(&fixture.ring, 0, 0, 0, 512); /* it goes on under the old table */
    virtq_driver_publish_and_kick(&fixture.ring.queue.driver);
    assert_int_equal(1, virtq_driver_wait(&fixture.ring.queue.driver, 20000));
    assert_int_equal(0, run(VHOST_COMMAND_STOP));
}

static void obeys_commands_although_its_engine_broke(void **state)
{
    (void)state;
    assert_int_equal(0, create());
    assert_int_equal(0, run(VHOST_COMMAND_START));
    atomic_store(&wait_result, -ENXIO);
    for (uint32_t i = 0; i < 3; i++) {
        assert_int_equal(0, run(VHOST_COMMAND_ENABLE));
    }
    device_ring_add(&fixture.ring, 0, 0, 0, 512);
    virtq_driver_publish_and_kick(&fixture.ring.queue.driver);
    assert_int_equal(1, virtq_driver_wait(&fixture.ring.queue.driver, 20000));
    assert_int_equal(0, run(VHOST_COMMAND_STOP));
    assert_true(test_device_logged(fixture.test, "I/O engine failed"));
    assert_false(test_device_logged(fixture.test, "I/O engine failed")); /* once */
    vhost_queue_destroy(fixture.queue);
    fixture.queue = NULL;
    atomic_store(&wait_result, 0);
}

/* Of the sleeps since before the stop, at most the first begins without knowing of it. */
static void a_stop_ends_with_what_a_broken_engine_had_left(void **state)
{
    (void)state;
    assert_int_equal(0, create());
    device_ring_add(&fixture.ring, 0, 0, 0, 512);
    virtq_driver_publish(&fixture.ring.queue.driver); /* taken in the round of the start */
    atomic_store(&reap_withheld, true);
    atomic_store(&wait_result, -EBADR);
    assert_int_equal(0, run(VHOST_COMMAND_START));
    atomic_store(&sleeps_withheld, 2);
    assert_int_equal(0, run(VHOST_COMMAND_STOP));
    assert_int_equal(1, fixture.command.next_avail);
    assert_true(virtq_driver_has_used(&fixture.ring.queue.driver));
    assert_int_equal(0, device_ring_status(&fixture.ring, 0));
    vhost_queue_destroy(fixture.queue);
    fixture.queue = NULL;
    atomic_store(&wait_result, 0);
}

/* Makes a request larger than any that drivers are told to send, by way of its one data segment. */
static uint8_t *add_oversized(uint32_t byte_len)
{
    struct vring_desc *desc = fixture.ring.queue.driver.desc;
    uint64_t gpa = guest_ram_alloc(&fixture.ring.ram, 0, byte_len, 4096, 0);
    uint16_t head = device_ring_add(&fixture.ring, 0, 0, 0, 512);
    desc[desc[head].next].addr = gpa;
    desc[desc[head].next].len = byte_len;
    return guest_ram_host(&fixture.ring.ram, gpa, byte_len);
}

static void a_stop_does_not_wait_for_what_is_left_of_an_oversized_request(void **state)
{
    const struct test_device_params params = {.queue_size = SIZE,
                                              .sync_engine = true,
                                              .encrypted = true,
                                              .bounce_bytes = BUFFER_POOL_BYTES_MIN};
    (void)state;
    test_device_destroy(fixture.test);
    fixture.test = test_device_create(&params);
    assert_int_equal(0, create());
    const uint32_t byte_len = 1 << 20;
    const uint8_t *data = add_oversized(byte_len);
    assert_non_null(data);
    virtq_driver_publish(&fixture.ring.queue.driver);
    atomic_store(&reap_withheld, true); /* so the bounce buffers do not come back */
    atomic_store(&wait_result, -EBADR);
    assert_int_equal(0, run(VHOST_COMMAND_START));
    atomic_store(&sleeps_withheld, 2);
    assert_int_equal(0, run(VHOST_COMMAND_STOP));
    assert_int_equal(1, fixture.command.next_avail);
    assert_int_equal(VIRTIO_BLK_S_IOERR, device_ring_status(&fixture.ring, 0));
    for (uint32_t i = byte_len / 2; i < byte_len; i++)
        assert_int_equal(0, data[i]); /* a disk of zeros, deciphered, has none */
    vhost_queue_destroy(fixture.queue);
    fixture.queue = NULL;
    atomic_store(&wait_result, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(reports_that_memory_is_short),
        TEST(reports_an_eventfd_or_thread_that_is_not_to_be_had),
        TEST(passes_on_what_its_thread_could_not_do),
        TEST(starts_and_moves_no_ring_without_memory),
        TEST(obeys_commands_although_its_engine_broke),
        TEST(a_stop_ends_with_what_a_broken_engine_had_left),
        TEST(a_stop_does_not_wait_for_what_is_left_of_an_oversized_request),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
