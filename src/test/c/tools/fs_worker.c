/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Works in a directory of a mounted file system and verifies what it finds there, until SIGTERM:
 *
 *   fs_worker DIRECTORY WORKERS PROGRESS_FILE
 *
 * Each worker is a process with a file of its own of BLOCKS blocks. It writes blocks, some directly
 * and some through the page cache, syncs now and then, and reads blocks back directly. A block
 * holds its number and how often it has been written, in every sector; the worker knows what must
 * be there. Any error, and any byte that differs, ends it with status 1. After SIGTERM every worker
 * syncs, verifies all of its file and ends with 0. PROGRESS_FILE is as many bytes long as there
 * were operations. The signal goes to the process group.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support/test_scale.h"

enum { BLOCKS = 512, BLOCK_BYTES = 8192, SECTOR = 512, WORKERS_MAX = 64 };

struct worker {
    uint32_t number;
    int direct_fd;
    int cached_fd;
    int progress_fd;
    struct test_random random;
    uint32_t versions[BLOCKS]; /* 0: never written */
    uint8_t *bytes;            /* one aligned block */
    uint64_t operations;
};

static volatile sig_atomic_t ending;

static void note_end(int number)
{
    (void)number;
    ending = 1;
}

static void fail(const struct worker *worker, const char *what, uint32_t block)
{
    fprintf(stderr, "worker %u: %s at block %u: %s\n", worker->number, what, block,
            strerror(errno));
    exit(1);
}

/* What every sector of a block begins with; the rest of it repeats that. */
static void fill(const struct worker *worker, uint32_t block, uint8_t *bytes)
{
    for (uint32_t at = 0; at < BLOCK_BYTES; at += 16) {
        const uint32_t words[4] = {worker->number, block, worker->versions[block],
                                   at / SECTOR * 0x9e3779b9u ^ worker->versions[block]};
        memcpy(bytes + at, words, sizeof(words));
    }
}

static void write_block(struct worker *worker, uint32_t block, bool direct)
{
    worker->versions[block]++;
    fill(worker, block, worker->bytes);
    if (pwrite(direct ? worker->direct_fd : worker->cached_fd, worker->bytes, BLOCK_BYTES,
               (off_t)block * BLOCK_BYTES) != BLOCK_BYTES)
        fail(worker, "cannot write", block);
}

static void verify_block(struct worker *worker, uint32_t block)
{
    static uint8_t expected[BLOCK_BYTES];
    if (worker->versions[block] == 0)
        return;
    if (pread(worker->direct_fd, worker->bytes, BLOCK_BYTES, (off_t)block * BLOCK_BYTES) !=
        BLOCK_BYTES)
        fail(worker, "cannot read", block);
    fill(worker, block, expected);
    errno = 0;
    if (memcmp(worker->bytes, expected, BLOCK_BYTES) != 0)
        fail(worker, "wrong content", block);
}

static void work_once(struct worker *worker)
{
    uint32_t block = (uint32_t)test_random_below(&worker->random, BLOCKS);
    uint64_t kind = test_random_below(&worker->random, 16);
    if (kind < 6)
        write_block(worker, block, true);
    else if (kind < 9)
        write_block(worker, block, false);
    else if (kind == 15 && fdatasync(worker->cached_fd) < 0)
        fail(worker, "cannot sync", block);
    else
        verify_block(worker, block);
    worker->operations++;
    if (write(worker->progress_fd, ".", 1) != 1)
        fail(worker, "cannot tell of progress", block);
}

static void worker_open(struct worker *worker, const char *directory, const char *progress)
{
    char path[4096];
    snprintf(path, sizeof(path), "%s/worker-%u", directory, worker->number);
    worker->cached_fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
    worker->direct_fd = open(path, O_RDWR | O_DIRECT);
    worker->progress_fd = open(progress, O_WRONLY | O_APPEND);
    if (worker->cached_fd < 0 || worker->direct_fd < 0 || worker->progress_fd < 0 ||
        ftruncate(worker->cached_fd, (off_t)BLOCKS * BLOCK_BYTES) < 0 ||
        posix_memalign((void **)&worker->bytes, 4096, BLOCK_BYTES) != 0)
        fail(worker, "cannot begin", 0);
}

static int worker_run(uint32_t number, const char *directory, const char *progress)
{
    static struct worker worker;
    worker.number = number;
    worker.random.state = test_seed() + number;
    worker_open(&worker, directory, progress);
    while (!ending)
        work_once(&worker);
    if (fsync(worker.cached_fd) < 0)
        fail(&worker, "cannot sync", 0);
    for (uint32_t block = 0; block < BLOCKS; block++)
        verify_block(&worker, block);
    printf("worker %u: %lu operations\n", number, (unsigned long)worker.operations);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc != 4) {
        fprintf(stderr, "usage: fs_worker DIRECTORY WORKERS PROGRESS_FILE\n");
        return 2;
    }
    const struct sigaction action = {.sa_handler = note_end, .sa_flags = SA_RESTART};
    sigaction(SIGTERM, &action, NULL);
    close(open(argv[3], O_WRONLY | O_CREAT | O_TRUNC, 0600));
    pid_t workers[WORKERS_MAX];
    uint32_t count = (uint32_t)strtoul(argv[2], NULL, 10);
    for (uint32_t i = 0; i < count && i < WORKERS_MAX; i++) {
        workers[i] = fork();
        if (workers[i] == 0)
            return worker_run(i, argv[1], argv[3]);
    }
    int status = 0, worst = 0;
    for (uint32_t i = 0; i < count && i < WORKERS_MAX; i++) {
        if (waitpid(workers[i], &status, 0) < 0)
            status = 1;
        if (status != 0)
            worst = 1;
    }
    return worst;
}
