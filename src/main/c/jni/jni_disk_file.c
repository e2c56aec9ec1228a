/* SPDX-License-Identifier: AGPL-3.0-only */
/* Natives of NativeDiskFile. */
#include "io_ubiblk_nativelib_NativeDiskFile.h"

#include <errno.h>
#include <stdlib.h>

#include "io/disk_file.h"
#include "io/disk_look.h"
#include "jni/jni_env.h"

JNIEXPORT jlong JNICALL Java_io_ubiblk_nativelib_NativeDiskFile_create(JNIEnv *env, jclass class,
                                                                       jbyteArray path,
                                                                       jint logical_block_size,
                                                                       jint lock_timeout_ms,
                                                                       jlong log)
{
    (void)class;
    char path_text[JNI_TEXT_BYTES];
    if (jni_copy_text(env, path, path_text) < 0) {
        return 0;
    }
    struct disk_file *file = calloc(1, sizeof(*file));
    if (file == NULL) {
        jni_throw_errno(env, "memory for an open disk", -ENOMEM);
        return 0;
    }
    const struct disk_file_params params = {
        .path = path_text,
        .direct_io = DIRECT_IO_FALSE,
        .logical_block_size = (uint32_t)logical_block_size,
        .lock_timeout_ms = (uint32_t)lock_timeout_ms,
    };
    struct error error = {0};
    if (disk_file_open(&params, jni_pointer(log), file, &error) < 0) {
        jni_throw(env, path_text, &error);
        free(file);
        return 0;
    }
    return jni_handle(file);
}

JNIEXPORT jlong JNICALL Java_io_ubiblk_nativelib_NativeDiskFile_byteLength(JNIEnv *env,
                                                                           jclass class,
                                                                           jlong handle)
{
    (void)env;
    (void)class;
    const struct disk_file *file = jni_pointer(handle);
    return (jlong)file->byte_len;
}

JNIEXPORT jstring JNICALL Java_io_ubiblk_nativelib_NativeDiskFile_look(JNIEnv *env, jclass class,
                                                                       jbyteArray path,
                                                                       jlongArray byte_length)
{
    (void)class;
    char path_text[JNI_TEXT_BYTES];
    if (jni_copy_text(env, path, path_text) < 0) {
        return NULL;
    }
    struct disk_look look;
    struct error error = {0};
    if (disk_look_at(path_text, &look, &error) < 0) {
        jni_throw(env, path_text, &error);
        return NULL;
    }
    const jlong byte_len = (jlong)look.byte_len;
    (*env)->SetLongArrayRegion(env, byte_length, 0, 1, &byte_len);
    return look.locked ? jni_string(env, look.holder) : NULL;
}

JNIEXPORT void JNICALL Java_io_ubiblk_nativelib_NativeDiskFile_free(JNIEnv *env, jclass class,
                                                                    jlong handle)
{
    (void)env;
    (void)class;
    struct disk_file *file = jni_pointer(handle);
    disk_file_close(file);
    free(file);
}
