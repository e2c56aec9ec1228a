/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * A back-end process for a test to talk to: a child that runs the core of this build (so that
 * sanitizers see it), or the real launcher when UBIBLK_BACKEND_CMD names it.
 *
 * The child is killed when its parent goes. Its standard error is the test's; the core's log goes
 * there too when UBIBLK_TEST_LOG is set. Belongs to one thread of a process without others.
 */
#ifndef UBIBLK_SUPPORT_BACKEND_HOST_H
#define UBIBLK_SUPPORT_BACKEND_HOST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "support/backend_config.h"

enum { BACKEND_HOST_PATH_BYTES = 108, BACKEND_HOST_STOP_MS = 60000 };

struct backend_host {
    pid_t pid; /* 0: not running */
    char directory[64];
    char socket_path[BACKEND_HOST_PATH_BYTES];
    char config_path[BACKEND_HOST_PATH_BYTES];
};

/*
 * Starts the process and waits until its socket accepts a connection (which is closed again).
 * 0 or -errno; -ECHILD when the process ended first.
 */
int backend_host_start(struct backend_host *host, const struct backend_host_params *params);

/*
 * The two halves of it. Launching returns while the process is still starting (-ENOTSUP for
 * extra_config without UBIBLK_BACKEND_CMD); when awaiting fails, the process has been killed.
 */
int backend_host_launch(struct backend_host *host, const struct backend_host_params *params);
int backend_host_await(struct backend_host *host);

/*
 * SIGTERM, and waits up to BACKEND_HOST_STOP_MS. The exit status (as in waitpid), or -ETIMEDOUT
 * after which it has been killed. 0 means that the process ended in order.
 */
int backend_host_stop(struct backend_host *host);

/* kill -9 and wait. Fine when not running. Removes the directory. */
void backend_host_kill(struct backend_host *host);

/* Whether the process still runs. */
bool backend_host_alive(const struct backend_host *host);

/* Open descriptors, mappings and resident kilobytes of the process, from /proc. Descriptors are the
 * fewest of several looks, since a JVM opens files of its own for a moment now and then. */
uint32_t backend_host_fd_count(const struct backend_host *host);
uint32_t backend_host_mapping_count(const struct backend_host *host);
uint64_t backend_host_rss_kib(const struct backend_host *host);

/* User and system time that the process has used, in milliseconds. */
uint64_t backend_host_cpu_ms(const struct backend_host *host);

/*
 * Makes a file of byte_len zero bytes in a directory of its own, on the file system of
 * UBIBLK_TEST_DIR (default: /var/tmp), and writes its path. 0 or -errno.
 */
int test_disk_create(char path[BACKEND_HOST_PATH_BYTES], uint64_t byte_len);
void test_disk_remove(const char *path);

#endif
