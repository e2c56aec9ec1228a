/* SPDX-License-Identifier: AGPL-3.0-only */
/* What the kernel has of a ublk device and has not written yet. */
#ifndef UBIBLK_UBLK_UBLK_WRITEBACK_H
#define UBIBLK_UBLK_UBLK_WRITEBACK_H

#include <stdint.h>

/*
 * Has written what file systems and the page cache hold of the device and its partitions; needs a
 * device that is served by another thread, or it waits for ever. Returns 0 or the first -errno, and
 * then has tried the others all the same. Control thread.
 */
int ublk_writeback(uint32_t dev_id);

#endif
