/* SPDX-License-Identifier: AGPL-3.0-only */
/* Natives of NativeBuffer: pages of their own, so that they are aligned and go back to the system
 * when they are freed. */
#include "io_ubiblk_nativelib_NativeBuffer.h"

#include <errno.h>
#include <inttypes.h>
#include <sys/mman.h>

#include "jni/jni_env.h"

JNIEXPORT jlong JNICALL Java_io_ubiblk_nativelib_NativeBuffer_create(JNIEnv *env, jclass class,
                                                                     jbyteArray what, jlong bytes)
{
    (void)class;
    char what_text[JNI_TEXT_BYTES];
    if (jni_copy_text(env, what, what_text) < 0) {
        return 0;
    }
    void *pages =
        mmap(NULL, (size_t)bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (pages == MAP_FAILED) {
        struct error error;
        error_set_errno(&error, -ENOMEM, "cannot allocate %" PRId64 " bytes for %s", (int64_t)bytes,
                        what_text);
        jni_throw(env, what_text, &error);
        return 0;
    }
    madvise(pages, (size_t)bytes, MADV_DONTDUMP); /* a precaution: it works without */
    return jni_handle(pages);
}

JNIEXPORT jobject JNICALL Java_io_ubiblk_nativelib_NativeBuffer_view(JNIEnv *env, jclass class,
                                                                     jlong handle, jlong bytes)
{
    (void)class;
    return (*env)->NewDirectByteBuffer(env, jni_pointer(handle), bytes);
}

JNIEXPORT void JNICALL Java_io_ubiblk_nativelib_NativeBuffer_free(JNIEnv *env, jclass class,
                                                                  jlong handle, jlong bytes)
{
    (void)env;
    (void)class;
    munmap(jni_pointer(handle), (size_t)bytes);
}
