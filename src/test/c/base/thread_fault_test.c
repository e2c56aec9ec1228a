/* SPDX-License-Identifier: AGPL-3.0-only */
/* A thread that cannot be started. */
/* wrap: pthread_create */
#include "base/thread.h"

#include <errno.h>
#include <signal.h>
#include <stdbool.h>

#include "support/cmocka_test.h"

int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attributes,
                          void *(*main)(void *), void *argument);

int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attributes,
                          void *(*main)(void *), void *argument)
{
    (void)thread;
    (void)attributes;
    (void)main;
    (void)argument;
    return EAGAIN;
}

static void *nothing(void *argument)
{
    return argument;
}

static void says_why_and_restores_the_signals(void **state)
{
    (void)state;
    pthread_t thread;
    sigset_t blocked;
    assert_int_equal(-EAGAIN, thread_start(&thread, "none", nothing, NULL));
    pthread_sigmask(SIG_SETMASK, NULL, &blocked);
    assert_int_equal(0, sigismember(&blocked, SIGTERM));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(says_why_and_restores_the_signals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
