/* SPDX-License-Identifier: AGPL-3.0-only */
/* Threads of the core: small stack, a name, and no part in the process's signals. */
#ifndef UBIBLK_BASE_THREAD_H
#define UBIBLK_BASE_THREAD_H

#include <pthread.h>

/*
 * Starts main(argument) in a thread named name (at most 15 bytes) that blocks every signal but
 * those of faults, so that SIGTERM and the like reach whoever waits for them. Returns 0 or -errno.
 */
int thread_start(pthread_t *thread, const char *name, void *(*main)(void *), void *argument);

#endif
