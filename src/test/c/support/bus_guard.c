/* SPDX-License-Identifier: AGPL-3.0-only */
#include "support/bus_guard.h"

#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

static struct guest_guard *guard;

static void handle_bus_error(int number, siginfo_t *info, void *context)
{
    (void)number;
    (void)context;
    if (!guest_guard_repair(guard, info->si_addr)) {
        _exit(EXIT_FAILURE);
    }
}

struct guest_guard *bus_guard_install(void)
{
    struct sigaction action = {.sa_sigaction = handle_bus_error, .sa_flags = SA_SIGINFO};
    if (guard == NULL) {
        guard = guest_guard_create();
        sigemptyset(&action.sa_mask);
        sigaction(SIGBUS, &action, NULL);
    }
    return guard;
}
