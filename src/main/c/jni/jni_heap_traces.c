/* SPDX-License-Identifier: AGPL-3.0-only */
/* Natives of HeapTraces. */
#include "io_ubiblk_nativelib_HeapTraces.h"

#include <stdint.h>

/* 0 when out of memory. Nothing is read or written there. */
JNIEXPORT jlong JNICALL Java_io_ubiblk_nativelib_HeapTraces_addressOf(JNIEnv *env, jclass class,
                                                                      jbyteArray array)
{
    (void)class;
    void *bytes = (*env)->GetPrimitiveArrayCritical(env, array, NULL);
    if (bytes == NULL)
        return 0;
    (*env)->ReleasePrimitiveArrayCritical(env, array, bytes, JNI_ABORT);
    return (jlong)(uintptr_t)bytes;
}
