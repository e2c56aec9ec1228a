/* SPDX-License-Identifier: AGPL-3.0-only */
#include "thread.h"

#include <signal.h>

/* The deepest call chain is a batch of requests through a cipher engine: well below this. */
enum { THREAD_STACK_BYTES = 256 * 1024 };

int thread_start(pthread_t *thread, const char *name, void *(*main)(void *), void *argument)
{
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, THREAD_STACK_BYTES);
    sigset_t blocked, before;
    sigfillset(&blocked);
    const int faults[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP};
    for (unsigned i = 0; i < sizeof(faults) / sizeof(faults[0]); i++)
        sigdelset(&blocked, faults[i]);
    pthread_sigmask(SIG_SETMASK, &blocked, &before);
    int failure = pthread_create(thread, &attributes, main, argument);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attributes);
    if (failure)
        return -failure;
    pthread_setname_np(*thread, name);
    return 0;
}
