/* SPDX-License-Identifier: AGPL-3.0-only */
/* Threads of the core: name, stack, signals. */
#include "base/thread.h"

#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

#include "support/cmocka_test.h"

/* What a thread saw of itself. */
struct seen {
    char name[16];
    size_t stack_bytes;
    sigset_t blocked;
};

static void *look(void *argument)
{
    struct seen *seen = argument;
    pthread_getname_np(pthread_self(), seen->name, sizeof(seen->name));
    pthread_attr_t attributes;
    pthread_getattr_np(pthread_self(), &attributes);
    pthread_attr_getstacksize(&attributes, &seen->stack_bytes);
    pthread_attr_destroy(&attributes);
    pthread_sigmask(SIG_SETMASK, NULL, &seen->blocked);
    return argument;
}

static struct seen run(void)
{
    struct seen seen = {0};
    pthread_t thread;
    void *result;
    assert_int_equal(0, thread_start(&thread, "queue-62", look, &seen));
    assert_int_equal(0, pthread_join(thread, &result));
    assert_ptr_equal(&seen, result);
    return seen;
}

static void has_a_small_stack(void **state)
{
    (void)state;
    struct seen seen = run();
    assert_in_range(seen.stack_bytes, 128 * 1024, 1024 * 1024);
}

static void *wait_for_signal(void *argument)
{
    sigset_t set;
    int number;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    sigwait(&set, &number);
    return argument;
}

static void carries_its_name(void **state)
{
    (void)state;
    pthread_t thread;
    char name[16] = "";
    assert_int_equal(0, thread_start(&thread, "exactly-15-long", wait_for_signal, NULL));
    assert_int_equal(0, pthread_getname_np(thread, name, sizeof(name)));
    assert_string_equal("exactly-15-long", name);
    pthread_kill(thread, SIGUSR1);
    pthread_join(thread, NULL);
}

static void blocks_every_signal_but_those_of_faults(void **state)
{
    (void)state;
    struct seen seen = run();
    const int blocked[] = {SIGTERM, SIGINT, SIGHUP, SIGPIPE, SIGCHLD, SIGUSR1, SIGALRM, SIGQUIT};
    const int open[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP};
    for (size_t i = 0; i < sizeof(blocked) / sizeof(blocked[0]); i++) {
        assert_int_equal(1, sigismember(&seen.blocked, blocked[i]));
    }
    for (size_t i = 0; i < sizeof(open) / sizeof(open[0]); i++) {
        assert_int_equal(0, sigismember(&seen.blocked, open[i]));
    }
}

static void leaves_the_signals_of_the_starting_thread_alone(void **state)
{
    (void)state;
    sigset_t before;
    sigset_t after;
    sigset_t one;
    sigemptyset(&one);
    sigaddset(&one, SIGUSR2);
    pthread_sigmask(SIG_BLOCK, &one, &before);
    run();
    pthread_sigmask(SIG_SETMASK, &before, &after);
    for (int number = 1; number < NSIG; number++) {
        bool expected = number == SIGUSR2 || sigismember(&before, number) == 1;
        assert_int_equal(expected, sigismember(&after, number) == 1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(has_a_small_stack),
        cmocka_unit_test(carries_its_name),
        cmocka_unit_test(blocks_every_signal_but_those_of_faults),
        cmocka_unit_test(leaves_the_signals_of_the_starting_thread_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
