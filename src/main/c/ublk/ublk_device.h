/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * The ublk front end of one disk: /dev/ublkbN from its making, or its taking over, to its end.
 *
 * A server that is killed leaves the device behind. What it had in flight is given to the next one
 * (ublk_provide), which may carry it out a second time.
 */
#ifndef UBIBLK_UBLK_UBLK_DEVICE_H
#define UBIBLK_UBLK_UBLK_DEVICE_H

#include <stdint.h>

#include "base/error.h"
#include "base/log.h"
#include "blk/blk_device.h"
#include "ublk/ublk_provide.h"

struct ublk_device;

/* Borrowed by ublk_device_start. */
struct ublk_device_params {
    int32_t dev_id;  /* UBLK_ANY_ID: the one that has our hash, else the kernel's choice */
    const int *cpus; /* one CPU number per queue of the disk, or NULL: what the kernel advises */
    uint32_t stop_timeout_ms; /* how long requests of a stopping device may wait for a stripe */
    int stop_fd;              /* readable when the process is to end; kept until stop; -1: never */
};

/*
 * Makes the block device, or takes it over, and serves it. The disk and the log are kept until
 * ublk_device_stop returns. What the kernel reads to find partitions waits for stripes 2 s at most
 * in all. Returns 0 with *out owned and /dev/ublkbN working, or -errno with a
 * sentence; a device that was made for this is gone then, one that was to be taken over still
 * waits.
 */
int ublk_device_start(struct blk_device *disk, const struct ublk_device_params *params,
                      struct log *log, struct ublk_device **out, struct error *error);

/* N of /dev/ublkbN. Any thread. */
uint32_t ublk_device_id(const struct ublk_device *device);

/* The hash of the disk that it carries. Any thread. */
uint64_t ublk_device_hash(const struct ublk_device *device);

/*
 * Waits until the stop_fd is readable (returns 0), somebody else has stopped the device (1), or it
 * cannot be served any more (-errno).
 */
int ublk_device_wait(struct ublk_device *device);

/*
 * Stops the device: has written what the kernel holds of it, waits until its requests have ended,
 * syncs the disk, ends the queues, removes the device. One that cannot be served any more is left
 * to the next server. Returns 0, or -errno when the last sync failed. Frees the device in any case.
 * Once.
 */
int ublk_device_stop(struct ublk_device *device);

#endif
