/* SPDX-License-Identifier: AGPL-3.0-only */
/* Natives of NativeSectorFile. */
#include "io_ubiblk_nativelib_NativeSectorFile.h"

#include <errno.h>
#include <stdlib.h>

#include "blk/sector_file.h"
#include "jni/jni_env.h"

/* The numbers of NativeCodes. */
_Static_assert(SECTOR_FILE_READ == 0 && SECTOR_FILE_UPDATE == 1 && SECTOR_FILE_CREATE == 2,
               "NativeSectorFile.Mode");

/* The path is for the sentences of failures. */
struct named_file {
    struct sector_file file;
    char path[JNI_TEXT_BYTES];
};

JNIEXPORT jlong JNICALL Java_io_ubiblk_nativelib_NativeSectorFile_create(JNIEnv *env, jclass class,
                                                                         jbyteArray path, jint mode,
                                                                         jint lock_timeout_ms,
                                                                         jlong xts, jlong log)
{
    (void)class;
    struct named_file *named = calloc(1, sizeof(*named));
    if (named == NULL) {
        jni_throw_errno(env, "memory for an open file", -ENOMEM);
        return 0;
    }
    struct error error = {0};
    if (jni_copy_text(env, path, named->path) < 0) {
        free(named);
        return 0;
    }
    if (sector_file_open(named->path, (enum sector_file_mode)mode, (uint32_t)lock_timeout_ms,
                         jni_pointer(xts), jni_pointer(log), &named->file, &error) < 0) {
        jni_throw(env, named->path, &error);
        free(named);
        return 0;
    }
    return jni_handle(named);
}

JNIEXPORT jlong JNICALL Java_io_ubiblk_nativelib_NativeSectorFile_byteLength(JNIEnv *env,
                                                                             jclass class,
                                                                             jlong handle)
{
    (void)class;
    const struct named_file *named = jni_pointer(handle);
    int64_t byte_len = sector_file_byte_len(&named->file);
    if (byte_len < 0) {
        jni_throw_file(env, named->path, "learn the size of", (int)byte_len);
    }
    return byte_len;
}

JNIEXPORT void JNICALL Java_io_ubiblk_nativelib_NativeSectorFile_read(JNIEnv *env, jclass class,
                                                                      jlong handle, jlong sector,
                                                                      jobject into, jint offset,
                                                                      jint sector_count)
{
    (void)class;
    const struct named_file *named = jni_pointer(handle);
    char *bytes = (*env)->GetDirectBufferAddress(env, into);
    int ret =
        sector_file_read(&named->file, (uint64_t)sector, bytes + offset, (uint32_t)sector_count);
    if (ret < 0) {
        jni_throw_transfer(env, named->path, "read", sector, ret);
    }
}

JNIEXPORT void JNICALL Java_io_ubiblk_nativelib_NativeSectorFile_write(JNIEnv *env, jclass class,
                                                                       jlong handle, jlong sector,
                                                                       jobject content, jint offset,
                                                                       jint sector_count)
{
    (void)class;
    const struct named_file *named = jni_pointer(handle);
    const char *bytes = (*env)->GetDirectBufferAddress(env, content);
    int ret =
        sector_file_write(&named->file, (uint64_t)sector, bytes + offset, (uint32_t)sector_count);
    if (ret < 0) {
        jni_throw_transfer(env, named->path, "write", sector, ret);
    }
}

JNIEXPORT void JNICALL Java_io_ubiblk_nativelib_NativeSectorFile_sync(JNIEnv *env, jclass class,
                                                                      jlong handle)
{
    (void)class;
    const struct named_file *named = jni_pointer(handle);
    int ret = sector_file_sync(&named->file);
    if (ret < 0) {
        jni_throw_file(env, named->path, "sync", ret);
    }
}

JNIEXPORT void JNICALL Java_io_ubiblk_nativelib_NativeSectorFile_syncDirectory(JNIEnv *env,
                                                                               jclass class,
                                                                               jlong handle)
{
    (void)class;
    const struct named_file *named = jni_pointer(handle);
    int ret = sector_file_sync_directory(named->path);
    if (ret < 0) {
        jni_throw_file(env, named->path, "sync the directory of", ret);
    }
}

JNIEXPORT void JNICALL Java_io_ubiblk_nativelib_NativeSectorFile_free(JNIEnv *env, jclass class,
                                                                      jlong handle)
{
    (void)env;
    (void)class;
    struct named_file *named = jni_pointer(handle);
    sector_file_close(&named->file);
    free(named);
}
