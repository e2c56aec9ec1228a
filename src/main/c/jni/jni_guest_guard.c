/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * HotSpot has a SIGBUS handler of its own (files that it maps may shrink too) and would end the
 * process for an address that it does not know. Ours stands before it and passes on what is not
 * guest memory.
 */
#include "jni_guest_guard.h"

#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>

static _Atomic(struct guest_guard *) process_guard;
static struct sigaction before;

static void pass_on(int number, siginfo_t *info, void *context)
{
    if (before.sa_flags & SA_SIGINFO) {
        before.sa_sigaction(number, info, context);
    } else if (before.sa_handler != SIG_DFL && before.sa_handler != SIG_IGN) {
        before.sa_handler(number);
    } else {
        /* Returning repeats the access, which now has the default effect. */
        sigaction(number, &before, NULL);
    }
}

static void handle_bus_error(int number, siginfo_t *info, void *context)
{
    if (info->si_code != BUS_ADRERR || !guest_guard_repair(process_guard, info->si_addr)) {
        pass_on(number, info, context);
    }
}

struct guest_guard *jni_guest_guard(void)
{
    if (process_guard != NULL) {
        return process_guard;
    }
    struct guest_guard *guard = guest_guard_create();
    if (guard == NULL) {
        return NULL;
    }
    struct sigaction action = {.sa_sigaction = handle_bus_error,
                               .sa_flags = SA_SIGINFO | SA_ONSTACK};
    sigemptyset(&action.sa_mask);
    process_guard = guard;
    if (sigaction(SIGBUS, NULL, &before) < 0 || sigaction(SIGBUS, &action, NULL) < 0) {
        process_guard = NULL;
        guest_guard_destroy(guard);
        return NULL;
    }
    return guard;
}
