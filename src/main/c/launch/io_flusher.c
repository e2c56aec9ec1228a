/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Runs a program whose threads may be needed to write memory back: `io_flusher PROGRAM ARGUMENT...`
 *
 * When memory is short the kernel makes whoever allocates write dirty pages first. A process that
 * serves a block device would then wait for itself. PR_SET_IO_FLUSHER exempts it; the setting is a
 * thread's and is inherited, so it has to be made before there is any thread but the first. This
 * program is installed beside the library and does that for the launcher.
 *
 * launch/ holds programs that start the JVM; they know nothing of the rest.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#ifndef PR_SET_IO_FLUSHER
#define PR_SET_IO_FLUSHER 57
#endif

/* The statuses of a shell that could not run a command. */
enum { STATUS_USAGE = 2, STATUS_NOT_RUN = 126 };

int main(int argc, char **argv)
{
    if (argc < 2) {
        fprintf(stderr, "usage: io_flusher PROGRAM [ARGUMENT...]\n");
        return STATUS_USAGE;
    }
    if (prctl(PR_SET_IO_FLUSHER, 1, 0, 0, 0) < 0) {
        fprintf(
            stderr,
            "warning: PR_SET_IO_FLUSHER is refused (%s); without CAP_SYS_RESOURCE this process "
            "and the block device that it serves may wait for each other when memory is short\n",
            strerror(errno));
    }
    execv(argv[1], argv + 1);
    fprintf(stderr, "cannot run %s: %s\n", argv[1], strerror(errno));
    return STATUS_NOT_RUN;
}
