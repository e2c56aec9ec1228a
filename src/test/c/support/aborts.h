/* SPDX-License-Identifier: AGPL-3.0-only */
/* Whether a call ends its process by an assert: it is made in a child. */
#ifndef UBIBLK_SUPPORT_ABORTS_H
#define UBIBLK_SUPPORT_ABORTS_H

#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

/* Calls call(argument) in a child that is quiet and leaves no core. */
static inline bool call_aborts(void (*call)(void *), void *argument)
{
    pid_t child = fork();
    if (child == 0) {
        const struct rlimit no_core = {0, 0};
        setrlimit(RLIMIT_CORE, &no_core);
        signal(SIGABRT, SIG_DFL);
        int nowhere = open("/dev/null", O_WRONLY | O_CLOEXEC);
        dup2(nowhere, STDERR_FILENO);
        call(argument);
        _exit(0);
    }
    int status = 0;
    return child > 0 && waitpid(child, &status, 0) == child && WIFSIGNALED(status) &&
           WTERMSIG(status) == SIGABRT;
}

#endif
