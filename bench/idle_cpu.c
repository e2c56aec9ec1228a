/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * What the threads of a back end use while there is nothing to do for them.
 *
 *   idle_cpu SOCKET PID SECONDS [STORAGE_PID]
 *
 * Three states are watched for SECONDS each: no front end connected; connected and idle after some
 * requests; and, if STORAGE_PID is the process behind the disk's file system, requests in flight
 * that do not end because that process is stopped (SIGSTOP). It is continued afterwards and the
 * requests must succeed. Each state begins long after the poll time. Prints the CPU time of each
 * thread and the times that it was switched in.
 */
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/sector.h"
#include "process_usage.h"
#include "support/blk_client.h"
#include "support/test_scale.h"

enum {
    THREADS_MAX = 256,
    DEPTH = 32,
    BLOCK_BYTES = 4096,
    REQUESTS = 1000,
    CONNECT_TIMEOUT_MS = 10000,
    STALL_TIMEOUT_MS = 30000,
    SETTLE_US = 500000,
};

struct thread_usage {
    int tid;
    char name[32];
    uint64_t cpu_ns, switches;
};

struct usage {
    struct thread_usage threads[THREADS_MAX];
    int count;
};

static void read_line(pid_t pid, int tid, const char *what, char *line, int size)
{
    char path[96];
    FILE *file;

    line[0] = '\0';
    snprintf(path, sizeof(path), "/proc/%d/task/%d/%s", (int)pid, tid, what);
    file = fopen(path, "re");
    if (file != NULL) {
        if (fgets(line, size, file) == NULL) {
            line[0] = '\0';
        }
        fclose(file);
    }
    line[strcspn(line, "\n")] = '\0';
}

/* schedstat: CPU time in nanoseconds, time waited for a CPU, number of times on a CPU. */
static void read_thread(pid_t pid, int tid, struct thread_usage *thread)
{
    char line[128];
    char *rest;

    *thread = (struct thread_usage){.tid = tid};
    read_line(pid, tid, "comm", thread->name, sizeof(thread->name));
    read_line(pid, tid, "schedstat", line, sizeof(line));
    thread->cpu_ns = strtoull(line, &rest, 10);
    strtoull(rest, &rest, 10);
    thread->switches = strtoull(rest, NULL, 10);
}

static void read_usage(pid_t pid, struct usage *usage)
{
    char path[64];
    const struct dirent *entry;
    DIR *directory;

    usage->count = 0;
    snprintf(path, sizeof(path), "/proc/%d/task", (int)pid);
    directory = opendir(path);
    while (directory != NULL && (entry = readdir(directory)) != NULL) {
        int tid = (int)strtol(entry->d_name, NULL, 10);

        if (tid > 0 && usage->count < THREADS_MAX) {
            read_thread(pid, tid, &usage->threads[usage->count++]);
        }
    }
    if (directory != NULL) {
        closedir(directory);
    }
}

static const struct thread_usage *find(const struct usage *usage, int tid)
{
    for (int i = 0; i < usage->count; i++) {
        if (usage->threads[i].tid == tid) {
            return &usage->threads[i];
        }
    }
    return NULL;
}

/* Watches for a while. Threads of the queues are printed always, others when they did something. */
static void watch(const char *state, pid_t pid, unsigned seconds)
{
    static struct usage before, after;

    usleep(SETTLE_US);
    read_usage(pid, &before);
    uint64_t cpu_ns = process_cpu_ns(pid);

    sleep(seconds);
    read_usage(pid, &after);
    cpu_ns = process_cpu_ns(pid) - cpu_ns;
    for (int i = 0; i < after.count; i++) {
        const struct thread_usage *now = &after.threads[i];
        const struct thread_usage *then = find(&before, now->tid);
        uint64_t used = now->cpu_ns - (then != NULL ? then->cpu_ns : 0);
        uint64_t switches = now->switches - (then != NULL ? then->switches : 0);

        if (used > 0 || strncmp(now->name, "queue-", 6) == 0) {
            printf("state=%s seconds=%u thread=%s cpu_us=%.1f switches=%" PRIu64 "\n", state,
                   seconds, now->name, (double)used / 1e3, switches);
        }
    }
    printf("state=%s seconds=%u thread=all cpu_us=%.1f\n", state, seconds, (double)cpu_ns / 1e3);
    fflush(stdout);
}

static int read_blocks(struct blk_client *client, struct test_random *random, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        uint64_t block = test_random_below(random, 4096);
        int error = blk_client_submit(client, 0, (uint16_t)i, VIRTIO_BLK_T_IN,
                                      bytes_to_sectors(block * BLOCK_BYTES), BLOCK_BYTES);

        if (error < 0) {
            return error;
        }
    }
    blk_client_publish(client, 0);
    return 0;
}

static int reap_blocks(struct blk_client *client, uint32_t count)
{
    struct blk_client_done done[DEPTH];

    while (count > 0) {
        int ended = virtq_driver_wait(&client->queues[0].driver, STALL_TIMEOUT_MS) == 0
                        ? -ETIMEDOUT
                        : blk_client_reap(client, 0, done, DEPTH);

        if (ended < 0) {
            return ended;
        }
        for (int i = 0; i < ended; i++) {
            if (done[i].status != VIRTIO_BLK_S_OK) {
                return -EIO;
            }
        }
        count -= (uint32_t)ended;
    }
    return 0;
}

static int watch_waiting(struct blk_client *client, struct test_random *random, pid_t pid,
                         pid_t storage, unsigned seconds)
{
    int error;

    kill(storage, SIGSTOP);
    error = read_blocks(client, random, DEPTH);
    if (error == 0) {
        watch("waiting", pid, seconds);
        printf("state=waiting in_flight=%u of %d\n",
               (unsigned)client->queues[0].driver.in_flight_count, DEPTH);
    }
    kill(storage, SIGCONT);
    return error < 0 ? error : reap_blocks(client, DEPTH);
}

static int run(const char *socket_path, pid_t pid, unsigned seconds, pid_t storage)
{
    struct blk_client_params params = {.socket_path = socket_path,
                                       .features = BLK_CLIENT_FEATURES,
                                       .protocol_features = BLK_CLIENT_PROTOCOL_FEATURES,
                                       .queue_count = 1,
                                       .queue_size = 2 * DEPTH,
                                       .depth = DEPTH,
                                       .slot_bytes = BLOCK_BYTES,
                                       .connect_timeout_ms = CONNECT_TIMEOUT_MS};
    struct test_random random = {42};
    struct blk_client client;
    int error;

    watch("unconnected", pid, seconds);
    error = blk_client_open(&client, &params);
    if (error < 0) {
        return error;
    }
    for (uint32_t i = 0; i < REQUESTS / DEPTH && error == 0; i++) {
        error = read_blocks(&client, &random, DEPTH);
        error = error == 0 ? reap_blocks(&client, DEPTH) : error;
    }
    if (error == 0) {
        watch("idle", pid, seconds);
    }
    if (error == 0 && storage > 0) {
        error = watch_waiting(&client, &random, pid, storage, seconds);
    }
    blk_client_close(&client);
    return error;
}

int main(int argc, char **argv)
{
    int error;

    if (argc < 4 || argc > 5) {
        fprintf(stderr, "usage: %s SOCKET PID SECONDS [STORAGE_PID]\n", argv[0]);
        return 2;
    }
    error = run(argv[1], (pid_t)strtol(argv[2], NULL, 10), (unsigned)strtoul(argv[3], NULL, 10),
                argc == 5 ? (pid_t)strtol(argv[4], NULL, 10) : 0);
    if (error < 0) {
        fprintf(stderr, "idle_cpu: %s\n", strerror(-error));
        return 1;
    }
    return 0;
}
