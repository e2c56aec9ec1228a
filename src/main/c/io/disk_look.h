/* SPDX-License-Identifier: AGPL-3.0-only */
/* A look at a file or block device that somebody else may be using: how long it is, and who has it
 * locked. Takes no lock and changes nothing. */
#ifndef UBIBLK_IO_DISK_LOOK_H
#define UBIBLK_IO_DISK_LOOK_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "io/disk_lock.h"

struct disk_look {
    uint64_t byte_len;              /* of a block device: its capacity; any number, 0 included */
    bool locked;                    /* by some other open file description, when it was looked at */
    char holder[DISK_HOLDER_BYTES]; /* as disk_lock_describe_holder; empty if not locked */
};

/* Any thread; not on the request path. Borrows path, which may be a symbolic link. Returns 0 with
 * *out filled, or -errno with a sentence. */
int disk_look_at(const char *path, struct disk_look *out, struct error *error);

#endif
