/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Locks of open file descriptions (F_OFD_SETLK), for two reasons. Closing some other descriptor of
 * the same file, as any library may do, does not drop them. And after a kill they last as long as
 * the description does, which is until the last transfer submitted through it has ended, so that
 * the next process cannot overtake writes that are still under way. That wait is why the lock is
 * retried.
 *
 * Such a lock belongs to no process, so the kernel gives -1 for its holder. Who has it is found in
 * /proc: a process with the same inode open, whose fdinfo lists a lock for that descriptor.
 */
#include "io/disk_lock.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "io/deadline.h"

enum { RETRY_PAUSE_MS = 20 };

/* --- the holder ------------------------------------------------------------------------------- */

struct search {
    struct stat file;
    int own_fd;
    long holder; /* has it locked; 0: nobody found */
    long opener; /* has it open */
};

static bool same_file(const struct stat *a, const struct stat *b)
{
    if (S_ISBLK(a->st_mode) && S_ISBLK(b->st_mode)) {
        return a->st_rdev == b->st_rdev;
    }
    return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

/* Whether /proc/<pid>/fdinfo/<fd> lists a lock. */
static bool holds_lock(long pid, const char *fd)
{
    char path[64];
    char line[256];
    bool found = false;
    snprintf(path, sizeof(path), "/proc/%ld/fdinfo/%.16s", pid, fd);
    FILE *file = fopen(path, "re");
    while (file != NULL && !found && fgets(line, sizeof(line), file) != NULL) {
        found = strncmp(line, "lock:", 5) == 0 && strstr(line, "WRITE") != NULL;
    }
    if (file != NULL) {
        fclose(file);
    }
    return found;
}

static void look_at_fd(struct search *search, int directory_fd, long pid, const char *fd)
{
    struct stat status;
    if (pid == getpid() && strtol(fd, NULL, 10) == search->own_fd) {
        return;
    }
    if (fstatat(directory_fd, fd, &status, 0) != 0 || !same_file(&status, &search->file)) {
        return;
    }
    search->opener = pid;
    if (holds_lock(pid, fd)) {
        search->holder = pid;
    }
}

static void look_at_process(struct search *search, long pid)
{
    char path[64];
    snprintf(path, sizeof(path), "/proc/%ld/fd", pid);
    DIR *directory = opendir(path);
    if (directory == NULL) {
        return;
    }
    struct dirent *entry;
    while (search->holder == 0 && (entry = readdir(directory)) != NULL) {
        if (isdigit((unsigned char)entry->d_name[0])) {
            look_at_fd(search, dirfd(directory), pid, entry->d_name);
        }
    }
    closedir(directory);
}

static void look_at_all_processes(struct search *search)
{
    DIR *directory = opendir("/proc");
    if (directory == NULL) {
        return;
    }
    struct dirent *entry;
    while (search->holder == 0 && (entry = readdir(directory)) != NULL) {
        if (isdigit((unsigned char)entry->d_name[0])) {
            look_at_process(search, strtol(entry->d_name, NULL, 10));
        }
    }
    closedir(directory);
}

static void describe_process(long pid, char *holder, size_t holder_bytes)
{
    char path[64];
    char command[32] = "";
    snprintf(path, sizeof(path), "/proc/%ld/comm", pid);
    FILE *file = fopen(path, "re");
    if (file != NULL) {
        if (fgets(command, sizeof(command), file) != NULL) {
            command[strcspn(command, "\n")] = '\0';
        }
        fclose(file);
    }
    snprintf(holder, holder_bytes, "%s %ld (%s)", pid == getpid() ? "this process," : "process",
             pid, command[0] != '\0' ? command : "command unknown");
}

void disk_lock_describe_holder(const char *path, int own_fd, char *holder, size_t holder_bytes)
{
    struct search search = {.own_fd = own_fd};
    int ret = own_fd >= 0 ? fstat(own_fd, &search.file) : stat(path, &search.file);
    if (ret == 0) {
        look_at_all_processes(&search);
    }
    long pid = search.holder != 0 ? search.holder : search.opener;
    if (pid != 0) {
        describe_process(pid, holder, holder_bytes);
    } else {
        snprintf(holder, holder_bytes, "a process that cannot be seen from here");
    }
}

/* --- the lock --------------------------------------------------------------------------------- */

static int try_lock(int fd)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    return fcntl(fd, F_OFD_SETLK, &lock) == 0 ? 0 : -errno;
}

static bool is_held(int ret)
{
    return ret == -EAGAIN || ret == -EACCES;
}

static int refuse_held(int fd, const char *path, struct error *error)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    char holder[DISK_HOLDER_BYTES];
    if (fcntl(fd, F_OFD_GETLK, &lock) == 0 && lock.l_type != F_UNLCK && lock.l_pid > 0) {
        describe_process(lock.l_pid, holder, sizeof(holder));
    } else {
        disk_lock_describe_holder(path, fd, holder, sizeof(holder));
    }
    return error_set(error, -EBUSY, "%s is locked by %s", path, holder);
}

int disk_lock_take(int fd, const char *path, uint32_t timeout_ms, struct log *log,
                   struct error *error)
{
    uint64_t deadline = deadline_after((uint64_t)timeout_ms * 1000000u);
    int ret = try_lock(fd);
    if (is_held(ret) && timeout_ms > 0) {
        log_write(log, LOG_INFO, "%s is locked: trying for %u ms", path, timeout_ms);
    }
    while (is_held(ret)) {
        if (deadline_left_ns(deadline) == 0) {
            return refuse_held(fd, path, error);
        }
        poll(NULL, 0, RETRY_PAUSE_MS);
        ret = try_lock(fd);
    }
    return ret == 0 ? 0 : error_set_errno(error, ret, "cannot lock %s", path);
}
