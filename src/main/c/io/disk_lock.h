/* SPDX-License-Identifier: AGPL-3.0-only */
/* The lock that keeps a disk to one process, and the name of whoever has it. */
#ifndef UBIBLK_IO_DISK_LOCK_H
#define UBIBLK_IO_DISK_LOCK_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/log.h"

enum { DISK_HOLDER_BYTES = 128 };

/*
 * Takes a write lock (OFD) on the whole of the open file description behind fd, retrying until
 * timeout_ms have passed. Start-up only; any thread. Borrows everything. Returns 0, or -errno with
 * a sentence: -EBUSY names the holder as far as it can be found out.
 */
int disk_lock_take(int fd, const char *path, uint32_t timeout_ms, struct log *log,
                   struct error *error);

/*
 * Writes into holder who has the file or device at path locked or, failing that, open: "process
 * 4711 (java)". Processes that we may not look into stay unknown. own_fd (-1: none) is a descriptor
 * of it that does not count.
 */
void disk_lock_describe_holder(const char *path, int own_fd, char *holder, size_t holder_bytes);

#endif
