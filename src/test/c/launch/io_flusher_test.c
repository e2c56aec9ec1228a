/* SPDX-License-Identifier: AGPL-3.0-only */
/* The real program, as a process of its own. */
#include "support/cmocka_test.h"

#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef PR_GET_IO_FLUSHER
#define PR_GET_IO_FLUSHER 58
#endif

static char program[4096];

/* Runs a shell command line with $0 the program; returns its status, and its output. */
static int run(const char *line, char *output, size_t size)
{
    char command[8192];
    snprintf(command, sizeof(command), "set -- %s; %s", program, line);
    FILE *pipe = popen(command, "r");
    assert_non_null(pipe);
    size_t got = fread(output, 1, size - 1, pipe);
    output[got] = 0;
    return WEXITSTATUS(pclose(pipe));
}

static void runs_a_program_with_its_arguments_and_status(void **state)
{
    (void)state;
    char output[4096];
    assert_int_equal(
        7, run("$1 /bin/sh -c 'echo \"<$1>\"; exit 7' x 'a b' 2>&1", output, sizeof(output)));
    assert_non_null(strstr(output, "<a b>"));
}

static void says_what_it_cannot_run(void **state)
{
    (void)state;
    char output[4096];
    assert_int_equal(126, run("$1 /nonexistent 2>&1", output, sizeof(output)));
    assert_non_null(strstr(output, "/nonexistent"));
    assert_int_equal(2, run("$1 2>&1", output, sizeof(output)));
    assert_non_null(strstr(output, "usage"));
}

/* Among the flags of a task is what the setting sets: PF_MEMALLOC_NOIO. */
static void a_child_has_the_setting_or_a_warning_is_given(void **state)
{
    (void)state;
    char output[4096];
    assert_int_equal(0, run("$1 /bin/sh -c \"sed 's/.*) //' /proc/self/stat | cut -d' ' -f7\" 2>&1",
                            output, sizeof(output)));
    if (strstr(output, "warning: PR_SET_IO_FLUSHER")) {
        assert_non_null(strstr(output, "CAP_SYS_RESOURCE"));
        return;
    }
    unsigned long flags = 0;
    assert_int_equal(1, sscanf(output, "%lu", &flags));
    assert_true((flags & 0x00080000) != 0);
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
        cmocka_unit_test(a_child_has_the_setting_or_a_warning_is_given),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
