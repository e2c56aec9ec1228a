/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Natives of StopSignals.
 *
 * Signals are caught here because a JVM that catches them itself ends with status 143. The handler
 * may run on any thread, so it only notes the number and writes to an eventfd, both allowed in a
 * handler; a Java thread waits for the eventfd and then stops everything in order. The eventfd is
 * never read, so whoever waits later returns at once. It lives as long as the process.
 */
#include "jni/jni_signals.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "io_ubiblk_nativelib_StopSignals.h"
#include "jni/jni_env.h"

static const int STOP_SIGNALS[] = {SIGHUP, SIGINT, SIGTERM};

_Static_assert(SIGHUP == 1 && SIGINT == 2, "StopSignals.await");

static _Atomic int event_fd = -1;
static _Atomic int last_signal;

static void note_signal(int number)
{
    int saved_errno = errno;
    const uint64_t one = 1;
    atomic_store(&last_signal, number);
    /* Fails only when 2^64 - 2 signals have come, which leaves it readable all the same. */
    ssize_t written = write(atomic_load(&event_fd), &one, sizeof(one));
    (void)written;
    errno = saved_errno;
}

static int catch_signal(int number)
{
    struct sigaction action = {.sa_handler = SIG_DFL};
    if (sigaction(number, NULL, &action) < 0) {
        return -errno;
    }
    if (action.sa_handler == SIG_IGN) {
        return 0;
    }
    action = (struct sigaction){.sa_handler = note_signal, .sa_flags = SA_RESTART};
    sigemptyset(&action.sa_mask);
    return sigaction(number, &action, NULL) < 0 ? -errno : 0;
}

static int catch_all(void)
{
    if (atomic_load(&event_fd) >= 0) {
        return 0;
    }
    int fd = eventfd(0, EFD_CLOEXEC);
    if (fd < 0) {
        return -errno;
    }
    atomic_store(&event_fd, fd);
    for (size_t i = 0; i < sizeof(STOP_SIGNALS) / sizeof(STOP_SIGNALS[0]); i++) {
        int result = catch_signal(STOP_SIGNALS[i]);
        if (result < 0) {
            return result;
        }
    }
    return 0;
}

int jni_stop_signal_fd(void)
{
    return atomic_load(&event_fd);
}

JNIEXPORT void JNICALL Java_io_ubiblk_nativelib_StopSignals_catchSignals(JNIEnv *env, jclass class)
{
    (void)class;
    int result = catch_all();
    if (result < 0) {
        jni_throw_errno(env, "catching signals", result);
    }
}

JNIEXPORT jint JNICALL Java_io_ubiblk_nativelib_StopSignals_last(JNIEnv *env, jclass class)
{
    (void)env;
    (void)class;
    return atomic_load(&last_signal);
}

JNIEXPORT void JNICALL Java_io_ubiblk_nativelib_StopSignals_waitForSignal(JNIEnv *env, jclass class)
{
    (void)class;
    struct pollfd fd = {.fd = atomic_load(&event_fd), .events = POLLIN};
    while (poll(&fd, 1, -1) < 0) {
        if (errno != EINTR) {
            jni_throw_errno(env, "waiting for a signal", -errno);
            return;
        }
    }
}
