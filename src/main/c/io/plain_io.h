/* SPDX-License-Identifier: AGPL-3.0-only */
/* Whole transfers by plain system calls that sleep: for control plane threads and tools. */
#ifndef UBIBLK_IO_PLAIN_IO_H
#define UBIBLK_IO_PLAIN_IO_H

#include <stddef.h>
#include <stdint.h>

/*
 * Goes on after a short transfer and an interruption. Returns 0 or -errno: -ENODATA where the file
 * ends before, -EIO where nothing more can be written and the kernel does not say why. Borrows
 * bytes; any thread.
 */
int plain_read(int fd, void *bytes, size_t byte_len, uint64_t offset);
int plain_write(int fd, const void *bytes, size_t byte_len, uint64_t offset);

#endif
