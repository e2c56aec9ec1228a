/* SPDX-License-Identifier: AGPL-3.0-only */
/* The real program, as a process of its own. */
#include "support/cmocka_test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { OUTPUT_BYTES = 4096, PF_MEMALLOC_NOIO = 0x00080000 };

static char program[4096];
static char output[OUTPUT_BYTES]; /* of the last run, both streams */

static void become_program(int output_fd, const char *const arguments[])
{
    dup2(output_fd, STDOUT_FILENO);
    dup2(output_fd, STDERR_FILENO);
    execv(program, (char *const *)arguments);
    _exit(99);
}

/* Runs it with arguments (the first stands for its name) and returns its status. */
static int run(const char *const arguments[])
{
    int pipe_fds[2];
    assert_int_equal(0, pipe(pipe_fds));
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0)
        become_program(pipe_fds[1], arguments);
    close(pipe_fds[1]);
    size_t length = 0;
    ssize_t got;
    while ((got = read(pipe_fds[0], output + length, OUTPUT_BYTES - 1 - length)) > 0)
        length += (size_t)got;
    output[length] = 0;
    close(pipe_fds[0]);
    int status = -1;
    assert_int_equal(pid, waitpid(pid, &status, 0));
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void runs_a_program_with_its_arguments_and_status(void **state)
{
    (void)state;
    const char *const arguments[] = {"io_flusher", "/bin/sh", "-c", "echo \"<$1>\"; exit 7",
                                     "x",          "a b",     NULL};
    assert_int_equal(7, run(arguments));
    assert_non_null(strstr(output, "<a b>"));
}

static void says_what_it_cannot_run(void **state)
{
    (void)state;
    assert_int_equal(126, run((const char *const[]){"io_flusher", "/nonexistent", NULL}));
    assert_non_null(strstr(output, "/nonexistent"));
    assert_int_equal(2, run((const char *const[]){"io_flusher", NULL}));
    assert_non_null(strstr(output, "usage"));
}

/* What it sets is among the flags of the task that it becomes. */
static void the_program_has_the_setting_or_a_warning_was_given(void **state)
{
    (void)state;
    const char *const arguments[] = {"io_flusher", "/bin/sed", "s/.*) //", "/proc/self/stat", NULL};
    assert_int_equal(0, run(arguments));
    if (strstr(output, "warning: PR_SET_IO_FLUSHER")) {
        assert_non_null(strstr(output, "CAP_SYS_RESOURCE"));
        return;
    }
    const char *flags = output;
    for (int field = 0; field < 6; field++)
        flags = strchr(flags, ' ') + 1;
    assert_true((strtoul(flags, NULL, 10) & PF_MEMALLOC_NOIO) != 0);
}

int main(int argc, char **argv)
{
    (void)argc;
    /* build/x/test/launch/io_flusher_test tests build/x/io_flusher. */
    const char *slash = strrchr(argv[0], '/');
    snprintf(program, sizeof(program), "%.*s/../../io_flusher", (int)(slash - argv[0]), argv[0]);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(runs_a_program_with_its_arguments_and_status),
        cmocka_unit_test(says_what_it_cannot_run),
        cmocka_unit_test(the_program_has_the_setting_or_a_warning_was_given),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
