/* SPDX-License-Identifier: AGPL-3.0-only */
/* Natives of NativeLibrary. */
#include "io_ubiblk_nativelib_NativeLibrary.h"

#include "jni/jni_env.h"

JNIEXPORT jstring JNICALL Java_io_ubiblk_nativelib_NativeLibrary_version(JNIEnv *env, jclass class)
{
    (void)class;
    return jni_string(env, UBIBLK_VERSION);
}
