/* SPDX-License-Identifier: AGPL-3.0-only */
#include "io/disk_look.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

static int refuse(const char *path, int code, struct error *error)
{
    return error_set_errno(error, code, "cannot read %s", path);
}

static int check_type(const char *path, const struct stat *status, struct error *error)
{
    if (S_ISREG(status->st_mode) || S_ISBLK(status->st_mode)) {
        return 0;
    }
    return error_set(error, -EINVAL, "%s is neither a regular file nor a block device", path);
}

/* Returns the fd or -errno. The type is looked at first: opening a FIFO or a terminal does
 * things. */
static int open_quietly(const char *path, struct stat *status, struct error *error)
{
    if (stat(path, status) != 0) {
        return refuse(path, -errno, error);
    }
    int ret = check_type(path, status, error);
    if (ret != 0) {
        return ret;
    }
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    return fd < 0 ? refuse(path, -errno, error) : fd;
}

static int learn_size(int fd, const char *path, struct disk_look *look, struct error *error)
{
    struct stat status;
    if (fstat(fd, &status) != 0) {
        return refuse(path, -errno, error);
    }
    look->byte_len = (uint64_t)status.st_size;
    if (S_ISBLK(status.st_mode) && ioctl(fd, BLKGETSIZE64, &look->byte_len) != 0) {
        return error_set_errno(error, -errno, "cannot learn the size of %s", path);
    }
    return 0;
}

/* What would be in the way of a write lock; asking needs no right to write. */
static int learn_holder(int fd, const char *path, struct disk_look *look, struct error *error)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    if (fcntl(fd, F_OFD_GETLK, &lock) != 0) {
        return error_set_errno(error, -errno, "cannot see who uses %s", path);
    }
    look->locked = lock.l_type != F_UNLCK;
    look->holder[0] = '\0';
    if (look->locked) {
        disk_lock_describe_holder(path, fd, look->holder, sizeof(look->holder));
    }
    return 0;
}

int disk_look_at(const char *path, struct disk_look *out, struct error *error)
{
    struct stat status;
    int fd = open_quietly(path, &status, error);
    if (fd < 0) {
        return fd;
    }
    int ret = learn_size(fd, path, out, error);
    if (ret == 0) {
        ret = learn_holder(fd, path, out, error);
    }
    close(fd);
    return ret;
}
