/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * The kernel's device of a disk: found or made, and removed. Control thread.
 *
 *   state in the kernel   how it comes about                        what a start does with it
 *   (none)                                                          makes it
 *   DEAD                  made and not started, or stopped          removes and makes it
 *   LIVE                  served                                    waits for the kernel to notice
 *                                                                   that its server is gone
 *   QUIESCED              its server is gone; requests wait         takes it over
 *
 * A device carries a hash of the identity of the disk behind it, so that no other one is taken
 * over.
 */
#ifndef UBIBLK_UBLK_UBLK_PROVIDE_H
#define UBIBLK_UBLK_UBLK_PROVIDE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/log.h"
#include "blk/blk_device.h"
#include "ublk/ublk_ctrl.h"

enum { UBLK_ANY_ID = -1 };

/* Owned by the caller, who sets the first group. */
struct ublk_provided {
    struct ublk_ctrl ctrl;   /* open */
    struct blk_device *disk; /* borrowed, as is the log */
    struct log *log;
    struct ublk_params params; /* ublk_identity_params */
    uint64_t hash;             /* ublk_identity_hash */
    int stop_fd;               /* readable: a dead server is waited for no longer; -1: never */

    struct ublksrv_ctrl_dev_info info;
    bool recovered; /* taken over, not made */
    int char_fd;    /* set by ublk_provide_node */
};

/*
 * Takes over the disk's device, or makes one. dev_id is its number, or UBLK_ANY_ID: that of the
 * device which has our hash, else the kernel's choice. Returns 0 with info and recovered set, or
 * -errno with a sentence; then a device that exists is as it was.
 */
int ublk_provide(struct ublk_provided *own, int32_t dev_id, struct error *error);

/*
 * Removes the device, which is stopped, unless its number is another disk's by now. Returns 0, or
 * -errno with a sentence; then it stays.
 */
int ublk_provide_remove(struct ublk_provided *own, struct error *error);

/* Opens the character device. Returns 0 with char_fd owned, or -errno with a sentence. */
int ublk_provide_node(struct ublk_provided *own, struct error *error);

#endif
