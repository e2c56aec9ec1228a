/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * A device without a server has requests that wait for the next one. Deleting it stops it first, so
 * that they end (with an error) instead of waiting for ever.
 */
#include "ublk_admin.h"

#include <errno.h>
#include <stdbool.h>

#include "base/minmax.h"
#include "ublk/ublk_ctrl.h"

enum { LIST_MAX = 1024 };

int ublk_admin_list(struct ublk_admin_entry *entries, uint32_t max, struct error *error)
{
    struct ublk_ctrl ctrl;
    int result = ublk_ctrl_open(&ctrl, error);
    if (result < 0)
        return result;
    uint32_t ids[LIST_MAX];
    uint32_t id_count = ublk_ctrl_list(ids, min_u32(max, LIST_MAX));
    int count = 0;
    for (uint32_t i = 0; i < id_count; i++) {
        struct ublk_params params;
        struct ublk_admin_entry *entry = &entries[count];
        if (ublk_ctrl_info(&ctrl, ids[i], &entry->info) < 0)
            continue; /* gone meanwhile */
        bool known = ublk_ctrl_params(&ctrl, ids[i], &params) == 0;
        entry->capacity = known ? params.basic.dev_sectors : 0;
        count++;
    }
    ublk_ctrl_close(&ctrl);
    return count;
}

static int refuse(uint32_t dev_id, int result, const char *what, struct error *error)
{
    if (result == -ENODEV)
        return error_set(error, -ENODEV, "there is no ublk device %u", dev_id);
    return error_set_errno(error, result, "cannot %s ublk device %u", what, dev_id);
}

int ublk_admin_stop(uint32_t dev_id, struct error *error)
{
    struct ublk_ctrl ctrl;
    int result = ublk_ctrl_open(&ctrl, error);
    if (result < 0)
        return result;
    result = ublk_ctrl_stop(&ctrl, dev_id);
    ublk_ctrl_close(&ctrl);
    return result < 0 ? refuse(dev_id, result, "stop", error) : 0;
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
    result = ublk_ctrl_stop(ctrl, dev_id);
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
