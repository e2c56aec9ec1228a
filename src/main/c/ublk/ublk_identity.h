/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * What tells ublk devices apart: which disk one is made of, and how. Control thread.
 */
#ifndef UBIBLK_UBLK_UBLK_IDENTITY_H
#define UBIBLK_UBLK_UBLK_IDENTITY_H

#include <stdint.h>

#include "base/error.h"
#include "blk/blk_device.h"
#include "ublk/ublk_uapi.h"

/* Hash of the identity of the file or block device that fd is open on, which no other one gets
 * after it, where the kernel and the file system can tell. Returns 0 or -errno. */
int ublk_identity_hash(int fd, uint64_t *hash);

/* What the kernel is told of a disk: sizes, its cache, how much a request may carry. */
struct ublk_params ublk_identity_params(const struct blk_device *disk);

/* What a device for the disk is asked for, but for its number. */
struct ublksrv_ctrl_dev_info ublk_identity_info(const struct blk_device *disk, uint64_t hash,
                                                uint64_t features);

/* Whether a device can be taken over for the disk: 0, or -EINVAL with a sentence that names what
 * does not match. */
int ublk_identity_match(const struct blk_device *disk, uint64_t hash,
                        const struct ublksrv_ctrl_dev_info *info, const struct ublk_params *params,
                        struct error *error);

#endif
