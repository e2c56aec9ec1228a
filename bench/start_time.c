/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * How long a back end takes from its start to a socket that accepts connections, and what memory it
 * holds when idle.
 *
 *   start_time RUNS SOCKET COMMAND [ARGUMENT]...
 *
 * The command must become the back end itself (exec), so that the process started is the one
 * measured. Each run: start, connect every half millisecond until that works, a second of idling,
 * SIGTERM. Prints every run, then the medians.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "process_usage.h"

enum { RUNS_MAX = 1000, ATTEMPTS_MAX = 120000, ATTEMPT_PAUSE_US = 500, IDLE_US = 1000000 };

struct figures {
    uint64_t start_us[RUNS_MAX];
    uint64_t rss_kib[RUNS_MAX];
    uint64_t cpu_us[RUNS_MAX]; /* from the start to the end of the idle second */
};

static pid_t start(char **command)
{
    pid_t pid = fork();

    if (pid == 0) {
        int nowhere = open("/dev/null", O_RDWR);

        dup2(nowhere, STDIN_FILENO);
        dup2(nowhere, STDOUT_FILENO);
        execvp(command[0], command);
        _exit(127);
    }
    return pid;
}

static int accepts(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int connected;

    snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
    connected = connect(fd, (const struct sockaddr *)&address, sizeof(address)) == 0;
    close(fd);
    return connected;
}

static int measure(struct figures *figures, int run, const char *path, char **command)
{
    unlink(path);
    uint64_t begin_ns = clock_now_ns();
    pid_t pid = start(command);

    if (pid < 0) {
        return -errno;
    }
    for (int attempt = 0; !accepts(path); attempt++) {
        if (attempt == ATTEMPTS_MAX || waitpid(pid, NULL, WNOHANG) != 0) {
            kill(pid, SIGKILL);
            return -ETIMEDOUT;
        }
        usleep(ATTEMPT_PAUSE_US);
    }
    figures->start_us[run] = (clock_now_ns() - begin_ns) / 1000;
    usleep(IDLE_US);
    figures->rss_kib[run] = process_rss_kib(pid);
    figures->cpu_us[run] = process_cpu_ns(pid) / 1000;
    kill(pid, SIGTERM);
    return waitpid(pid, NULL, 0) < 0 ? -errno : 0;
}

static int compare(const void *left, const void *right)
{
    uint64_t a = *(const uint64_t *)left, b = *(const uint64_t *)right;

    return a < b ? -1 : a > b;
}

static uint64_t median(uint64_t *values, int count)
{
    qsort(values, (size_t)count, sizeof(*values), compare);
    return values[count / 2];
}

int main(int argc, char **argv)
{
    static struct figures figures;
    int runs = argc > 3 ? (int)strtol(argv[1], NULL, 10) : 0;

    if (runs < 1 || runs > RUNS_MAX) {
        fprintf(stderr, "usage: %s RUNS SOCKET COMMAND [ARGUMENT]...\n", argv[0]);
        return 2;
    }
    for (int run = 0; run < runs; run++) {
        int error = measure(&figures, run, argv[2], &argv[3]);

        if (error < 0) {
            fprintf(stderr, "start_time: %s: %s\n", argv[3], strerror(-error));
            return 1;
        }
        printf("run=%d start_ms=%.1f rss_mib=%.1f cpu_ms=%.1f\n", run + 1,
               (double)figures.start_us[run] / 1e3, (double)figures.rss_kib[run] / 1024,
               (double)figures.cpu_us[run] / 1e3);
    }
    printf("median start_ms=%.1f", (double)median(figures.start_us, runs) / 1e3);
    printf(" lowest=%.1f highest=%.1f", (double)figures.start_us[0] / 1e3,
           (double)figures.start_us[runs - 1] / 1e3);
    printf(" rss_mib=%.1f", (double)median(figures.rss_kib, runs) / 1024);
    printf(" cpu_ms=%.1f\n", (double)median(figures.cpu_us, runs) / 1e3);
    return 0;
}
