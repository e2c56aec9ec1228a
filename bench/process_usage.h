/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * What another process uses: CPU time and memory.
 *
 * The CPU time is that of the process's clock: all its threads, those that have ended and the
 * kernel's workers for its io_uring included, as the scheduler counts it. It lags by up to one tick
 * of a thread that is running.
 */
#ifndef UBIBLK_BENCH_PROCESS_USAGE_H
#define UBIBLK_BENCH_PROCESS_USAGE_H

#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>
#include <time.h>

/* 0 when there is no such process. */
static inline uint64_t process_cpu_ns(pid_t pid)
{
    clockid_t clock;
    struct timespec used;

    if (clock_getcpuclockid(pid, &clock) != 0 || clock_gettime(clock, &used) != 0) {
        return 0;
    }
    return (uint64_t)used.tv_sec * 1000000000u + (uint64_t)used.tv_nsec;
}

/* Resident memory without what is shared with others (a guest's memory); 0 when unknown. */
static inline uint64_t process_rss_kib(pid_t pid)
{
    uint64_t resident = 0, shared = 0;
    char path[64], line[128];
    FILE *status;

    snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
    status = fopen(path, "re");
    if (status == NULL) {
        return 0;
    }
    while (fgets(line, sizeof(line), status) != NULL) {
        if (sscanf(line, "VmRSS: %" SCNu64, &resident) != 1) {
            sscanf(line, "RssShmem: %" SCNu64, &shared);
        }
    }
    fclose(status);
    return resident - shared;
}

#endif
