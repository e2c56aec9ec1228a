/* SPDX-License-Identifier: AGPL-3.0-only */
/* The process's guard of guest memory and the SIGBUS handler that asks it. */
#ifndef UBIBLK_JNI_JNI_GUEST_GUARD_H
#define UBIBLK_JNI_JNI_GUEST_GUARD_H

#include "virtq/guest_guard.h"

/*
 * Installs the handler at the first call; signals that are not the guard's go to the handler that
 * was there before, which is the JVM's. Returns the guard, which lives as long as the process, or
 * NULL when it could not be made: guest memory is then unguarded. One thread at a time.
 */
struct guest_guard *jni_guest_guard(void);

#endif
