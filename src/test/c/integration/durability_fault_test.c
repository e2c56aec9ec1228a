/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * When written data is durable, and what a failure of the disk leads to: the whole back end in this
 * process on the sync engine, with its calls to the kernel recorded, delayed and made to fail.
 */
/* wrap: preadv2 pwritev2 fdatasync io_engine_reap */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "support/backend_host.h"
#include "support/blk_client.h"
#include "support/cmocka_test.h"
#include "vhost/vhost_backend.h"

enum { DISK_BYTES = 1 << 20, SECTOR = 512, QUEUES = 2, QUEUE_SIZE = 16, WAIT_MS = 20000 };
enum { EVENTS_MAX = 4096 };

/* --- the kernel ------------------------------------------------------------------------------- */

enum event_kind { EVENT_WRITE, EVENT_SYNC };

struct event {
    enum event_kind kind;
    off_t offset;
    bool durable; /* RWF_DSYNC */
};

/* Everything under the mutex; the queue and session threads of the back end use it. */
struct kernel {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    struct event events[EVENTS_MAX]; /* in the order in which the calls ended */
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

static void record(enum event_kind kind, off_t offset, bool durable)
{
    assert_true(kernel.event_count < EVENTS_MAX);
    kernel.events[kernel.event_count++] = (struct event){kind, offset, durable};
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
        record(EVENT_WRITE, offset, (flags & RWF_DSYNC) != 0);
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
        record(EVENT_SYNC, 0, false);
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

static void hold_completions(bool hold)
{
    pthread_mutex_lock(&kernel.mutex);
    kernel.hold_completions = hold;
    pthread_mutex_unlock(&kernel.mutex);
}

static void hold_next_write(void)
{
    pthread_mutex_lock(&kernel.mutex);
    kernel.hold_writes = true;
    pthread_mutex_unlock(&kernel.mutex);
}

static void await_held(void)
{
    pthread_mutex_lock(&kernel.mutex);
    while (!kernel.held) {
        pthread_cond_wait(&kernel.changed, &kernel.mutex);
    }
    pthread_mutex_unlock(&kernel.mutex);
}

static void release_write(void)
{
    pthread_mutex_lock(&kernel.mutex);
    kernel.held = false;
    pthread_cond_broadcast(&kernel.changed);
    pthread_mutex_unlock(&kernel.mutex);
}

static void set_errors(int read_error, int write_error, int sync_error)
{
    pthread_mutex_lock(&kernel.mutex);
    kernel.read_error = read_error;
    kernel.write_error = write_error;
    kernel.sync_error = sync_error;
    pthread_mutex_unlock(&kernel.mutex);
}

/* How transfers go from here on: in pieces, not at all, or after calls that are interrupted. */
static void set_transfers(bool shorten, bool stall, int retries)
{
    pthread_mutex_lock(&kernel.mutex);
    kernel.shorten = shorten;
    kernel.stall = stall;
    kernel.retries = retries;
    pthread_mutex_unlock(&kernel.mutex);
}

static uint32_t event_count(void)
{
    uint32_t count;

    pthread_mutex_lock(&kernel.mutex);
    count = kernel.event_count;
    pthread_mutex_unlock(&kernel.mutex);
    return count;
}

static struct event event_at(uint32_t index)
{
    struct event event;

    pthread_mutex_lock(&kernel.mutex);
    event = kernel.events[index];
    pthread_mutex_unlock(&kernel.mutex);
    return event;
}

static uint32_t sync_calls(void)
{
    uint32_t calls;

    pthread_mutex_lock(&kernel.mutex);
    calls = kernel.sync_calls;
    pthread_mutex_unlock(&kernel.mutex);
    return calls;
}

/* --- back end and guest ----------------------------------------------------------------------- */

struct fixture {
    char path[BACKEND_HOST_PATH_BYTES];
    char socket_path[BACKEND_HOST_PATH_BYTES + 8];
    enum io_engine_kind engine;
    struct blk_device *device;
    struct vhost_backend *backend;
    struct vhost_frontend frontend;
    struct guest_ram ram;
    struct frontend_queue queues[QUEUES];
    uint64_t place; /* header, status and data of queue 0; those of queue 1 follow */
};

enum { PLACE_BYTES = 8192, STATUS_AT = 16, DATA_AT = 4096 };

static void start_backend(struct fixture *fixture, bool write_through)
{
    struct backend_host_params params = backend_host_defaults(fixture->path);
    struct vhost_backend_params listen = {.socket_path = fixture->socket_path,
                                          .stop_timeout_ms = 10000};
    struct error error;

    params.device.queue_count = QUEUES;
    params.device.queue_size = QUEUE_SIZE;
    params.device.io_engine = fixture->engine;
    params.device.write_through = write_through;
    assert_int_equal(blk_device_open(&params.device, NULL, NULL, &fixture->device, &error), 0);
    assert_int_equal(vhost_backend_start(fixture->device, &listen, NULL, &fixture->backend, &error),
                     0);
}

static int stop_backend(struct fixture *fixture)
{
    int result = vhost_backend_stop(fixture->backend);

    blk_device_close(fixture->device);
    fixture->backend = NULL;
    return result;
}

#define NO_FLUSH (BLK_CLIENT_FEATURES & ~FRONTEND_BIT(VIRTIO_BLK_F_FLUSH))

/* Connects and starts the queues where they are: fresh, or where they were left. */
static void connect_guest(struct fixture *fixture, uint64_t features)
{
    assert_int_equal(vhost_frontend_connect(&fixture->frontend, fixture->socket_path, WAIT_MS), 0);
    assert_int_equal(
        vhost_frontend_negotiate(&fixture->frontend, features, BLK_CLIENT_PROTOCOL_FEATURES), 0);
    fixture->frontend.need_reply = true;
    assert_int_equal(vhost_frontend_share(&fixture->frontend, &fixture->ram), 0);
    for (uint32_t i = 0; i < QUEUES; i++) {
        assert_int_equal(frontend_queue_start(&fixture->frontend, &fixture->ram,
                                              &fixture->queues[i],
                                              fixture->queues[i].driver.used_index),
                         0);
    }
}

static void reset_queues(struct fixture *fixture)
{
    for (uint32_t i = 0; i < QUEUES; i++) {
        virtq_driver_reset(&fixture->queues[i].driver);
    }
}

static int make_fixture(void **state, enum io_engine_kind engine, bool write_through)
{
    struct guest_ram_spec spec = {.gpa = 0x1000, .size = 1 << 20};
    struct fixture *fixture = calloc(1, sizeof(*fixture));

    assert_non_null(fixture);
    fixture->engine = engine;
    kernel.event_count = 0;
    kernel.sync_calls = 0;
    kernel.held = kernel.hold_writes = false;
    set_transfers(false, false, 0);
    hold_completions(false);
    set_errors(0, 0, 0);
    assert_int_equal(test_disk_create(fixture->path, DISK_BYTES), 0);
    snprintf(fixture->socket_path, sizeof(fixture->socket_path), "%s.sock", fixture->path);
    start_backend(fixture, write_through);
    assert_int_equal(guest_ram_init(&fixture->ram, &spec, 1), 0);
    for (uint32_t i = 0; i < QUEUES; i++) {
        assert_int_equal(
            frontend_queue_init(&fixture->queues[i], &fixture->ram, 0, i, QUEUE_SIZE, true), 0);
    }
    fixture->place = guest_ram_alloc(&fixture->ram, 0, QUEUES * PLACE_BYTES, 4096, 0);
    fixture->frontend.fd = -1;
    *state = fixture;
    return 0;
}

static int setup(void **state)
{
    return make_fixture(state, IO_ENGINE_SYNC, false);
}

static int setup_uring(void **state)
{
    return make_fixture(state, IO_ENGINE_URING, false);
}

static int setup_write_through(void **state)
{
    return make_fixture(state, IO_ENGINE_SYNC, true);
}

static int teardown(void **state)
{
    struct fixture *fixture = *state;

    vhost_frontend_disconnect(&fixture->frontend);
    if (fixture->backend != NULL) {
        (void)stop_backend(fixture);
    }
    for (uint32_t i = 0; i < QUEUES; i++) {
        frontend_queue_deinit(&fixture->queues[i]);
    }
    guest_ram_deinit(&fixture->ram);
    test_disk_remove(fixture->path);
    free(fixture);
    return 0;
}

static uint8_t *data_of(struct fixture *fixture, uint32_t queue)
{
    return guest_ram_host(&fixture->ram, fixture->place + queue * PLACE_BYTES + DATA_AT, SECTOR);
}

/* Makes a request of two sectors (none for FLUSH) available. */
static void submit(struct fixture *fixture, uint32_t queue, uint32_t type, uint64_t sector)
{
    uint64_t gpa = fixture->place + queue * PLACE_BYTES;
    struct virtq_driver *driver = &fixture->queues[queue].driver;
    struct virtio_blk_outhdr *header = guest_ram_host(&fixture->ram, gpa, sizeof(*header));
    struct virtq_segment segments[3] = {
        {gpa, sizeof(*header), false},
        {gpa + DATA_AT, type == VIRTIO_BLK_T_FLUSH ? 0 : 2 * SECTOR, type == VIRTIO_BLK_T_IN},
        {gpa + STATUS_AT, 1, true}};

    *header = (struct virtio_blk_outhdr){.type = type, .sector = sector};
    *(uint8_t *)guest_ram_host(&fixture->ram, gpa + STATUS_AT, 1) = 0xff;
    assert_int_equal(virtq_driver_add(driver, segments, 3, 0, NULL), 0);
    virtq_driver_publish_and_kick(driver);
}

static uint8_t complete(struct fixture *fixture, uint32_t queue)
{
    struct virtq_driver *driver = &fixture->queues[queue].driver;
    struct virtq_completion completion;

    assert_int_equal(virtq_driver_wait(driver, WAIT_MS), 1);
    assert_int_equal(virtq_driver_reap(driver, &completion, 1), 1);
    return *(uint8_t *)guest_ram_host(&fixture->ram,
                                      fixture->place + queue * PLACE_BYTES + STATUS_AT, 1);
}

static uint8_t execute(struct fixture *fixture, uint32_t type, uint64_t sector)
{
    submit(fixture, 0, type, sector);
    return complete(fixture, 0);
}

/* Writes on both queues. Whether they were durable, which must be the same for both. */
static bool writes_are_durable(struct fixture *fixture)
{
    uint32_t before = event_count();
    struct event first, second;

    for (uint32_t queue = 0; queue < QUEUES; queue++) {
        submit(fixture, queue, VIRTIO_BLK_T_OUT, 8);
        assert_int_equal(complete(fixture, queue), VIRTIO_BLK_S_OK);
    }
    assert_int_equal(event_count(), before + 2);
    first = event_at(before);
    second = event_at(before + 1);
    assert_int_equal(first.kind, EVENT_WRITE);
    assert_int_equal(second.kind, EVENT_WRITE);
    assert_int_equal(first.durable, second.durable);
    return first.durable;
}

static uint8_t cache_mode(struct fixture *fixture)
{
    uint8_t mode = 0xff;

    assert_int_equal(vhost_frontend_get_config(&fixture->frontend, 32, 1, &mode), 0);
    return mode;
}

static int set_cache_mode(struct fixture *fixture, uint8_t mode)
{
    return vhost_frontend_set_config(&fixture->frontend, 32, 1, &mode);
}

/* --- when data is durable --------------------------------------------------------------------- */

static void writes_through_the_cache_and_flushes_with_an_fsync(void **state)
{
    struct fixture *fixture = *state;
    uint32_t before;

    connect_guest(fixture, BLK_CLIENT_FEATURES);
    assert_int_equal(cache_mode(fixture), 1);
    assert_false(writes_are_durable(fixture));
    for (uint32_t i = 0; i < 3; i++) { /* also when nothing was written in between */
        before = event_count();
        assert_int_equal(execute(fixture, VIRTIO_BLK_T_FLUSH, 0), VIRTIO_BLK_S_OK);
        assert_int_equal(event_count(), before + 1);
        assert_int_equal(event_at(before).kind, EVENT_SYNC);
    }
}

static void writes_durably_when_it_is_configured_to(void **state)
{
    struct fixture *fixture = *state;

    connect_guest(fixture, BLK_CLIENT_FEATURES);
    assert_int_equal(cache_mode(fixture), 0);
    assert_true(writes_are_durable(fixture));
    assert_int_equal(set_cache_mode(fixture, 1), 0); /* ignored */
    assert_int_equal(cache_mode(fixture), 0);
    assert_true(writes_are_durable(fixture));
    assert_int_equal(execute(fixture, VIRTIO_BLK_T_FLUSH, 0), VIRTIO_BLK_S_OK);
    assert_int_equal(event_at(event_count() - 1).kind, EVENT_SYNC);
}

static void writes_durably_for_a_driver_that_cannot_flush(void **state)
{
    struct fixture *fixture = *state;

    connect_guest(fixture, NO_FLUSH);
    assert_true(writes_are_durable(fixture));
}

static void makes_volatile_writes_durable_when_the_next_driver_cannot_flush(void **state)
{
    struct fixture *fixture = *state;
    uint32_t before;

    connect_guest(fixture, BLK_CLIENT_FEATURES);
    assert_false(writes_are_durable(fixture));
    before = event_count();
    /* Other features on the same connection, as after a reset of the guest. */
    assert_int_equal(vhost_frontend_set_u64(&fixture->frontend, FRONTEND_SET_FEATURES, NO_FLUSH),
                     0);
    assert_int_equal(event_count(), before + 1);
    assert_int_equal(event_at(before).kind, EVENT_SYNC);
    assert_true(writes_are_durable(fixture));
    assert_int_equal(
        vhost_frontend_set_u64(&fixture->frontend, FRONTEND_SET_FEATURES, BLK_CLIENT_FEATURES), 0);
    assert_false(writes_are_durable(fixture));
}

static void syncs_before_it_confirms_that_the_cache_is_off(void **state)
{
    struct fixture *fixture = *state;
    uint32_t before;

    connect_guest(fixture, BLK_CLIENT_FEATURES);
    for (uint32_t i = 0; i < 3; i++) {
        assert_false(writes_are_durable(fixture));
        before = event_count();
        assert_int_equal(set_cache_mode(fixture, 0), 0);
        assert_int_equal(event_count(), before + 1);
        assert_int_equal(event_at(before).kind, EVENT_SYNC);
        assert_int_equal(cache_mode(fixture), 0);
        assert_true(writes_are_durable(fixture));
        assert_int_equal(set_cache_mode(fixture, 1), 0);
        assert_int_equal(cache_mode(fixture), 1);
    }
}

static void waits_for_writes_in_flight_before_it_confirms_that_the_cache_is_off(void **state)
{
    struct fixture *fixture = *state;
    struct frontend_config config = {.offset = 32, .size = 1};
    struct pollfd answer;
    struct frontend_reply reply;
    uint32_t before;

    connect_guest(fixture, BLK_CLIENT_FEATURES);
    before = event_count();
    hold_next_write();
    submit(fixture, 0, VIRTIO_BLK_T_OUT, 8);
    await_held();
    assert_int_equal(vhost_frontend_send(&fixture->frontend, FRONTEND_SET_CONFIG,
                                         FRONTEND_FLAG_NEED_REPLY, &config, 13, NULL, 0),
                     0);
    /* A write that is popped while the change is under way is durable by itself. */
    answer = (struct pollfd){.fd = fixture->frontend.fd, .events = POLLIN};
    assert_int_equal(poll(&answer, 1, 100), 0);
    submit(fixture, 1, VIRTIO_BLK_T_OUT, 16);
    assert_int_equal(complete(fixture, 1), VIRTIO_BLK_S_OK);
    assert_int_equal(event_count(), before + 1);
    assert_true(event_at(before).durable);
    assert_int_equal(poll(&answer, 1, 50), 0);
    release_write();
    assert_int_equal(vhost_frontend_receive(&fixture->frontend, &reply), 0);
    assert_int_equal(reply.payload[0], 0);
    assert_int_equal(event_count(), before + 3);
    assert_int_equal(event_at(before + 1).kind, EVENT_WRITE);
    assert_false(event_at(before + 1).durable);
    assert_int_equal(event_at(before + 2).kind, EVENT_SYNC);
    assert_int_equal(complete(fixture, 0), VIRTIO_BLK_S_OK);
}

/* The same where writes really are concurrent: not even the sync begins before they have ended. */
static void syncs_after_the_writes_that_were_in_flight(void **state)
{
    struct fixture *fixture = *state;
    struct frontend_config config = {.offset = 32, .size = 1};
    struct pollfd answer;
    struct frontend_reply reply;

    connect_guest(fixture, BLK_CLIENT_FEATURES);
    hold_completions(true);
    submit(fixture, 0, VIRTIO_BLK_T_OUT, 8);
    submit(fixture, 1, VIRTIO_BLK_T_OUT, 16);
    assert_int_equal(virtq_driver_wait(&fixture->queues[0].driver, 50), 0);
    assert_int_equal(vhost_frontend_send(&fixture->frontend, FRONTEND_SET_CONFIG,
                                         FRONTEND_FLAG_NEED_REPLY, &config, 13, NULL, 0),
                     0);
    answer = (struct pollfd){.fd = fixture->frontend.fd, .events = POLLIN};
    assert_int_equal(poll(&answer, 1, 150), 0);
    assert_int_equal(sync_calls(), 0);
    hold_completions(false);
    assert_int_equal(vhost_frontend_receive(&fixture->frontend, &reply), 0);
    assert_int_equal(reply.payload[0], 0);
    assert_int_equal(sync_calls(), 1);
    assert_int_equal(complete(fixture, 0), VIRTIO_BLK_S_OK);
    assert_int_equal(complete(fixture, 1), VIRTIO_BLK_S_OK);
}

/* Who comes while the requests of the one before are still in flight is neither answered nor turned
 * away until they have ended. */
static void lets_the_next_front_end_wait_while_the_old_one_drains(void **state)
{
    struct fixture *fixture = *state;
    struct pollfd answer;
    struct frontend_reply reply;

    connect_guest(fixture, BLK_CLIENT_FEATURES);
    hold_completions(true);
    submit(fixture, 0, VIRTIO_BLK_T_OUT, 8);
    assert_int_equal(virtq_driver_wait(&fixture->queues[0].driver, 50), 0);
    vhost_frontend_disconnect(&fixture->frontend);
    assert_int_equal(vhost_frontend_connect(&fixture->frontend, fixture->socket_path, WAIT_MS), 0);
    assert_int_equal(
        vhost_frontend_send(&fixture->frontend, FRONTEND_GET_FEATURES, 0, NULL, 0, NULL, 0), 0);
    answer = (struct pollfd){.fd = fixture->frontend.fd, .events = POLLIN};
    assert_int_equal(poll(&answer, 1, 150), 0);
    hold_completions(false);
    assert_int_equal(vhost_frontend_receive(&fixture->frontend, &reply), 0);
    assert_int_equal(complete(fixture, 0), VIRTIO_BLK_S_OK);
}

/* GET_VRING_BASE is answered when everything that was popped has been pushed. */
static void stops_a_ring_only_when_its_requests_have_ended(void **state)
{
    struct fixture *fixture = *state;
    struct frontend_vring_state vring = {.index = 0};
    struct pollfd answer;
    struct frontend_reply reply;

    connect_guest(fixture, BLK_CLIENT_FEATURES);
    hold_completions(true);
    submit(fixture, 0, VIRTIO_BLK_T_OUT, 8);
    assert_int_equal(virtq_driver_wait(&fixture->queues[0].driver, 50), 0);
    assert_int_equal(vhost_frontend_send(&fixture->frontend, FRONTEND_GET_VRING_BASE, 0, &vring,
                                         sizeof(vring), NULL, 0),
                     0);
    answer = (struct pollfd){.fd = fixture->frontend.fd, .events = POLLIN};
    assert_int_equal(poll(&answer, 1, 150), 0);
    hold_completions(false);
    assert_int_equal(vhost_frontend_receive(&fixture->frontend, &reply), 0);
    memcpy(&vring, reply.payload, sizeof(vring));
    assert_int_equal(vring.num, 1);
    assert_true(virtq_driver_has_used(&fixture->queues[0].driver));
    assert_int_equal(complete(fixture, 0), VIRTIO_BLK_S_OK);
}

static void keeps_the_cache_mode_over_connections(void **state)
{
    struct fixture *fixture = *state;

    for (uint8_t mode = 0; mode < 2; mode++) {
        connect_guest(fixture, BLK_CLIENT_FEATURES);
        assert_int_equal(set_cache_mode(fixture, mode), 0);
        vhost_frontend_disconnect(&fixture->frontend);
        for (uint32_t fresh = 0; fresh < 2; fresh++) {
            if (fresh == 1) {
                reset_queues(fixture);
            }
            connect_guest(fixture, BLK_CLIENT_FEATURES);
            assert_int_equal(cache_mode(fixture), mode);
            assert_int_equal(writes_are_durable(fixture), mode == 0);
            vhost_frontend_disconnect(&fixture->frontend);
        }
    }
}

/* A new process does not know what the driver of a running guest chose. */
static void writes_durably_to_a_ring_that_resumes_in_a_new_process(void **state)
{
    struct fixture *fixture = *state;

    connect_guest(fixture, BLK_CLIENT_FEATURES);
    assert_false(writes_are_durable(fixture));
    vhost_frontend_disconnect(&fixture->frontend);
    assert_int_equal(stop_backend(fixture), 0);
    start_backend(fixture, false);
    connect_guest(fixture, BLK_CLIENT_FEATURES); /* used.idx is not 0 */
    assert_true(writes_are_durable(fixture));
    vhost_frontend_disconnect(&fixture->frontend);
    connect_guest(fixture, BLK_CLIENT_FEATURES);
    assert_true(writes_are_durable(fixture));
    assert_int_equal(set_cache_mode(fixture, 1), 0);
    assert_false(writes_are_durable(fixture));
}

static void trusts_the_cache_again_when_the_guest_starts_afresh(void **state)
{
    struct fixture *fixture = *state;

    connect_guest(fixture, BLK_CLIENT_FEATURES);
    assert_false(writes_are_durable(fixture));
    vhost_frontend_disconnect(&fixture->frontend);
    assert_int_equal(stop_backend(fixture), 0);
    start_backend(fixture, false);
    connect_guest(fixture, BLK_CLIENT_FEATURES);
    assert_true(writes_are_durable(fixture));
    vhost_frontend_disconnect(&fixture->frontend);
    reset_queues(fixture);
    connect_guest(fixture, BLK_CLIENT_FEATURES);
    assert_false(writes_are_durable(fixture));
    vhost_frontend_disconnect(&fixture->frontend);
    connect_guest(fixture, BLK_CLIENT_FEATURES); /* this process saw it start */
    assert_false(writes_are_durable(fixture));
}

static void syncs_when_it_stops(void **state)
{
    struct fixture *fixture = *state;

    connect_guest(fixture, BLK_CLIENT_FEATURES);
    assert_false(writes_are_durable(fixture));
    assert_int_equal(stop_backend(fixture), 0);
    assert_int_equal(event_at(event_count() - 1).kind, EVENT_SYNC);
}

/* A flush covers the writes that completed before it, on whichever queue. */
static void flushes_what_another_queue_wrote(void **state)
{
    struct fixture *fixture = *state;
    uint32_t before;

    connect_guest(fixture, BLK_CLIENT_FEATURES);
    before = event_count();
    submit(fixture, 1, VIRTIO_BLK_T_OUT, 24);
    assert_int_equal(complete(fixture, 1), VIRTIO_BLK_S_OK);
    assert_int_equal(execute(fixture, VIRTIO_BLK_T_FLUSH, 0), VIRTIO_BLK_S_OK);
    assert_int_equal(event_count(), before + 2);
    assert_int_equal(event_at(before + 1).kind, EVENT_SYNC);
}

/* --- failures --------------------------------------------------------------------------------- */

static void ends_failing_writes_with_an_error_and_goes_on(void **state)
{
    struct fixture *fixture = *state;
    const int errors[] = {EIO, ENOSPC, EDQUOT, EROFS};

    connect_guest(fixture, BLK_CLIENT_FEATURES);
    memset(data_of(fixture, 0), 0x11, 2 * SECTOR);
    assert_int_equal(execute(fixture, VIRTIO_BLK_T_OUT, 40), VIRTIO_BLK_S_OK);
    for (uint32_t i = 0; i < 4; i++) {
        set_errors(0, errors[i], 0);
        memset(data_of(fixture, 0), 0x22, 2 * SECTOR);
        assert_int_equal(execute(fixture, VIRTIO_BLK_T_OUT, 40), VIRTIO_BLK_S_IOERR);
    }
    set_errors(0, 0, 0);
    assert_int_equal(execute(fixture, VIRTIO_BLK_T_IN, 40), VIRTIO_BLK_S_OK);
    assert_int_equal(data_of(fixture, 0)[700], 0x11);
    assert_int_equal(execute(fixture, VIRTIO_BLK_T_OUT, 40), VIRTIO_BLK_S_OK);
    assert_int_equal(execute(fixture, VIRTIO_BLK_T_FLUSH, 0), VIRTIO_BLK_S_OK);
}

static void ends_failing_reads_with_an_error_and_goes_on(void **state)
{
    struct fixture *fixture = *state;

    connect_guest(fixture, BLK_CLIENT_FEATURES);
    set_errors(EIO, 0, 0);
    assert_int_equal(execute(fixture, VIRTIO_BLK_T_IN, 40), VIRTIO_BLK_S_IOERR);
    assert_int_equal(execute(fixture, VIRTIO_BLK_T_OUT, 40), VIRTIO_BLK_S_OK);
    set_errors(0, 0, 0);
    assert_int_equal(execute(fixture, VIRTIO_BLK_T_IN, 40), VIRTIO_BLK_S_OK);
}

static void continues_short_transfers_and_interrupted_calls(void **state)
{
    struct fixture *fixture = *state;
    uint8_t *data = data_of(fixture, 0), pattern[2 * SECTOR];

    for (uint32_t i = 0; i < sizeof(pattern); i++) {
        pattern[i] = (uint8_t)(i * 7 + i / 256);
    }
    connect_guest(fixture, BLK_CLIENT_FEATURES);
    set_transfers(true, false, 5);
    memcpy(data, pattern, sizeof(pattern));
    assert_int_equal(execute(fixture, VIRTIO_BLK_T_OUT, 40), VIRTIO_BLK_S_OK);
    memset(data, 0, sizeof(pattern));
    set_transfers(true, false, 5);
    assert_int_equal(execute(fixture, VIRTIO_BLK_T_IN, 40), VIRTIO_BLK_S_OK);
    assert_memory_equal(data, pattern, sizeof(pattern));
    set_transfers(false, false, 0);
    memset(data, 0, sizeof(pattern));
    assert_int_equal(execute(fixture, VIRTIO_BLK_T_IN, 40), VIRTIO_BLK_S_OK);
    assert_memory_equal(data, pattern, sizeof(pattern));
}

static void takes_a_transfer_that_does_not_move_for_a_failure(void **state)
{
    struct fixture *fixture = *state;

    connect_guest(fixture, BLK_CLIENT_FEATURES);
    set_transfers(false, true, 0);
    assert_int_equal(execute(fixture, VIRTIO_BLK_T_IN, 40), VIRTIO_BLK_S_IOERR);
    assert_int_equal(execute(fixture, VIRTIO_BLK_T_OUT, 40), VIRTIO_BLK_S_IOERR);
    set_transfers(false, false, 0);
    assert_int_equal(execute(fixture, VIRTIO_BLK_T_OUT, 40), VIRTIO_BLK_S_OK);
}

/* After a failed fsync nothing promises durability any more, and no fsync is tried to hear better
 * news. Reads and volatile writes go on. */
static void check_sticky(struct fixture *fixture)
{
    uint32_t calls = sync_calls();

    set_errors(0, 0, 0);
    for (uint32_t i = 0; i < 3; i++) {
        assert_int_equal(execute(fixture, VIRTIO_BLK_T_FLUSH, 0), VIRTIO_BLK_S_IOERR);
    }
    submit(fixture, 1, VIRTIO_BLK_T_FLUSH, 0);
    assert_int_equal(complete(fixture, 1), VIRTIO_BLK_S_IOERR);
    assert_int_equal(execute(fixture, VIRTIO_BLK_T_IN, 40), VIRTIO_BLK_S_OK);
    assert_int_equal(sync_calls(), calls);
}

static void fails_every_flush_after_a_failed_fsync(void **state)
{
    struct fixture *fixture = *state;

    connect_guest(fixture, BLK_CLIENT_FEATURES);
    set_errors(0, 0, EIO);
    assert_int_equal(execute(fixture, VIRTIO_BLK_T_FLUSH, 0), VIRTIO_BLK_S_IOERR);
    check_sticky(fixture);
    assert_int_equal(execute(fixture, VIRTIO_BLK_T_OUT, 40), VIRTIO_BLK_S_OK);
    vhost_frontend_disconnect(&fixture->frontend);
    connect_guest(fixture, BLK_CLIENT_FEATURES);
    check_sticky(fixture);
    vhost_frontend_disconnect(&fixture->frontend);
    connect_guest(fixture, NO_FLUSH);
    assert_int_equal(execute(fixture, VIRTIO_BLK_T_OUT, 40), VIRTIO_BLK_S_IOERR);
    assert_int_equal(execute(fixture, VIRTIO_BLK_T_IN, 40), VIRTIO_BLK_S_OK);
    vhost_frontend_disconnect(&fixture->frontend);
    assert_true(stop_backend(fixture) < 0);
    start_backend(fixture, false); /* until restart */
    reset_queues(fixture);
    connect_guest(fixture, BLK_CLIENT_FEATURES);
    assert_int_equal(execute(fixture, VIRTIO_BLK_T_FLUSH, 0), VIRTIO_BLK_S_OK);
}

static void does_not_confirm_that_the_cache_is_off_when_the_fsync_failed(void **state)
{
    struct fixture *fixture = *state;

    connect_guest(fixture, BLK_CLIENT_FEATURES);
    set_errors(0, 0, EIO);
    assert_int_equal(set_cache_mode(fixture, 0), -EREMOTEIO);
    check_sticky(fixture);
    assert_int_equal(execute(fixture, VIRTIO_BLK_T_OUT, 40), VIRTIO_BLK_S_IOERR);
}

static void takes_a_failed_durable_write_for_a_failed_fsync(void **state)
{
    struct fixture *fixture = *state;

    connect_guest(fixture, BLK_CLIENT_FEATURES);
    set_errors(0, EIO, 0);
    assert_int_equal(execute(fixture, VIRTIO_BLK_T_OUT, 40), VIRTIO_BLK_S_IOERR);
    check_sticky(fixture);
    assert_int_equal(execute(fixture, VIRTIO_BLK_T_OUT, 40), VIRTIO_BLK_S_IOERR);
}

static void says_when_the_last_fsync_failed(void **state)
{
    struct fixture *fixture = *state;

    connect_guest(fixture, BLK_CLIENT_FEATURES);
    set_errors(0, 0, EIO);
    assert_true(stop_backend(fixture) < 0);
}

#define DISK_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
#define WRITE_THROUGH_TEST(name)                                                                   \
    cmocka_unit_test_setup_teardown(name, setup_write_through, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        DISK_TEST(writes_through_the_cache_and_flushes_with_an_fsync),
        WRITE_THROUGH_TEST(writes_durably_when_it_is_configured_to),
        DISK_TEST(writes_durably_for_a_driver_that_cannot_flush),
        DISK_TEST(makes_volatile_writes_durable_when_the_next_driver_cannot_flush),
        DISK_TEST(syncs_before_it_confirms_that_the_cache_is_off),
        DISK_TEST(waits_for_writes_in_flight_before_it_confirms_that_the_cache_is_off),
        cmocka_unit_test_setup_teardown(syncs_after_the_writes_that_were_in_flight, setup_uring,
                                        teardown),
        cmocka_unit_test_setup_teardown(lets_the_next_front_end_wait_while_the_old_one_drains,
                                        setup_uring, teardown),
        cmocka_unit_test_setup_teardown(stops_a_ring_only_when_its_requests_have_ended, setup_uring,
                                        teardown),
        DISK_TEST(keeps_the_cache_mode_over_connections),
        DISK_TEST(writes_durably_to_a_ring_that_resumes_in_a_new_process),
        DISK_TEST(trusts_the_cache_again_when_the_guest_starts_afresh),
        DISK_TEST(syncs_when_it_stops),
        DISK_TEST(flushes_what_another_queue_wrote),
        DISK_TEST(ends_failing_writes_with_an_error_and_goes_on),
        DISK_TEST(ends_failing_reads_with_an_error_and_goes_on),
        DISK_TEST(continues_short_transfers_and_interrupted_calls),
        DISK_TEST(takes_a_transfer_that_does_not_move_for_a_failure),
        DISK_TEST(fails_every_flush_after_a_failed_fsync),
        DISK_TEST(does_not_confirm_that_the_cache_is_off_when_the_fsync_failed),
        WRITE_THROUGH_TEST(takes_a_failed_durable_write_for_a_failed_fsync),
        DISK_TEST(says_when_the_last_fsync_failed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
