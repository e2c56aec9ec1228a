/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Devices are looked for by hash, among all of the host. The kernel notices only after a while that
 * a server is gone, and udev makes nodes a moment later, so both are waited for.
 */
#include "ublk_provide.h"

#include <errno.h>
#include <poll.h>

#include "base/clock.h"
#include "ublk/ublk_identity.h"

/*
 * How long udev may take to make a node, or the last user to close one; and how long the kernel to
 * notice that a server is gone: when that had all requests of a queue, it notices by their timer of
 * 30 s only.
 */
enum { NODE_PATIENCE_MS = 10000, DEATH_PATIENCE_MS = 60000, RETRY_MS = 20 };

/* False when the time is over, or the process is told to end by stop_fd (-1: it is not asked). */
static bool later(int stop_fd, uint64_t end_ns)
{
    struct pollfd stop = {.fd = stop_fd, .events = POLLIN};
    return clock_now_ns() < end_ns && poll(&stop, 1, RETRY_MS) <= 0;
}

static uint64_t ends_ns(uint64_t patience_ms)
{
    return clock_now_ns() + patience_ms * UINT64_C(1000000);
}

static int make_device(struct ublk_provided *own, int32_t dev_id, struct error *error)
{
    own->info = ublk_identity_info(own->disk, own->hash, own->ctrl.features);
    own->info.dev_id = (uint32_t)dev_id;
    int result = ublk_ctrl_add(&own->ctrl, &own->info);
    if (result == -EPERM || result == -EACCES) {
        return error_set(error, result,
                         "the kernel forbids making a ublk device: CAP_SYS_ADMIN "
                         "is needed");
    }
    if (result == -EEXIST)
        return error_set(error, result, "ublk device %d is still open somewhere, mounted perhaps",
                         dev_id);
    if (result < 0)
        return error_set_errno(error, result, "the kernel does not make a ublk device");
    if (own->info.nr_hw_queues < own->disk->queue_count) {
        log_write(own->log, LOG_WARN,
                  "num_queues is %u, and the kernel makes one queue per CPU at most: %u",
                  own->disk->queue_count, own->info.nr_hw_queues);
    }
    if (!(own->info.flags & UBLK_F_USER_RECOVERY))
        log_write(own->log, LOG_WARN,
                  "this kernel's ublk cannot keep a device whose server was killed");
    result = ublk_ctrl_set_params(&own->ctrl, own->info.dev_id, &own->params);
    if (result < 0) {
        ublk_ctrl_delete(&own->ctrl, own->info.dev_id);
        return error_set_errno(error, result, "the kernel refuses the parameters of ublk device %u",
                               own->info.dev_id);
    }
    return 0;
}

static int check_match(struct ublk_provided *own, struct error *error)
{
    struct ublk_params params;
    int result = ublk_ctrl_params(&own->ctrl, own->info.dev_id, &params);
    if (result < 0)
        return error_set_errno(error, result, "asking for the parameters of ublk device %u",
                               own->info.dev_id);
    return ublk_identity_match(own->disk, own->hash, &own->info, &params, error);
}

/* Its server is dead: we hold the disk's lock, which it had. */
static int wait_for_quiesced(struct ublk_provided *own, struct error *error)
{
    uint32_t id = own->info.dev_id;
    uint64_t end_ns = ends_ns(DEATH_PATIENCE_MS);
    if (own->info.state == UBLK_S_DEV_LIVE) {
        log_write(own->log, LOG_INFO,
                  "ublk device %u: waiting for the kernel to notice that process %d is gone", id,
                  own->info.ublksrv_pid);
    }
    int result = 0;
    while (own->info.state == UBLK_S_DEV_LIVE && later(own->stop_fd, end_ns))
        if ((result = ublk_ctrl_info(&own->ctrl, id, &own->info)) < 0)
            return error_set_errno(error, result, "asking for ublk device %u", id);
    if (own->info.state == UBLK_S_DEV_LIVE)
        return error_set(error, -EBUSY, "ublk device %u is being served by process %d", id,
                         own->info.ublksrv_pid);
    return 0;
}

static int begin_recovery(struct ublk_provided *own, struct error *error)
{
    uint32_t id = own->info.dev_id;
    uint64_t end_ns = ends_ns(DEATH_PATIENCE_MS);
    int result;
    while ((result = ublk_ctrl_recover(&own->ctrl, id)) == -EBUSY && later(own->stop_fd, end_ns))
        continue;
    /* -EINVAL: a server that did not get far has begun already, and nothing is to be undone. */
    if (result < 0 && result != -EINVAL)
        return error_set_errno(error, result, "ublk device %u cannot be taken over", id);
    own->recovered = true;
    log_write(own->log, LOG_INFO, "taking over ublk device %u from process %d", id,
              own->info.ublksrv_pid);
    return 0;
}

/* Its number is free when nobody has the block device open any more. */
static int make_anew(struct ublk_provided *own, struct error *error)
{
    uint32_t id = own->info.dev_id;
    int result = ublk_ctrl_delete(&own->ctrl, id);
    if (result < 0 && result != -ENODEV)
        return error_set_errno(error, result, "removing ublk device %u, which has ended", id);
    uint64_t end_ns = ends_ns(NODE_PATIENCE_MS);
    while ((result = make_device(own, (int32_t)id, error)) == -EEXIST && later(-1, end_ns))
        continue;
    return result;
}

/* own->info is that of a device that exists already. */
static int adopt_device(struct ublk_provided *own, struct error *error)
{
    uint32_t id = own->info.dev_id;
    if (own->info.ublksrv_flags == own->hash) {
        int result = wait_for_quiesced(own, error);
        if (result < 0)
            return result;
        if (own->info.state == UBLK_S_DEV_DEAD)
            return make_anew(own, error);
    }
    int result = check_match(own, error);
    if (result < 0)
        return result;
    if (own->info.state != UBLK_S_DEV_QUIESCED)
        return error_set(error, -EBUSY, "ublk device %u is in state %u and cannot be taken over",
                         id, own->info.state);
    return begin_recovery(own, error);
}

static int ask_info(struct ublk_provided *own, uint32_t id, struct ublksrv_ctrl_dev_info *info,
                    struct error *error)
{
    int result = ublk_ctrl_info(&own->ctrl, id, info);
    if (result < 0 && result != -ENODEV)
        return error_set_errno(error, result, "asking for ublk device %u", id);
    return result == 0;
}

/*
 * Looks for the device with our hash, but for the one numbered dev_id. Returns 1 with own->info
 * that of the device, 0 when there is none, or -errno with a sentence. One that is DEAD only counts
 * where there is no other.
 */
static int find_device(struct ublk_provided *own, int32_t dev_id, struct error *error)
{
    uint32_t ids[UBLK_DEVICES_MAX];
    int count = ublk_ctrl_list(ids, error);
    int found = 0;
    for (int i = 0; i < count; i++) {
        struct ublksrv_ctrl_dev_info info;
        int result = ask_info(own, ids[i], &info, error);
        if (result < 0)
            return result;
        if (result == 0 || info.ublksrv_flags != own->hash || ids[i] == (uint32_t)dev_id ||
            (found && info.state == UBLK_S_DEV_DEAD))
            continue;
        if (found && own->info.state != UBLK_S_DEV_DEAD) {
            return error_set(error, -EEXIST,
                             "ublk devices %u and %u are both of this disk; choose one with "
                             "--dev-id, or --delete the other",
                             own->info.dev_id, ids[i]);
        }
        own->info = info;
        found = 1;
    }
    return count < 0 ? count : found;
}

/* A disk may have one device only: what waits in another would be written when that is taken over,
 * over what has been written since. */
static int provide_chosen(struct ublk_provided *own, int32_t dev_id, struct error *error)
{
    int other = find_device(own, dev_id, error);
    if (other < 0)
        return other;
    const struct ublksrv_ctrl_dev_info other_info = own->info;
    int found = ask_info(own, (uint32_t)dev_id, &own->info, error);
    if (found < 0)
        return found;
    bool makes = !found || own->info.state == UBLK_S_DEV_DEAD;
    if (other && makes && other_info.state != UBLK_S_DEV_DEAD) {
        return error_set(error, -EEXIST,
                         "this disk has ublk device %u already; leave out --dev-id, or --delete %u",
                         other_info.dev_id, other_info.dev_id);
    }
    return found ? adopt_device(own, error) : make_device(own, dev_id, error);
}

int ublk_provide(struct ublk_provided *own, int32_t dev_id, struct error *error)
{
    if (dev_id != UBLK_ANY_ID)
        return provide_chosen(own, dev_id, error);
    int found = find_device(own, dev_id, error);
    if (found < 0)
        return found;
    return found ? adopt_device(own, error) : make_device(own, dev_id, error);
}

int ublk_provide_remove(struct ublk_provided *own, struct error *error)
{
    uint32_t id = own->info.dev_id;
    struct ublksrv_ctrl_dev_info info;
    int found = ask_info(own, id, &info, error);
    if (found <= 0 || info.ublksrv_flags != own->hash)
        return found < 0 ? found : 0;
    if (info.state == UBLK_S_DEV_LIVE)
        return error_set(error, -EBUSY, "ublk device %u is not stopped", id);
    int result = ublk_ctrl_delete(&own->ctrl, id);
    if (result == -ETIMEDOUT)
        return error_set(error, -EBUSY, "ublk device %u goes when nobody has it open any more", id);
    if (result < 0 && result != -ENODEV)
        return error_set_errno(error, result, "ublk device %u cannot be removed", id);
    return 0;
}

int ublk_provide_node(struct ublk_provided *own, struct error *error)
{
    uint32_t id = own->info.dev_id;
    uint64_t end_ns = ends_ns(NODE_PATIENCE_MS);
    int fd;
    do {
        fd = ublk_ctrl_node(id);
    } while ((fd == -ENOENT || fd == -EBUSY) && later(-1, end_ns));
    if (fd < 0)
        return error_set_errno(error, fd, "cannot open /dev/ublkc%u", id);
    own->char_fd = fd;
    return 0;
}
