/* SPDX-License-Identifier: AGPL-3.0-only */
/* Natives of ProcessHardening. */
#include "io_ubiblk_nativelib_ProcessHardening.h"

#include <errno.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include "jni/jni_env.h"
#include "mem/stack.h"

JNIEXPORT void JNICALL Java_io_ubiblk_nativelib_ProcessHardening_setUndumpable(JNIEnv *env,
                                                                               jclass class)
{
    (void)class;
    const struct rlimit none = {0, 0};
    if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0) {
        jni_throw_errno(env, "prctl PR_SET_DUMPABLE", -errno);
    } else if (setrlimit(RLIMIT_CORE, &none) < 0) {
        jni_throw_errno(env, "setrlimit RLIMIT_CORE", -errno);
    }
}

JNIEXPORT void JNICALL Java_io_ubiblk_nativelib_ProcessHardening_clearUnusedStack(JNIEnv *env,
                                                                                  jclass class)
{
    (void)env;
    (void)class;
    stack_clear_unused();
}
