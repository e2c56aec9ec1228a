/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * The life of a device against a kernel that is none (fake_ublk), with queues that only note what
 * they are told.
 */
/* wrap: ublk_ring_open ublk_ring_close ublk_ring_begin ublk_ring_wait ublk_ctrl_list */
/* wrap: ublk_queue_create ublk_queue_limit_waits ublk_queue_ended ublk_queue_failure */
/* wrap: ublk_queue_destroy open eventfd calloc fdatasync clock_gettime */
#include "ublk/ublk_device.h"

#include "support/cmocka_test.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/event.h"
#include "support/fake_ublk.h"
#include "support/test_device.h"
#include "ublk/ublk_identity.h"
#include "ublk/ublk_queue.h"

enum { QUEUES = 2, DEPTH = 16, OPENS_MAX = 4 };

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
static int open_errnos[OPENS_MAX]; /* of the next opens of a character device; 0: it opens */
static uint32_t opens;
static uint32_t queues_at_stop, queues_at_delete;
static uint64_t limit_at_start_ns;
static bool eventfd_fails, calloc_fails;
static int sync_errno;
static uint64_t skipped_ns; /* every look at the clock is so much later */
static uint64_t skip_ns;

uint32_t __wrap_ublk_ctrl_list(uint32_t *ids, uint32_t max);
int __wrap_ublk_queue_create(const struct ublk_queue_params *params, struct ublk_queue **out,
                             struct error *error);
void __wrap_ublk_queue_limit_waits(struct ublk_queue *queue, uint64_t deadline_ns);
bool __wrap_ublk_queue_ended(const struct ublk_queue *queue);
int __wrap_ublk_queue_failure(const struct ublk_queue *queue);
void __wrap_ublk_queue_destroy(struct ublk_queue *queue);
int __wrap_open(const char *path, int flags, ...);
int __real_eventfd(unsigned count, int flags);
int __wrap_eventfd(unsigned count, int flags);
void *__real_calloc(size_t count, size_t byte_len);
void *__wrap_calloc(size_t count, size_t byte_len);
int __wrap_fdatasync(int fd);
int __real_clock_gettime(clockid_t clock, struct timespec *now);
int __wrap_clock_gettime(clockid_t clock, struct timespec *now);

uint32_t __wrap_ublk_ctrl_list(uint32_t *ids, uint32_t max)
{
    assert_true(max >= FAKE_UBLK_DEVICES);
    for (uint32_t i = 0; i < FAKE_UBLK_DEVICES; i++)
        ids[i] = i;
    return FAKE_UBLK_DEVICES;
}

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

int __wrap_open(const char *path, int flags, ...)
{
    assert_int_equal(0, strncmp("/dev/ublkc", path, 10));
    assert_true(fake_ublk.devices[path[10] - '0'].exists);
    assert_int_equal(O_RDWR | O_CLOEXEC, flags);
    errno = opens < OPENS_MAX ? open_errnos[opens] : 0;
    opens++;
    return errno ? -1 : memfd_create("ublkc", MFD_CLOEXEC);
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
    errno = sync_errno;
    return sync_errno ? -1 : 0;
}

int __wrap_clock_gettime(clockid_t clock, struct timespec *now)
{
    int result = __real_clock_gettime(clock, now);
    skipped_ns += skip_ns;
    now->tv_sec += (time_t)(skipped_ns / 1000000000u);
    return result;
}

static struct test_device *test;
static struct ublk_device *device;
static struct error error;
static uint64_t hash;
static int stop_fd;

static uint32_t queues_there(void)
{
    return (uint32_t)queues[0].exists + queues[1].exists;
}

static void note_order(uint8_t number)
{
    if (number == UBLK_CMD_START_DEV || number == UBLK_CMD_END_USER_RECOVERY)
        limit_at_start_ns = queues[0].wait_ends_ns;
    if (number == UBLK_CMD_STOP_DEV)
        queues_at_stop = queues_there();
    if (number == UBLK_CMD_DEL_DEV)
        queues_at_delete = queues_there();
}

static int setup(void **state)
{
    (void)state;
    fake_ublk_reset();
    fake_ublk.before = note_order;
    memset(queues, 0, sizeof(queues));
    memset(open_errnos, 0, sizeof(open_errnos));
    create_fails_at = opens = 0;
    create_failure = 0;
    eventfd_fails = calloc_fails = false;
    sync_errno = 0;
    skip_ns = skipped_ns = 0;
    queues_at_stop = queues_at_delete = 99;
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
    assert_int_equal(0, stop());
    assert_false(fake_ublk.devices[0].exists);
    assert_true(fake_ublk_place(UBLK_CMD_STOP_DEV) < fake_ublk_place(UBLK_CMD_DEL_DEV));
    assert_int_equal(QUEUES, queues_at_stop); /* which carry out what it waits for */
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

static void warns_where_a_device_cannot_be_kept(void **state)
{
    (void)state;
    fake_ublk.features = UBLK_F_CMD_IOCTL_ENCODE;
    assert_int_equal(0, start(UBLK_ANY_ID));
    assert_true(test_device_logged(test, "cannot keep a device"));
}

static void says_why_no_device_is_made(void **state)
{
    (void)state;
    fake_ublk.open_result = -ENOTSUP;
    refused(-ENOTSUP, UBLK_ANY_ID, "no ublk here");
    fake_ublk.open_result = 0;
    const struct {
        uint8_t number;
        int result;
        const char *text;
    } refusals[] = {
        {UBLK_CMD_ADD_DEV, -EPERM, "CAP_SYS_ADMIN"},
        {UBLK_CMD_ADD_DEV, -ENOMEM, "does not make a ublk device"},
        {UBLK_CMD_SET_PARAMS, -EINVAL, "refuses the parameters"},
        {UBLK_CMD_START_DEV, -EINTR, "starting ublk device 0"},
    };
    for (size_t i = 0; i < sizeof(refusals) / sizeof(*refusals); i++) {
        fake_ublk.fail_number = refusals[i].number;
        fake_ublk.fail_result = refusals[i].result;
        fake_ublk.fail_times = 1;
        refused(refusals[i].result, UBLK_ANY_ID, refusals[i].text);
        assert_false(fake_ublk.devices[0].exists);
    }
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

static void waits_for_the_node_of_the_character_device(void **state)
{
    (void)state;
    open_errnos[0] = ENOENT;
    open_errnos[1] = EBUSY;
    assert_int_equal(0, start(UBLK_ANY_ID));
    assert_int_equal(3, opens);
}

static void does_not_wait_for_a_node_that_it_may_not_open(void **state)
{
    (void)state;
    open_errnos[0] = EACCES;
    refused(-EACCES, UBLK_ANY_ID, "cannot open /dev/ublkc0");
    assert_int_equal(1, opens);
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

static void waits_until_the_kernel_has_noticed_that_the_server_is_gone(void **state)
{
    (void)state;
    plant_ours(1, UBLK_S_DEV_LIVE);
    fake_ublk.live_looks = 3;
    fake_ublk.fail_number = UBLK_CMD_START_USER_RECOVERY;
    fake_ublk.fail_result = -EBUSY;
    fake_ublk.fail_times = 2;
    assert_int_equal(0, start(1));
    assert_int_equal(3, fake_ublk_count(UBLK_CMD_START_USER_RECOVERY));
}

static void leaves_a_device_alone_that_is_served(void **state)
{
    (void)state;
    plant_ours(1, UBLK_S_DEV_LIVE);
    skip_ns = 3000000000;
    refused(-EBUSY, UBLK_ANY_ID, "ublk device 1 is being served by process 4711");
    assert_int_equal(UBLK_S_DEV_LIVE, fake_ublk.devices[1].info.state);
}

static void makes_a_device_anew_that_was_never_started(void **state)
{
    (void)state;
    plant_ours(2, UBLK_S_DEV_DEAD)->params.basic.dev_sectors = 0;
    assert_int_equal(0, start(UBLK_ANY_ID));
    assert_int_equal(2, ublk_device_id(device));
    assert_int_equal(1, fake_ublk_count(UBLK_CMD_DEL_DEV));
    assert_int_equal(1, fake_ublk_count(UBLK_CMD_START_DEV));
}

static void never_takes_another_disks_device(void **state)
{
    (void)state;
    plant_ours(2, UBLK_S_DEV_QUIESCED)->info.ublksrv_flags = hash + 1;
    refused(-EINVAL, 2, "ublk device 2 is not of this disk");
    assert_int_equal(UBLK_S_DEV_QUIESCED, fake_ublk.devices[2].info.state);
    assert_int_equal(0, start(UBLK_ANY_ID)); /* but makes one */
    assert_int_equal(0, ublk_device_id(device));
}

static void takes_over_nothing_that_does_not_match(void **state)
{
    (void)state;
    plant_ours(2, UBLK_S_DEV_QUIESCED)->params.basic.dev_sectors = 99;
    refused(-EINVAL, UBLK_ANY_ID, "has 99 sectors");
    plant_ours(2, 3); /* FAIL_IO: its requests have failed */
    refused(-EBUSY, UBLK_ANY_ID, "in state 3");
    plant_ours(4, UBLK_S_DEV_QUIESCED);
    plant_ours(2, UBLK_S_DEV_QUIESCED);
    refused(-EEXIST, UBLK_ANY_ID, "ublk devices 2 and 4 are both of this disk");
    assert_int_equal(0, start(4));
}

static void leaves_what_it_could_not_take_over(void **state)
{
    (void)state;
    plant_ours(2, UBLK_S_DEV_QUIESCED);
    const uint8_t numbers[] = {UBLK_CMD_GET_PARAMS, UBLK_CMD_START_USER_RECOVERY,
                               UBLK_CMD_END_USER_RECOVERY};
    for (int i = 0; i < 3; i++) {
        fake_ublk.fail_number = numbers[i];
        fake_ublk.fail_result = -EINTR;
        fake_ublk.fail_times = 1;
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
    fake_ublk.devices[0].exists = false; /* removed as well */
    assert_int_equal(0, stop());
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
    assert_int_equal(0, fake_ublk_count(UBLK_CMD_DEL_DEV));
}

static void ends_although_the_last_commands_fail(void **state)
{
    (void)state;
    assert_int_equal(0, start(UBLK_ANY_ID));
    fake_ublk.fail_number = UBLK_CMD_STOP_DEV;
    fake_ublk.fail_result = -EINTR;
    fake_ublk.fail_times = 1;
    assert_int_equal(0, stop());
    assert_true(test_device_logged(test, "cannot be stopped"));
    assert_int_equal(0, start(UBLK_ANY_ID));
    fake_ublk.fail_number = UBLK_CMD_DEL_DEV;
    fake_ublk.fail_times = 1;
    assert_int_equal(0, stop());
    assert_true(test_device_logged(test, "cannot be removed"));
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
        TEST(warns_where_a_device_cannot_be_kept),
        TEST(says_why_no_device_is_made),
        TEST(waits_for_the_node_of_the_character_device),
        TEST(does_not_wait_for_a_node_that_it_may_not_open),
        TEST(gives_up_when_a_queue_is_refused),
        TEST(takes_over_the_device_of_its_disk),
        TEST(waits_until_the_kernel_has_noticed_that_the_server_is_gone),
        TEST(leaves_a_device_alone_that_is_served),
        TEST(makes_a_device_anew_that_was_never_started),
        TEST(never_takes_another_disks_device),
        TEST(takes_over_nothing_that_does_not_match),
        TEST(leaves_what_it_could_not_take_over),
        TEST(a_start_waits_for_stripes_only_so_long),
        TEST(notices_that_somebody_else_stopped_it),
        TEST(leaves_a_device_to_the_next_server_when_a_queue_failed),
        TEST(ends_although_the_last_commands_fail),
        TEST(tells_when_the_last_sync_failed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
