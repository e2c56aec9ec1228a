/* SPDX-License-Identifier: AGPL-3.0-only */
/* Natives of NativeDiskFile. */
#include "io_ubiblk_nativelib_NativeDiskFile.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/sector.h"
#include "io/disk_file.h"
#include "io/disk_look.h"
#include "jni/jni_env.h"

/* The numbers of NativeCodes. */
_Static_assert(DISK_UPDATE == 0 && DISK_READ == 1 && DISK_CREATE == 2, "NativeDiskFile.Access");

/* The path is for the sentences of failures. */
struct named_disk {
    struct disk_file file;
    char path[JNI_TEXT_BYTES];
};

static jlong open_named(JNIEnv *env, const struct disk_file_params *params, struct log *log)
{
    struct named_disk *named = calloc(1, sizeof(*named));
    if (named == NULL) {
        jni_throw_errno(env, "memory for an open disk", -ENOMEM);
        return 0;
    }
    memcpy(named->path, params->path, strlen(params->path) + 1);
    struct error error = {0};
    if (disk_file_open(params, log, &named->file, &error) < 0) {
        jni_throw(env, params->path, &error);
        free(named);
        return 0;
    }
    return jni_handle(named);
}

JNIEXPORT jlong JNICALL Java_io_ubiblk_nativelib_NativeDiskFile_create(
    JNIEnv *env, jclass class, jbyteArray path, jint access, jlong create_byte_length,
    jint direct_io, jint logical_block_size, jint lock_timeout_ms, jlong log)
{
    (void)class;
    char path_text[JNI_TEXT_BYTES];
    if (jni_copy_text(env, path, path_text) < 0) {
        return 0;
    }
    const struct disk_file_params params = {
        .path = path_text,
        .direct_io = (enum direct_io)direct_io,
        .logical_block_size = (uint32_t)logical_block_size,
        .lock_timeout_ms = (uint32_t)lock_timeout_ms,
        .access = (enum disk_access)access,
        .create_byte_len = (uint64_t)create_byte_length,
    };
    return open_named(env, &params, jni_pointer(log));
}

JNIEXPORT jlong JNICALL Java_io_ubiblk_nativelib_NativeDiskFile_byteLength(JNIEnv *env,
                                                                           jclass class,
                                                                           jlong handle)
{
    (void)env;
    (void)class;
    const struct named_disk *named = jni_pointer(handle);
    return (jlong)named->file.byte_len;
}

JNIEXPORT jboolean JNICALL Java_io_ubiblk_nativelib_NativeDiskFile_blockDevice(JNIEnv *env,
                                                                               jclass class,
                                                                               jlong handle)
{
    (void)env;
    (void)class;
    const struct named_disk *named = jni_pointer(handle);
    return named->file.block_device ? JNI_TRUE : JNI_FALSE;
}

JNIEXPORT jboolean JNICALL Java_io_ubiblk_nativelib_NativeDiskFile_direct(JNIEnv *env, jclass class,
                                                                          jlong handle)
{
    (void)env;
    (void)class;
    const struct named_disk *named = jni_pointer(handle);
    return named->file.direct ? JNI_TRUE : JNI_FALSE;
}

JNIEXPORT void JNICALL Java_io_ubiblk_nativelib_NativeDiskFile_read(JNIEnv *env, jclass class,
                                                                    jlong handle, jlong sector,
                                                                    jobject into, jint offset,
                                                                    jint sector_count)
{
    (void)class;
    const struct named_disk *named = jni_pointer(handle);
    char *bytes = (*env)->GetDirectBufferAddress(env, into);
    int ret = disk_file_read(&named->file, sectors_to_bytes((uint64_t)sector), bytes + offset,
                             sectors_to_bytes((uint64_t)sector_count));
    if (ret < 0) {
        jni_throw_transfer(env, named->path, "read", sector, ret);
    }
}

JNIEXPORT void JNICALL Java_io_ubiblk_nativelib_NativeDiskFile_write(JNIEnv *env, jclass class,
                                                                     jlong handle, jlong sector,
                                                                     jobject content, jint offset,
                                                                     jint sector_count)
{
    (void)class;
    const struct named_disk *named = jni_pointer(handle);
    const char *bytes = (*env)->GetDirectBufferAddress(env, content);
    int ret = disk_file_write(&named->file, sectors_to_bytes((uint64_t)sector), bytes + offset,
                              sectors_to_bytes((uint64_t)sector_count));
    if (ret < 0) {
        jni_throw_transfer(env, named->path, "write", sector, ret);
    }
}

JNIEXPORT void JNICALL Java_io_ubiblk_nativelib_NativeDiskFile_sync(JNIEnv *env, jclass class,
                                                                    jlong handle)
{
    (void)class;
    const struct named_disk *named = jni_pointer(handle);
    int ret = disk_file_sync(&named->file);
    if (ret < 0) {
        jni_throw_file(env, named->path, "sync", ret);
    }
}

JNIEXPORT jlong JNICALL Java_io_ubiblk_nativelib_NativeDiskFile_next(JNIEnv *env, jclass class,
                                                                     jlong handle, jlong offset,
                                                                     jboolean data)
{
    (void)class;
    const struct named_disk *named = jni_pointer(handle);
    int64_t found = data ? disk_file_next_data(&named->file, (uint64_t)offset)
                         : disk_file_next_hole(&named->file, (uint64_t)offset);
    if (found < 0) {
        jni_throw_file(env, named->path, "find what is allocated of", (int)found);
    }
    return found;
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
    struct named_disk *named = jni_pointer(handle);
    disk_file_close(&named->file);
    free(named);
}
