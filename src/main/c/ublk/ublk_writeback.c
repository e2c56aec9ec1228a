/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * STOP_DEV waits for the requests that the server has; what comes later, writeback of the device's
 * own end included, the driver fails. So what is dirty is written before.
 *
 * Each partition has a page cache of its own, and perhaps a file system. BLKFLSBUF reaches both;
 * fsync tells whether that failed.
 */
#include "ublk_writeback.h"

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <linux/fs.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <unistd.h>

static int write_node(const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    int result = ioctl(fd, BLKFLSBUF) < 0 ? -errno : 0;
    if (fsync(fd) < 0)
        result = -errno;
    close(fd);
    return result;
}

int ublk_writeback(uint32_t dev_id)
{
    char pattern[64];
    snprintf(pattern, sizeof(pattern), "/dev/ublkb%u{,p[0-9]*}", dev_id);
    glob_t nodes;
    if (glob(pattern, GLOB_BRACE, NULL, &nodes) != 0)
        return -ENOENT;
    int first = 0;
    for (size_t i = 0; i < nodes.gl_pathc; i++) {
        int result = write_node(nodes.gl_pathv[i]);
        if (first == 0)
            first = result;
    }
    globfree(&nodes);
    return first;
}
