/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * The life of a device against a kernel that is none (fake_ublk), with queues that only note what
 * they are told.
 */
/* wrap: ublk_ring_open ublk_ring_close ublk_ring_begin ublk_ring_wait ublk_ctrl_list */
/* wrap: ublk_queue_create ublk_queue_limit_waits ublk_queue_ended ublk_queue_failure */
/* wrap: ublk_writeback ublk_queue_destroy open eventfd calloc fdatasync */
#include "ublk/ublk_device.h"

#include "support/cmocka_test.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/event.h"
#include "support/fake_ublk.h"
#include "support/test_device.h"
#include "ublk/ublk_identity.h"
#include "ublk/ublk_queue.h"

enum { QUEUES = 2, DEPTH = 16 };

/* What stands for a queue. */
struct ublk_queue {
    bool exists;
    bool ended;
    int failure;
    uint64_t wait_ends_ns;
    uint32_t cpu; /* the first of its set */
};

static struct ublk_queue queues[QUEUES];
static uint32_t create_fails_at; /* 1: the first queue */
static int create_failure;       /* not 0: queues end at once, for that reason */
static int ended_fd;
static int open_errno; /* of opens of a character device; 0: it opens */
static uint16_t number_state;
static uint32_t queues_at_stop, queues_at_sync, queues_at_delete;
static uint64_t limit_at_start_ns;
static bool eventfd_fails, calloc_fails;
static int sync_errno, writeback_result;

int __wrap_ublk_queue_create(const struct ublk_queue_params *params, struct ublk_queue **out,
                             struct error *error);
void __wrap_ublk_queue_limit_waits(struct ublk_queue *queue, uint64_t deadline_ns);
bool __wrap_ublk_queue_ended(const struct ublk_queue *queue);
int __wrap_ublk_queue_failure(const struct ublk_queue *queue);
void __wrap_ublk_queue_destroy(struct ublk_queue *queue);
int __wrap_ublk_writeback(uint32_t dev_id);
int __wrap_open(const char *path, int flags, ...);
int __real_eventfd(unsigned count, int flags);
int __wrap_eventfd(unsigned count, int flags);
void *__real_calloc(size_t count, size_t byte_len);
void *__wrap_calloc(size_t count, size_t byte_len);
int __wrap_fdatasync(int fd);

int __wrap_ublk_queue_create(const struct ublk_queue_params *params, struct ublk_queue **out,
                             struct error *error)
{
    struct ublk_queue *queue = &queues[params->q_id];
    if (create_fails_at == params->q_id + 1)
        return error_set(error, -ENOMEM, "no queue");
    assert_int_equal(DEPTH, params->q_depth);
    assert_int_equal(65536, params->buffer_bytes);
    assert_true(params->encoded);
    ended_fd = params->ended_fd;
    *queue = (struct ublk_queue){.exists = true,
                                 .ended = create_failure != 0,
                                 .failure = create_failure,
                                 .wait_ends_ns = UINT64_MAX};
    if (queue->ended)
        event_signal(ended_fd);
    while (params->cpus && !CPU_ISSET(queue->cpu, params->cpus))
        queue->cpu++;
    *out = queue;
    return 0;
}

void __wrap_ublk_queue_limit_waits(struct ublk_queue *queue, uint64_t deadline_ns)
{
    queue->wait_ends_ns = deadline_ns;
}

bool __wrap_ublk_queue_ended(const struct ublk_queue *queue)
{
    return queue->ended;
}

int __wrap_ublk_queue_failure(const struct ublk_queue *queue)
{
    return queue->failure;
}

void __wrap_ublk_queue_destroy(struct ublk_queue *queue)
{
    if (queue)
        queue->exists = false;
}

int __wrap_ublk_writeback(uint32_t dev_id)
{
    struct fake_ublk_device *written = &fake_ublk.devices[dev_id];
    assert_true(written->exists);
    assert_int_equal(UBLK_S_DEV_LIVE, written->info.state);
    assert_true(queues[0].exists); /* or it waits for ever */
    for (int i = 0; i < QUEUES; i++)
        assert_true(!queues[i].exists || queues[i].wait_ends_ns < UINT64_MAX);
    written->dirty = writeback_result != 0;
    return writeback_result;
}

int __wrap_open(const char *path, int flags, ...)
{
    assert_int_equal(0, strncmp("/dev/ublkc", path, 10));
    assert_true(fake_ublk.devices[path[10] - '0'].exists);
    assert_int_equal(O_RDWR | O_CLOEXEC, flags);
    errno = open_errno;
    return errno ? -1 : memfd_create("ublkc", MFD_CLOEXEC);
}

static uint32_t queues_there(void)
{
    return (uint32_t)queues[0].exists + queues[1].exists;
}

int __wrap_eventfd(unsigned count, int flags)
{
    errno = EMFILE;
    return eventfd_fails ? -1 : __real_eventfd(count, flags);
}

void *__wrap_calloc(size_t count, size_t byte_len)
{
    return calloc_fails ? NULL : __real_calloc(count, byte_len);
}

int __wrap_fdatasync(int fd)
{
    (void)fd;
    queues_at_sync = queues_there();
    errno = sync_errno;
    return sync_errno ? -1 : 0;
}

static struct test_device *test;
static struct ublk_device *device;
static struct error error;
static uint64_t hash;
static int stop_fd;

static void note_order(uint8_t number)
{
    if (number == UBLK_CMD_START_DEV || number == UBLK_CMD_END_USER_RECOVERY)
        limit_at_start_ns = queues[0].wait_ends_ns;
    if (number == UBLK_CMD_STOP_DEV)
        queues_at_stop = queues_there();
    if (number == DEL_DEV_ASYNC)
        queues_at_delete = queues_there();
}

static int setup(void **state)
{
    (void)state;
    fake_ublk_reset();
    fake_ublk.before = note_order;
    memset(queues, 0, sizeof(queues));
    create_fails_at = 0;
    open_errno = 0;
    create_failure = 0;
    eventfd_fails = calloc_fails = false;
    sync_errno = writeback_result = 0;
    queues_at_stop = queues_at_sync = queues_at_delete = 99;
    limit_at_start_ns = 0;
    device = NULL;
    error = (struct error){0};
    test = test_device_create(
        &(struct test_device_params){.queue_count = QUEUES, .queue_size = DEPTH});
    stop_fd = __real_eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    return ublk_identity_hash(test->device.file.fd, &hash);
}

static int teardown(void **state)
{
    (void)state;
    if (device)
        ublk_device_stop(device);
    assert_int_equal(0, fake_ublk.open_count);
    assert_int_equal(0, queues_there());
    close(stop_fd);
    test_device_destroy(test);
    return 0;
}

static int start(int32_t dev_id)
{
    const struct ublk_device_params params = {
        .dev_id = dev_id, .stop_timeout_ms = 500, .stop_fd = stop_fd};
    return ublk_device_start(&test->device, &params, test->log, &device, &error);
}

static void refused(int expected, int32_t dev_id, const char *text)
{
    assert_int_equal(expected, start(dev_id));
    if (!strstr(error.message, text))
        fail_msg("does not say \"%s\": %s", text, error.message);
    assert_null(device);
    assert_int_equal(0, fake_ublk.open_count);
    assert_int_equal(0, queues_there());
}

static int stop(void)
{
    struct ublk_device *stopped = device;
    device = NULL;
    return ublk_device_stop(stopped);
}

/* A device of this disk, as a server that is gone left it. */
static struct fake_ublk_device *plant_ours(uint32_t id, uint16_t state)
{
    struct fake_ublk_device *planted = fake_ublk_plant(id, state, hash);
    struct ublksrv_ctrl_dev_info info = ublk_identity_info(&test->device, hash, fake_ublk.features);
    info.dev_id = id;
    info.state = state;
    info.ublksrv_pid = 4711;
    planted->info = info;
    planted->params = ublk_identity_params(&test->device);
    return planted;
}

static void makes_starts_stops_and_removes_a_device(void **state)
{
    (void)state;
    assert_int_equal(0, start(UBLK_ANY_ID));
    assert_int_equal(0, ublk_device_id(device));
    assert_true(ublk_device_hash(device) == hash);
    const struct fake_ublk_device *made = &fake_ublk.devices[0];
    assert_int_equal(UBLK_S_DEV_LIVE, made->info.state);
    assert_true(made->info.ublksrv_flags == hash);
    assert_int_equal(test->device.capacity, made->params.basic.dev_sectors);
    assert_true(fake_ublk_place(UBLK_CMD_SET_PARAMS) < fake_ublk_place(UBLK_CMD_START_DEV));
    assert_int_equal(QUEUES, queues_there());
    assert_int_equal(1, queues[1].cpu); /* as the kernel advises */
    assert_true(test->device.private_memory);
    fake_ublk.devices[0].dirty = true;
    assert_int_equal(0, stop());
    assert_false(made->lost);
    assert_false(fake_ublk.devices[0].exists);
    assert_true(fake_ublk_place(UBLK_CMD_STOP_DEV) < fake_ublk_place(DEL_DEV_ASYNC));
    assert_int_equal(QUEUES, queues_at_stop); /* which carry out what it waits for */
    assert_int_equal(QUEUES, queues_at_sync); /* which keep the number meanwhile */
    assert_int_equal(0, queues_at_delete);    /* which waits until they are gone */
    assert_true(queues[0].wait_ends_ns > 0 && queues[0].wait_ends_ns < UINT64_MAX);
}

static void takes_the_number_and_the_cpus_that_are_asked_for(void **state)
{
    (void)state;
    const int cpus[QUEUES] = {5, 3};
    const struct ublk_device_params params = {.dev_id = 4, .cpus = cpus, .stop_fd = -1};
    assert_int_equal(0, ublk_device_start(&test->device, &params, test->log, &device, &error));
    assert_int_equal(4, ublk_device_id(device));
    assert_int_equal(5, queues[0].cpu);
    assert_int_equal(3, queues[1].cpu);
    assert_int_equal(0, fake_ublk_count(UBLK_CMD_GET_QUEUE_AFFINITY));
}

static void has_as_many_queues_as_the_kernel_gives(void **state)
{
    (void)state;
    fake_ublk.cpu_count = 1;
    assert_int_equal(0, start(UBLK_ANY_ID));
    assert_int_equal(1, queues_there());
    assert_true(test_device_logged(test, "one queue per CPU at most: 1"));
}

static void says_why_no_device_is_made(void **state)
{
    (void)state;
    fake_ublk.open_result = -ENOTSUP;
    refused(-ENOTSUP, UBLK_ANY_ID, "no ublk here");
    fake_ublk.open_result = 0;
    fake_ublk_fail(UBLK_CMD_START_DEV, -EINTR, 1);
    refused(-EINTR, UBLK_ANY_ID, "starting ublk device 0");
    assert_false(fake_ublk.devices[0].exists);
    create_fails_at = 2;
    refused(-ENOMEM, UBLK_ANY_ID, "no queue");
    assert_false(fake_ublk.devices[0].exists);
    eventfd_fails = true;
    refused(-EMFILE, UBLK_ANY_ID, "eventfd");
    eventfd_fails = false;
    calloc_fails = true;
    refused(-ENOMEM, UBLK_ANY_ID, "no memory");
    calloc_fails = false;
    test->device.queue_size = 8192;
    refused(-EINVAL, UBLK_ANY_ID, "queue_size must be at most 4096");
    test->device.queue_size = DEPTH;
}

static void does_not_wait_for_a_node_that_it_may_not_open(void **state)
{
    (void)state;
    open_errno = EACCES;
    refused(-EACCES, UBLK_ANY_ID, "cannot open /dev/ublkc0");
    assert_false(fake_ublk.devices[0].exists);
}

static void gives_up_when_a_queue_is_refused(void **state)
{
    (void)state;
    fake_ublk.run_hangs = true; /* for fetches that never come */
    create_failure = -EINVAL;
    refused(-EINVAL, UBLK_ANY_ID, "a queue of ublk device 0 ended");
    assert_false(fake_ublk.devices[0].exists);
}

static void takes_over_the_device_of_its_disk(void **state)
{
    (void)state;
    fake_ublk_plant(0, UBLK_S_DEV_QUIESCED, hash + 1);
    plant_ours(3, UBLK_S_DEV_QUIESCED);
    assert_int_equal(0, start(UBLK_ANY_ID));
    assert_int_equal(3, ublk_device_id(device));
    assert_int_equal(0, fake_ublk_count(UBLK_CMD_ADD_DEV));
    assert_int_equal(1, fake_ublk_count(UBLK_CMD_END_USER_RECOVERY));
    assert_int_equal(UBLK_S_DEV_LIVE, fake_ublk.devices[3].info.state);
    assert_true(test_device_logged(test, "taking over ublk device 3 from process 4711"));
    assert_int_equal(UBLK_S_DEV_QUIESCED, fake_ublk.devices[0].info.state);
}

static void leaves_what_it_could_not_take_over(void **state)
{
    (void)state;
    plant_ours(2, UBLK_S_DEV_QUIESCED);
    const uint8_t numbers[] = {UBLK_CMD_GET_PARAMS, UBLK_CMD_START_USER_RECOVERY,
                               UBLK_CMD_END_USER_RECOVERY};
    for (int i = 0; i < 3; i++) {
        fake_ublk_fail(numbers[i], -EINTR, 1);
        refused(-EINTR, UBLK_ANY_ID, "ublk device 2");
        assert_int_equal(UBLK_S_DEV_QUIESCED, fake_ublk.devices[2].info.state);
    }
    assert_int_equal(0, fake_ublk_count(UBLK_CMD_STOP_DEV));
    assert_int_equal(0, start(UBLK_ANY_ID));
}

static void a_start_waits_for_stripes_only_so_long(void **state)
{
    (void)state;
    assert_int_equal(0, start(UBLK_ANY_ID));
    assert_true(limit_at_start_ns < UINT64_MAX); /* the look for partitions */
    assert_true(queues[0].wait_ends_ns == UINT64_MAX);
    assert_int_equal(0, stop());
    plant_ours(1, UBLK_S_DEV_QUIESCED);
    assert_int_equal(0, start(UBLK_ANY_ID));
    assert_true(limit_at_start_ns == UINT64_MAX); /* what it had in flight waits as before */
}

static void notices_that_somebody_else_stopped_it(void **state)
{
    (void)state;
    assert_int_equal(0, start(UBLK_ANY_ID));
    queues[0].ended = true;
    event_signal(ended_fd);
    queues[1].ended = true;
    event_signal(ended_fd);
    assert_int_equal(1, ublk_device_wait(device));
    fake_ublk.devices[0].info.state = UBLK_S_DEV_DEAD; /* there is nothing to be written to */
    assert_int_equal(0, stop());
    assert_false(fake_ublk.devices[0].exists);
}

/* It is stopped, removed, and its number another disk's, who is served. */
static void give_the_number_away(uint8_t number)
{
    const struct fake_ublk_device *planted = &fake_ublk.devices[0];
    if (number == UBLK_CMD_GET_DEV_INFO && planted->exists && planted->info.ublksrv_flags == hash)
        fake_ublk_plant(0, number_state, hash + 1);
}

static void leaves_its_number_to_who_has_it(void **state)
{
    (void)state;
    const uint16_t states[] = {UBLK_S_DEV_LIVE, UBLK_S_DEV_QUIESCED, UBLK_S_DEV_DEAD};
    for (int i = 0; i < 3; i++) {
        fake_ublk_reset();
        assert_int_equal(0, start(UBLK_ANY_ID));
        number_state = states[i];
        fake_ublk.before = give_the_number_away;
        assert_int_equal(0, stop());
        assert_true(fake_ublk.devices[0].exists);
        assert_int_equal(states[i], fake_ublk.devices[0].info.state);
        fake_ublk_reset();
        fake_ublk.before = give_the_number_away;
        create_fails_at = 1; /* a start that fails */
        number_state = states[i];
        refused(-ENOMEM, UBLK_ANY_ID, "no queue");
        assert_true(fake_ublk.devices[0].exists);
        create_fails_at = 0;
    }
}

static void leaves_a_device_to_the_next_server_when_a_queue_failed(void **state)
{
    (void)state;
    assert_int_equal(0, start(UBLK_ANY_ID));
    queues[1].ended = true;
    queues[1].failure = -EBADF;
    event_signal(ended_fd);
    assert_int_equal(-EBADF, ublk_device_wait(device));
    assert_int_equal(0, stop());
    assert_true(fake_ublk.devices[0].exists);
    assert_int_equal(0, fake_ublk_count(UBLK_CMD_STOP_DEV));
    assert_int_equal(0, fake_ublk_count(DEL_DEV_ASYNC));
}

static void ends_although_the_last_commands_fail(void **state)
{
    (void)state;
    assert_int_equal(0, start(UBLK_ANY_ID));
    fake_ublk_fail(UBLK_CMD_STOP_DEV, -EINTR, 1);
    assert_int_equal(0, stop());
    assert_true(test_device_logged(test, "cannot be stopped"));
    assert_true(test_device_logged(test, "ublk device 0 is not stopped"));
    fake_ublk.devices[0].exists = false;
    assert_int_equal(0, start(UBLK_ANY_ID));
    fake_ublk.waits_for_del = true;
    fake_ublk_fail(UBLK_CMD_DEL_DEV, -EINTR, 1);
    assert_int_equal(0, stop());
    assert_true(test_device_logged(test, "cannot be removed"));
}

static void warns_when_not_all_could_be_written(void **state)
{
    (void)state;
    assert_int_equal(0, start(UBLK_ANY_ID));
    writeback_result = -EIO;
    assert_int_equal(0, stop());
    assert_true(test_device_logged(test, "not all that was written to ublk device 0"));
    assert_false(fake_ublk.devices[0].exists);
}

static void tells_when_the_last_sync_failed(void **state)
{
    (void)state;
    assert_int_equal(0, start(UBLK_ANY_ID));
    sync_errno = EIO;
    assert_int_equal(-EIO, stop());
    assert_false(fake_ublk.devices[0].exists);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(makes_starts_stops_and_removes_a_device),
        TEST(takes_the_number_and_the_cpus_that_are_asked_for),
        TEST(has_as_many_queues_as_the_kernel_gives),
        TEST(says_why_no_device_is_made),
        TEST(does_not_wait_for_a_node_that_it_may_not_open),
        TEST(gives_up_when_a_queue_is_refused),
        TEST(takes_over_the_device_of_its_disk),
        TEST(leaves_what_it_could_not_take_over),
        TEST(a_start_waits_for_stripes_only_so_long),
        TEST(notices_that_somebody_else_stopped_it),
        TEST(leaves_its_number_to_who_has_it),
        TEST(leaves_a_device_to_the_next_server_when_a_queue_failed),
        TEST(ends_although_the_last_commands_fail),
        TEST(warns_when_not_all_could_be_written),
        TEST(tells_when_the_last_sync_failed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
