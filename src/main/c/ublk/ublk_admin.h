/* SPDX-License-Identifier: AGPL-3.0-only */
/* What an operator does with the host's ublk devices, whoever made them. Any thread. */
#ifndef UBIBLK_UBLK_UBLK_ADMIN_H
#define UBIBLK_UBLK_UBLK_ADMIN_H

#include <stdint.h>

#include "base/error.h"
#include "ublk/ublk_ctrl.h"

struct ublk_admin_entry {
    struct ublksrv_ctrl_dev_info info;
    uint64_t capacity; /* sectors; 0: not known */
};

/* Fills entries (UBLK_DEVICES_MAX of them) by ascending number; returns how many, or -errno with a
 * sentence. */
int ublk_admin_list(struct ublk_admin_entry *entries, struct error *error);

/*
 * Ends a block device that is live, at once: what was not written yet is lost. Its server sees it
 * and ends as it does when it is told to. Returns 0, or -errno with a sentence: -EBUSY when the
 * server's requests do not end, and the process cannot end before them.
 */
int ublk_admin_stop(uint32_t dev_id, struct error *error);

/* Removes a device that has no server. Returns 0, or -errno with a sentence: -EBUSY when it is
 * being served, made or taken over, or open somewhere. */
int ublk_admin_delete(uint32_t dev_id, struct error *error);

#endif
