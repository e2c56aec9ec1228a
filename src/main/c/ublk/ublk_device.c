/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Whoever starts, waits and stops is the control plane's thread; there is none of our own, because
 * between start and stop the kernel wants nothing but what the queues do.
 *
 * A start looks for partitions with a lock held, reads, and so may wait for stripes that cannot be
 * had. The kernel needs that lock for a device whose server was killed: so such a wait is short.
 *
 * The order of a stop is given by who waits for whom: writeback and STOP_DEV for the requests,
 * so the queues still run; DEL_DEV for every descriptor, mapping and ring of the character device,
 * so they are gone by then. As long as we have that device open nobody else can get its number, so
 * what takes long comes before.
 */
#include "ublk_device.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/event.h"
#include "base/sector.h"
#include "ublk/ublk_identity.h"
#include "ublk/ublk_provide.h"
#include "ublk/ublk_queue.h"
#include "ublk/ublk_writeback.h"

/* How long a start may wait for stripes. */
enum { START_WAIT_MS = 2000 };

struct ublk_device {
    struct ublk_provided own;
    uint32_t stop_timeout_ms;
    int ended_fd;
    struct ublk_queue *queues[BLK_QUEUE_COUNT_MAX];
};

/* --- serving it ------------------------------------------------------------------------------- */

static const cpu_set_t *cpus_of(struct ublk_device *device, const int *cpus, uint32_t q_id,
                                cpu_set_t *set)
{
    uint32_t id = device->own.info.dev_id;
    if (!cpus)
        return ublk_ctrl_affinity(&device->own.ctrl, id, q_id, set) == 0 ? set : NULL;
    CPU_ZERO(set);
    CPU_SET((size_t)cpus[q_id], set);
    return set;
}

static int start_queues(struct ublk_device *device, const int *cpus, struct error *error)
{
    for (uint32_t i = 0; i < device->own.info.nr_hw_queues; i++) {
        cpu_set_t set;
        const struct ublk_queue_params params = {
            .device = device->own.disk,
            .q_id = i,
            .q_depth = device->own.info.queue_depth,
            .buffer_bytes = (uint32_t)sectors_to_bytes(device->own.params.basic.max_sectors),
            .encoded = device->own.ctrl.encoded,
            .char_fd = device->own.char_fd,
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
    for (uint32_t i = 0; i < device->own.info.nr_hw_queues; i++) {
        const struct ublk_queue *queue = device->queues[i];
        if (queue && ublk_queue_ended(queue) && ublk_queue_failure(queue) < 0)
            return ublk_queue_failure(queue);
    }
    return 0;
}

static void limit_waits(struct ublk_device *device, uint64_t deadline_ns)
{
    for (uint32_t i = 0; i < device->own.info.nr_hw_queues; i++)
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
    uint32_t id = device->own.info.dev_id;
    if (!device->own.recovered)
        limit_waits(device, clock_now_ns() + START_WAIT_MS * UINT64_C(1000000));
    int result = ublk_ctrl_run(&device->own.ctrl, id, device->own.recovered);
    if (result < 0)
        return error_set_errno(error, result, "starting ublk device %u", id);
    int32_t answer = 0;
    if (ublk_ctrl_wait(&device->own.ctrl, &device->ended_fd, 1, &answer) >= 0) {
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
    if (device->own.char_fd >= 0)
        close(device->own.char_fd);
    device->own.char_fd = -1;
}

static void remove_device(struct ublk_device *device)
{
    struct error error = {0};
    if (ublk_provide_remove(&device->own, &error) < 0)
        log_write(device->own.log, LOG_WARN, "%s", error.message);
}

/* But for the ring of its commands. */
static void device_free(struct ublk_device *device)
{
    if (device->ended_fd >= 0)
        close(device->ended_fd);
    free(device);
}

static int serve_device(struct ublk_device *device, const struct ublk_device_params *params,
                        struct error *error)
{
    int result = ublk_provide_node(&device->own, error);
    if (result == 0)
        result = start_queues(device, params->cpus, error);
    if (result == 0)
        result = run_device(device, error);
    if (result == 0)
        return 0;
    /* The command that is under way ends with its ring. */
    ublk_ctrl_close(&device->own.ctrl);
    end_queues(device);
    struct error again = {0};
    if (ublk_ctrl_open(&device->own.ctrl, &again) < 0) {
        log_write(device->own.log, LOG_WARN, "ublk device %u is left: %s", device->own.info.dev_id,
                  again.message);
        device_free(device);
        return result;
    }
    if (!device->own.recovered)
        remove_device(device);
    ublk_ctrl_close(&device->own.ctrl);
    device_free(device);
    return result;
}

static int device_open(struct ublk_device *device, int32_t dev_id, struct error *error)
{
    int result = ublk_ctrl_open(&device->own.ctrl, error);
    if (result < 0)
        return result;
    device->ended_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (device->ended_fd < 0)
        result = error_set_errno(error, -errno, "eventfd");
    if (result == 0)
        result = ublk_identity_hash(device->own.disk->file.fd, &device->own.hash);
    if (result == 0)
        result = ublk_provide(&device->own, dev_id, error);
    if (result < 0)
        ublk_ctrl_close(&device->own.ctrl);
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
        .own = {.disk = disk,
                .log = log,
                .params = ublk_identity_params(disk),
                .stop_fd = params->stop_fd,
                .char_fd = -1},
        .stop_timeout_ms = params->stop_timeout_ms,
        .ended_fd = -1,
    };
    int result = device_open(device, params->dev_id, error);
    if (result < 0) {
        device_free(device);
        return result;
    }
    result = serve_device(device, params, error);
    if (result == 0)
        *out = device;
    return result;
}

uint32_t ublk_device_id(const struct ublk_device *device)
{
    return device->own.info.dev_id;
}

uint64_t ublk_device_hash(const struct ublk_device *device)
{
    return device->own.hash;
}

static bool all_ended(const struct ublk_device *device)
{
    for (uint32_t i = 0; i < device->own.info.nr_hw_queues; i++)
        if (!ublk_queue_ended(device->queues[i]))
            return false;
    return true;
}

int ublk_device_wait(struct ublk_device *device)
{
    for (;;) {
        struct pollfd events[] = {{.fd = device->own.stop_fd, .events = POLLIN},
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

/* --- the end ---------------------------------------------------------------------------------- */

static void stop_device(struct ublk_device *device)
{
    uint32_t id = device->own.info.dev_id;
    int result = all_ended(device) ? 0 : ublk_writeback(id);
    if (result < 0) {
        log_write(device->own.log, LOG_WARN,
                  "not all that was written to ublk device %u could be kept: errno %d", id,
                  -result);
    }
    result = ublk_ctrl_stop(&device->own.ctrl, id);
    if (result < 0 && result != -ENODEV)
        log_write(device->own.log, LOG_WARN, "ublk device %u cannot be stopped: errno %d", id,
                  -result);
}

int ublk_device_stop(struct ublk_device *device)
{
    bool failed = queue_failure(device) < 0;
    stop_queues(device);
    if (failed) {
        log_write(device->own.log, LOG_WARN, "ublk device %u is left to the next server",
                  device->own.info.dev_id);
    } else {
        stop_device(device);
    }
    int result = blk_device_sync(device->own.disk);
    end_queues(device);
    if (!failed)
        remove_device(device);
    ublk_ctrl_close(&device->own.ctrl);
    device_free(device);
    return result;
}
