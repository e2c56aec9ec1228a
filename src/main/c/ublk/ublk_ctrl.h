/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * The commands that make, start, stop, take over and end ublk devices.
 *
 * One thread at a time; every call but ublk_ctrl_run waits for the kernel's answer, however long it
 * takes. Results are 0 or the kernel's -errno.
 */
#ifndef UBIBLK_UBLK_UBLK_CTRL_H
#define UBIBLK_UBLK_UBLK_CTRL_H

#include <sched.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "ublk/ublk_ring.h"
#include "ublk/ublk_uapi.h"

/* Owned by the caller. */
struct ublk_ctrl {
    struct ublk_ring ring;
    uint64_t features; /* UBLK_F_…; 0 when the kernel does not tell */
    bool encoded;      /* commands go by their ioctl codes; where not, by the old numbers */
};

/* Returns 0, or -errno with a sentence that says what is missing. */
int ublk_ctrl_open(struct ublk_ctrl *ctrl, struct error *error);
void ublk_ctrl_close(struct ublk_ctrl *ctrl);

/* Makes a device as info says; dev_id -1 lets the kernel choose. The kernel corrects info. */
int ublk_ctrl_add(struct ublk_ctrl *ctrl, struct ublksrv_ctrl_dev_info *info);

/* -ENODEV: there is none, or it belongs to a user without privileges (as no device of ours does).
 */
int ublk_ctrl_info(struct ublk_ctrl *ctrl, uint32_t dev_id, struct ublksrv_ctrl_dev_info *info);

/* Opens the character device, which only one process can. Returns an owned descriptor, or -errno.
 */
int ublk_ctrl_node(uint32_t dev_id);

/* Before the device is started. */
int ublk_ctrl_set_params(struct ublk_ctrl *ctrl, uint32_t dev_id, struct ublk_params *params);
int ublk_ctrl_params(struct ublk_ctrl *ctrl, uint32_t dev_id, struct ublk_params *params);

/* The CPUs whose requests queue q_id gets. */
int ublk_ctrl_affinity(struct ublk_ctrl *ctrl, uint32_t dev_id, uint32_t q_id, cpu_set_t *cpus);

/* Begins to take over a device whose server is gone. */
int ublk_ctrl_recover(struct ublk_ctrl *ctrl, uint32_t dev_id);

/* Makes the block device work: that of a new device, or of one that is being taken over. Ends when
 * every tag has been fetched and the partitions were looked for; see ublk_ctrl_wait. */
int ublk_ctrl_run(struct ublk_ctrl *ctrl, uint32_t dev_id, bool recovered);

/* As ublk_ring_wait, for ublk_ctrl_run. */
int ublk_ctrl_wait(struct ublk_ctrl *ctrl, const int *fds, uint32_t count, int32_t *result);

/* Ends the block device once the requests that its server has have ended; others fail. */
int ublk_ctrl_stop(struct ublk_ctrl *ctrl, uint32_t dev_id);

/* As ublk_ctrl_stop; -ETIMEDOUT when that takes longer. The kernel goes on, the ring is good for
 * nothing but ublk_ctrl_close, and the process cannot end before those requests. */
int ublk_ctrl_stop_within(struct ublk_ctrl *ctrl, uint32_t dev_id, uint32_t limit_s);

/*
 * Removes the device. It is gone when nobody has one of its nodes open any more, which a mounted
 * file system has; a kernel that cannot but wait for that (before 6.9) gets 5 seconds, and then the
 * result is -ETIMEDOUT and the ring good for nothing but ublk_ctrl_close.
 */
int ublk_ctrl_delete(struct ublk_ctrl *ctrl, uint32_t dev_id);

/* Fills ids (UBLK_DEVICES_MAX of them) with the numbers of the host's devices, ascending. Returns
 * how many, or -errno with a sentence; never a part of them. */
enum { UBLK_DEVICES_MAX = 1024 };
int ublk_ctrl_list(uint32_t *ids, struct error *error);

#endif
