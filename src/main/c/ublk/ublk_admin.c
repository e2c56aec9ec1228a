/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * A device without a server has requests that wait for the next one. Deleting it stops it first, so
 * that they end (with an error) instead of waiting for ever. Between being made, or taken over, and
 * being LIVE a device looks like one without a server, but its character device is open.
 */
#include "ublk_admin.h"

#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <unistd.h>

#include "base/clock.h"

/* A server that is well has carried out by STOP_LIMIT_S what it has. */
enum { STOP_LIMIT_S = 10, NODE_PATIENCE_MS = 3000, RETRY_MS = 20 };

static int refuse(uint32_t dev_id, int result, const char *what, struct error *error)
{
    if (result == -ENODEV)
        return error_set(error, -ENODEV, "there is no ublk device %u", dev_id);
    if (result == -ETIMEDOUT)
        return error_set(error, -EBUSY, "ublk device %u goes when nobody has it open any more",
                         dev_id);
    return error_set_errno(error, result, "cannot %s ublk device %u", what, dev_id);
}

/* Fills the entry; returns 1, 0 when the device is gone meanwhile, or -errno with a sentence. */
static int look_at(struct ublk_ctrl *ctrl, uint32_t dev_id, struct ublk_admin_entry *entry,
                   struct error *error)
{
    struct ublk_params params;
    int result = ublk_ctrl_info(ctrl, dev_id, &entry->info);
    if (result < 0)
        return result == -ENODEV ? 0 : refuse(dev_id, result, "look at", error);
    bool known = ublk_ctrl_params(ctrl, dev_id, &params) == 0;
    entry->capacity = known ? params.basic.dev_sectors : 0;
    return 1;
}

int ublk_admin_list(struct ublk_admin_entry *entries, struct error *error)
{
    struct ublk_ctrl ctrl;
    int result = ublk_ctrl_open(&ctrl, error);
    if (result < 0)
        return result;
    uint32_t ids[UBLK_DEVICES_MAX];
    int id_count = ublk_ctrl_list(ids, error);
    int count = 0;
    result = id_count;
    for (int i = 0; result >= 0 && i < id_count; i++) {
        result = look_at(&ctrl, ids[i], &entries[count], error);
        count += result > 0;
    }
    ublk_ctrl_close(&ctrl);
    return result < 0 ? result : count;
}

static int stop_live(struct ublk_ctrl *ctrl, uint32_t dev_id, struct error *error)
{
    struct ublksrv_ctrl_dev_info info;
    int result = ublk_ctrl_info(ctrl, dev_id, &info);
    if (result < 0)
        return refuse(dev_id, result, "look at", error);
    if (info.state != UBLK_S_DEV_LIVE)
        return error_set(error, -EINVAL, "ublk device %u is not live; --delete %u removes it",
                         dev_id, dev_id);
    result = ublk_ctrl_stop_within(ctrl, dev_id, STOP_LIMIT_S);
    if (result == -ETIMEDOUT) {
        return error_set(error, -EBUSY,
                         "ublk device %u has requests that do not end, perhaps because they wait "
                         "for stripes; SIGTERM to process %d ends them, and this process with them",
                         dev_id, info.ublksrv_pid);
    }
    return result < 0 ? refuse(dev_id, result, "stop", error) : 0;
}

int ublk_admin_stop(uint32_t dev_id, struct error *error)
{
    struct ublk_ctrl ctrl;
    int result = ublk_ctrl_open(&ctrl, error);
    if (result < 0)
        return result;
    result = stop_live(&ctrl, dev_id, error);
    ublk_ctrl_close(&ctrl);
    return result;
}

/* The kernel calls a device QUIESCED a moment before it has closed what its dead server had open.
 */
static int open_node(uint32_t dev_id)
{
    uint64_t end_ns = clock_now_ns() + NODE_PATIENCE_MS * UINT64_C(1000000);
    int char_fd;
    while ((char_fd = ublk_ctrl_node(dev_id)) == -EBUSY && clock_now_ns() < end_ns)
        poll(NULL, 0, RETRY_MS);
    return char_fd;
}

static int delete_unserved(struct ublk_ctrl *ctrl, uint32_t dev_id, struct error *error)
{
    struct ublksrv_ctrl_dev_info info;
    int result = ublk_ctrl_info(ctrl, dev_id, &info);
    if (result < 0)
        return refuse(dev_id, result, "look at", error);
    if (info.state == UBLK_S_DEV_LIVE) {
        return error_set(error, -EBUSY,
                         "ublk device %u is being served by process %d: end that, or --stop %u",
                         dev_id, info.ublksrv_pid, dev_id);
    }
    int char_fd = open_node(dev_id);
    if (char_fd == -EBUSY)
        return error_set(error, -EBUSY, "ublk device %u is being made or taken over", dev_id);
    if (char_fd < 0 && char_fd != -ENOENT)
        return refuse(dev_id, char_fd, "open", error);
    result = ublk_ctrl_stop(ctrl, dev_id);
    if (char_fd >= 0)
        close(char_fd);
    if (result == 0)
        result = ublk_ctrl_delete(ctrl, dev_id);
    return result < 0 ? refuse(dev_id, result, "delete", error) : 0;
}

int ublk_admin_delete(uint32_t dev_id, struct error *error)
{
    struct ublk_ctrl ctrl;
    int result = ublk_ctrl_open(&ctrl, error);
    if (result < 0)
        return result;
    result = delete_unserved(&ctrl, dev_id, error);
    ublk_ctrl_close(&ctrl);
    return result;
}
