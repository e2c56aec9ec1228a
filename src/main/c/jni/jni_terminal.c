/* SPDX-License-Identifier: AGPL-3.0-only */
/* Natives of Terminal. */
#include "io_ubiblk_nativelib_Terminal.h"

#include <unistd.h>

JNIEXPORT jboolean JNICALL Java_io_ubiblk_nativelib_Terminal_isTerminal(JNIEnv *env, jclass class,
                                                                        jint fd)
{
    (void)env;
    (void)class;
    return isatty(fd) ? JNI_TRUE : JNI_FALSE;
}
