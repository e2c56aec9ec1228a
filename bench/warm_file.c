/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Reads a whole file into the page cache.
 *
 *   warm_file [--evict] FILE
 *
 * The file is read as if at random, which keeps the kernel from reading ahead and so from caching
 * it in large folios. That matters: a small buffered write into a large folio of ext4 walks all
 * buffers of the folio and costs up to ten times as much, so figures would depend on how a file
 * happened to get into the cache. A disk that a guest used at random is cached in single pages as
 * well. --evict writes the file back and throws out first what is cached.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { CHUNK_BYTES = 1 << 20 };

static int evict(int fd)
{
    if (fsync(fd) < 0) {
        return -errno;
    }
    return -posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
}

static int read_all(int fd)
{
    uint8_t *chunk = malloc(CHUNK_BYTES);
    ssize_t got;

    if (chunk == NULL) {
        return -ENOMEM;
    }
    do {
        got = read(fd, chunk, CHUNK_BYTES);
    } while (got > 0);
    free(chunk);
    return got < 0 ? -errno : 0;
}

int main(int argc, char **argv)
{
    int evicting = argc == 3 && strcmp(argv[1], "--evict") == 0;
    int fd, error;

    if (argc != 2 + evicting) {
        fprintf(stderr, "usage: %s [--evict] FILE\n", argv[0]);
        return 2;
    }
    fd = open(argv[argc - 1], O_RDONLY | O_CLOEXEC);
    error = fd < 0 ? -errno : 0;
    if (error == 0 && evicting) {
        error = evict(fd);
    }
    if (error == 0) {
        error = -posix_fadvise(fd, 0, 0, POSIX_FADV_RANDOM);
    }
    if (error == 0) {
        error = read_all(fd);
    }
    if (error < 0) {
        fprintf(stderr, "%s: %s: %s\n", argv[0], argv[argc - 1], strerror(-error));
        return 1;
    }
    return 0;
}
