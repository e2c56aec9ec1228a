/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Whoever starts, waits and stops is the control plane's thread; there is none of our own, because
 * between start and stop the kernel wants nothing but what the queues do.
 *
 * A start looks for partitions with a lock held, reads, and so may wait for stripes that cannot be
 * had. The kernel needs that lock for a device whose server was killed: so such a wait is short.
 *
 * The order of a stop is given by who waits for whom: STOP_DEV for the requests, so the queues
 * still run; DEL_DEV for every descriptor, mapping and ring of the character device, so they are
 * gone by then.
 */
#include "ublk_device.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/event.h"
#include "base/sector.h"
#include "ublk/ublk_identity.h"
#include "ublk/ublk_queue.h"

/* How long the kernel may take to notice that a server is gone, and udev to make a node. */
enum { PATIENCE_MS = 10000, RETRY_MS = 20, DEVICES_MAX = 1024 };

/* How long a start may wait for stripes. */
enum { START_WAIT_MS = 2000 };

struct ublk_device {
    struct blk_device *disk;
    struct log *log;
    struct ublk_ctrl ctrl;
    struct ublksrv_ctrl_dev_info info;
    struct ublk_params params;
    uint64_t hash;
    uint32_t stop_timeout_ms;
    int stop_fd;
    int ended_fd;
    int char_fd;
    bool recovered;
    struct ublk_queue *queues[BLK_QUEUE_COUNT_MAX];
};

static bool later(uint64_t end_ns)
{
    if (clock_now_ns() >= end_ns)
        return false;
    poll(NULL, 0, RETRY_MS);
    return true;
}

static uint64_t patience_ends_ns(void)
{
    return clock_now_ns() + PATIENCE_MS * UINT64_C(1000000);
}

/* --- making or finding the device --------------------------------------------------------------
 */

static int make_device(struct ublk_device *device, int32_t dev_id, struct error *error)
{
    device->info = ublk_identity_info(device->disk, device->hash, device->ctrl.features);
    device->info.dev_id = (uint32_t)dev_id;
    int result = ublk_ctrl_add(&device->ctrl, &device->info);
    if (result == -EPERM || result == -EACCES) {
        return error_set(error, result,
                         "the kernel forbids making a ublk device: CAP_SYS_ADMIN "
                         "is needed");
    }
    if (result < 0)
        return error_set_errno(error, result, "the kernel does not make a ublk device");
    if (device->info.nr_hw_queues < device->disk->queue_count) {
        log_write(device->log, LOG_WARN,
                  "num_queues is %u, and the kernel makes one queue per CPU at most: %u",
                  device->disk->queue_count, device->info.nr_hw_queues);
    }
    if (!(device->info.flags & UBLK_F_USER_RECOVERY))
        log_write(device->log, LOG_WARN,
                  "this kernel's ublk cannot keep a device whose server was killed");
    result = ublk_ctrl_set_params(&device->ctrl, device->info.dev_id, &device->params);
    if (result < 0) {
        ublk_ctrl_delete(&device->ctrl, device->info.dev_id);
        return error_set_errno(error, result, "the kernel refuses the parameters of ublk device %u",
                               device->info.dev_id);
    }
    return 0;
}

static int check_match(struct ublk_device *device, struct error *error)
{
    struct ublk_params params;
    int result = ublk_ctrl_params(&device->ctrl, device->info.dev_id, &params);
    if (result < 0)
        return error_set_errno(error, result, "asking for the parameters of ublk device %u",
                               device->info.dev_id);
    return ublk_identity_match(device->disk, device->hash, &device->info, &params, error);
}

/* The last server died a moment ago, perhaps: we hold the disk's lock, which it had. */
static int wait_for_quiesced(struct ublk_device *device, struct error *error)
{
    uint32_t id = device->info.dev_id;
    uint64_t end_ns = patience_ends_ns();
    int result = 0;
    while (device->info.state == UBLK_S_DEV_LIVE && later(end_ns))
        if ((result = ublk_ctrl_info(&device->ctrl, id, &device->info)) < 0)
            return error_set_errno(error, result, "asking for ublk device %u", id);
    if (device->info.state == UBLK_S_DEV_LIVE)
        return error_set(error, -EBUSY, "ublk device %u is being served by process %d", id,
                         device->info.ublksrv_pid);
    return 0;
}

static int begin_recovery(struct ublk_device *device, struct error *error)
{
    uint32_t id = device->info.dev_id;
    uint64_t end_ns = patience_ends_ns();
    int result;
    while ((result = ublk_ctrl_recover(&device->ctrl, id)) == -EBUSY && later(end_ns))
        continue;
    if (result < 0)
        return error_set_errno(error, result, "ublk device %u cannot be taken over", id);
    device->recovered = true;
    log_write(device->log, LOG_INFO, "taking over ublk device %u from process %d", id,
              device->info.ublksrv_pid);
    return 0;
}

/* device->info is that of a device that exists already. */
static int adopt_device(struct ublk_device *device, struct error *error)
{
    uint32_t id = device->info.dev_id;
    if (device->info.ublksrv_flags == device->hash) {
        int result = wait_for_quiesced(device, error);
        if (result < 0)
            return result;
    }
    int result = check_match(device, error);
    if (device->info.ublksrv_flags == device->hash && device->info.state == UBLK_S_DEV_DEAD) {
        ublk_ctrl_delete(&device->ctrl, id);
        return make_device(device, (int32_t)id, error);
    }
    if (result < 0)
        return result;
    if (device->info.state != UBLK_S_DEV_QUIESCED)
        return error_set(error, -EBUSY, "ublk device %u is in state %u and cannot be taken over",
                         id, device->info.state);
    return begin_recovery(device, error);
}

/* Looks for the one device with our hash. Returns 1 when there is one, 0 when none. */
static int find_device(struct ublk_device *device, struct error *error)
{
    uint32_t ids[DEVICES_MAX];
    uint32_t count = ublk_ctrl_list(ids, DEVICES_MAX);
    int found = 0;
    for (uint32_t i = 0; i < count; i++) {
        struct ublksrv_ctrl_dev_info info;
        if (ublk_ctrl_info(&device->ctrl, ids[i], &info) < 0 || info.ublksrv_flags != device->hash)
            continue;
        if (found) {
            return error_set(error, -EEXIST,
                             "ublk devices %u and %u are both of this disk; choose one with "
                             "--dev-id, or --delete the other",
                             device->info.dev_id, ids[i]);
        }
        device->info = info;
        found = 1;
    }
    return found;
}

static int provide_device(struct ublk_device *device, int32_t dev_id, struct error *error)
{
    int found;
    if (dev_id == UBLK_ANY_ID)
        found = find_device(device, error);
    else
        found = ublk_ctrl_info(&device->ctrl, (uint32_t)dev_id, &device->info) == 0;
    if (found < 0)
        return found;
    return found ? adopt_device(device, error) : make_device(device, dev_id, error);
}

/* --- serving it --------------------------------------------------------------------------------
 */

static int open_char_device(struct ublk_device *device, struct error *error)
{
    char path[32];
    snprintf(path, sizeof(path), "/dev/ublkc%u", device->info.dev_id);
    uint64_t end_ns = patience_ends_ns();
    do {
        device->char_fd = open(path, O_RDWR | O_CLOEXEC);
    } while (device->char_fd < 0 && (errno == ENOENT || errno == EBUSY) && later(end_ns));
    return device->char_fd < 0 ? error_set_errno(error, -errno, "cannot open %s", path) : 0;
}

static const cpu_set_t *cpus_of(struct ublk_device *device, const int *cpus, uint32_t q_id,
                                cpu_set_t *set)
{
    if (!cpus)
        return ublk_ctrl_affinity(&device->ctrl, device->info.dev_id, q_id, set) == 0 ? set : NULL;
    CPU_ZERO(set);
    CPU_SET((size_t)cpus[q_id], set);
    return set;
}

static int start_queues(struct ublk_device *device, const int *cpus, struct error *error)
{
    for (uint32_t i = 0; i < device->info.nr_hw_queues; i++) {
        cpu_set_t set;
        const struct ublk_queue_params params = {
            .device = device->disk,
            .q_id = i,
            .q_depth = device->info.queue_depth,
            .buffer_bytes = (uint32_t)sectors_to_bytes(device->params.basic.max_sectors),
            .encoded = device->ctrl.encoded,
            .char_fd = device->char_fd,
            .ended_fd = device->ended_fd,
            .cpus = cpus_of(device, cpus, i, &set),
        };
        int result = ublk_queue_create(&params, &device->queues[i], error);
        if (result < 0)
            return result;
    }
    return 0;
}

/* The first failure of a queue that has ended, or 0. */
static int queue_failure(const struct ublk_device *device)
{
    for (uint32_t i = 0; i < device->info.nr_hw_queues; i++) {
        const struct ublk_queue *queue = device->queues[i];
        if (queue && ublk_queue_ended(queue) && ublk_queue_failure(queue) < 0)
            return ublk_queue_failure(queue);
    }
    return 0;
}

static void limit_waits(struct ublk_device *device, uint64_t deadline_ns)
{
    for (uint32_t i = 0; i < device->info.nr_hw_queues; i++)
        if (device->queues[i])
            ublk_queue_limit_waits(device->queues[i], deadline_ns);
}

static void stop_queues(struct ublk_device *device)
{
    limit_waits(device, clock_now_ns() + device->stop_timeout_ms * UINT64_C(1000000));
}

/* Until the kernel has answered; a queue that ends before has been refused. */
static int run_device(struct ublk_device *device, struct error *error)
{
    uint32_t id = device->info.dev_id;
    if (!device->recovered)
        limit_waits(device, clock_now_ns() + START_WAIT_MS * UINT64_C(1000000));
    int result = ublk_ctrl_run(&device->ctrl, id, device->recovered);
    if (result < 0)
        return error_set_errno(error, result, "starting ublk device %u", id);
    int32_t answer = 0;
    if (ublk_ctrl_wait(&device->ctrl, &device->ended_fd, 1, &answer) >= 0) {
        result = queue_failure(device);
        return error_set_errno(error, result < 0 ? result : -ENODEV,
                               "a queue of ublk device %u ended", id);
    }
    limit_waits(device, UINT64_MAX);
    return answer < 0 ? error_set_errno(error, answer, "starting ublk device %u", id) : 0;
}

static void end_queues(struct ublk_device *device)
{
    for (uint32_t i = 0; i < BLK_QUEUE_COUNT_MAX; i++) {
        ublk_queue_destroy(device->queues[i]);
        device->queues[i] = NULL;
    }
    if (device->char_fd >= 0)
        close(device->char_fd);
    device->char_fd = -1;
}

static void device_free(struct ublk_device *device)
{
    ublk_ctrl_close(&device->ctrl);
    if (device->ended_fd >= 0)
        close(device->ended_fd);
    free(device);
}

static int serve_device(struct ublk_device *device, const struct ublk_device_params *params,
                        struct error *error)
{
    int result = open_char_device(device, error);
    if (result == 0)
        result = start_queues(device, params->cpus, error);
    if (result == 0)
        result = run_device(device, error);
    if (result == 0)
        return 0;
    /* The command that is under way ends with its ring. */
    ublk_ctrl_close(&device->ctrl);
    end_queues(device);
    struct error again = {0};
    if (ublk_ctrl_open(&device->ctrl, &again) < 0) {
        log_write(device->log, LOG_WARN, "ublk device %u is left: %s", device->info.dev_id,
                  again.message);
        if (device->ended_fd >= 0)
            close(device->ended_fd);
        free(device);
        return result;
    }
    if (!device->recovered) {
        ublk_ctrl_stop(&device->ctrl, device->info.dev_id);
        ublk_ctrl_delete(&device->ctrl, device->info.dev_id);
    }
    device_free(device);
    return result;
}

static int device_open(struct ublk_device *device, int32_t dev_id, struct error *error)
{
    int result = ublk_ctrl_open(&device->ctrl, error);
    if (result < 0)
        return result;
    device->ended_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (device->ended_fd < 0)
        result = error_set_errno(error, -errno, "eventfd");
    if (result == 0)
        result = ublk_identity_hash(device->disk->file.fd, &device->hash);
    if (result == 0)
        result = provide_device(device, dev_id, error);
    if (result < 0) {
        ublk_ctrl_close(&device->ctrl);
        if (device->ended_fd >= 0)
            close(device->ended_fd);
    }
    return result;
}

int ublk_device_start(struct blk_device *disk, const struct ublk_device_params *params,
                      struct log *log, struct ublk_device **out, struct error *error)
{
    if (disk->queue_size > UBLK_MAX_QUEUE_DEPTH)
        return error_set(error, -EINVAL, "queue_size must be at most %d for ublk, is %u",
                         UBLK_MAX_QUEUE_DEPTH, disk->queue_size);
    struct ublk_device *device = calloc(1, sizeof(*device));
    if (!device)
        return error_set(error, -ENOMEM, "no memory for the ublk device");
    disk->private_memory = true;
    *device = (struct ublk_device){
        .disk = disk,
        .log = log,
        .params = ublk_identity_params(disk),
        .stop_timeout_ms = params->stop_timeout_ms,
        .stop_fd = params->stop_fd,
        .ended_fd = -1,
        .char_fd = -1,
    };
    int result = device_open(device, params->dev_id, error);
    if (result < 0) {
        free(device);
        return result;
    }
    result = serve_device(device, params, error);
    if (result == 0)
        *out = device;
    return result;
}

uint32_t ublk_device_id(const struct ublk_device *device)
{
    return device->info.dev_id;
}

uint64_t ublk_device_hash(const struct ublk_device *device)
{
    return device->info.ublksrv_flags;
}

static bool all_ended(const struct ublk_device *device)
{
    for (uint32_t i = 0; i < device->info.nr_hw_queues; i++)
        if (!ublk_queue_ended(device->queues[i]))
            return false;
    return true;
}

int ublk_device_wait(struct ublk_device *device)
{
    for (;;) {
        struct pollfd events[] = {{.fd = device->stop_fd, .events = POLLIN},
                                  {.fd = device->ended_fd, .events = POLLIN}};
        if (poll(events, 2, -1) < 0)
            continue;
        if (events[0].revents)
            return 0;
        event_drain(device->ended_fd);
        int failure = queue_failure(device);
        if (failure < 0)
            return failure;
        if (all_ended(device))
            return 1;
    }
}

/* --- the end -----------------------------------------------------------------------------------
 */

static void remove_device(struct ublk_device *device)
{
    int result = ublk_ctrl_delete(&device->ctrl, device->info.dev_id);
    if (result < 0 && result != -ENODEV)
        log_write(device->log, LOG_WARN, "ublk device %u cannot be removed: errno %d",
                  device->info.dev_id, -result);
}

int ublk_device_stop(struct ublk_device *device)
{
    bool failed = queue_failure(device) < 0;
    stop_queues(device);
    if (!failed) {
        int result = ublk_ctrl_stop(&device->ctrl, device->info.dev_id);
        if (result < 0 && result != -ENODEV)
            log_write(device->log, LOG_WARN, "ublk device %u cannot be stopped: errno %d",
                      device->info.dev_id, -result);
    } else {
        log_write(device->log, LOG_WARN, "ublk device %u is left to the next server",
                  device->info.dev_id);
    }
    end_queues(device);
    int result = blk_device_sync(device->disk);
    if (!failed)
        remove_device(device);
    device_free(device);
    return result;
}
