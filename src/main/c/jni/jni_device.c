/* SPDX-License-Identifier: AGPL-3.0-only */
/* Natives of NativeDevice. */
#include "io_ubiblk_nativelib_NativeDevice.h"

#include <string.h>

#include "blk/blk_device.h"
#include "jni/jni_env.h"

/* The numbers of NativeCodes. */
_Static_assert(DIRECT_IO_AUTO == 0 && DIRECT_IO_TRUE == 1 && DIRECT_IO_FALSE == 2, "DirectIo");
_Static_assert(IO_ENGINE_URING == 0 && IO_ENGINE_SYNC == 1, "IoEngine");

JNIEXPORT jlong JNICALL Java_io_ubiblk_nativelib_NativeDevice_create(
    JNIEnv *env, jclass class, jbyteArray path, jbyteArray device_id, jint queue_count,
    jint queue_size, jint seg_size_max, jint seg_count_max, jint poll_timeout_us,
    jint logical_block_size, jlong bounce_bytes, jboolean write_through, jint direct_io,
    jint io_engine, jlong xts, jlong log)
{
    (void)class;
    char path_text[JNI_TEXT_BYTES];
    char device_id_text[JNI_TEXT_BYTES];
    if (jni_copy_text(env, path, path_text) < 0 ||
        jni_copy_text(env, device_id, device_id_text) < 0) {
        return 0;
    }
    const struct blk_device_params params = {
        .path = path_text,
        .device_id = device_id_text,
        .queue_count = (uint32_t)queue_count,
        .queue_size = (uint32_t)queue_size,
        .seg_size_max = (uint32_t)seg_size_max,
        .seg_count_max = (uint32_t)seg_count_max,
        .poll_timeout_us = (uint32_t)poll_timeout_us,
        .logical_block_size = (uint32_t)logical_block_size,
        .bounce_bytes = (uint64_t)bounce_bytes,
        .write_through = write_through,
        .direct_io = (enum direct_io)direct_io,
        .io_engine = (enum io_engine_kind)io_engine,
    };
    struct blk_device *device = NULL;
    struct error error = {0};
    if (blk_device_open(&params, jni_pointer(xts), jni_pointer(log), &device, &error) < 0) {
        jni_throw(env, path_text, &error);
        return 0;
    }
    return jni_handle(device);
}

JNIEXPORT jobject JNICALL Java_io_ubiblk_nativelib_NativeDevice_stats(JNIEnv *env, jclass class,
                                                                      jlong handle, jint queue)
{
    (void)class;
    const struct blk_device *device = jni_pointer(handle);
    return (*env)->NewDirectByteBuffer(env, device->stats[queue],
                                       (jlong)queue_stats_bytes(device->queue_size));
}

JNIEXPORT jlong JNICALL Java_io_ubiblk_nativelib_NativeDevice_capacity(JNIEnv *env, jclass class,
                                                                       jlong handle)
{
    (void)env;
    (void)class;
    const struct blk_device *device = jni_pointer(handle);
    return (jlong)device->capacity;
}

JNIEXPORT jboolean JNICALL Java_io_ubiblk_nativelib_NativeDevice_direct(JNIEnv *env, jclass class,
                                                                        jlong handle)
{
    (void)env;
    (void)class;
    const struct blk_device *device = jni_pointer(handle);
    return device->file.direct;
}

JNIEXPORT jstring JNICALL Java_io_ubiblk_nativelib_NativeDevice_stickyError(JNIEnv *env,
                                                                            jclass class,
                                                                            jlong handle)
{
    (void)class;
    int sticky_errno = blk_device_sticky_errno(jni_pointer(handle));
    if (sticky_errno == 0) {
        return NULL;
    }
    char text[128];
    return jni_string(env, strerror_r(sticky_errno, text, sizeof(text)));
}

JNIEXPORT void JNICALL Java_io_ubiblk_nativelib_NativeDevice_free(JNIEnv *env, jclass class,
                                                                  jlong handle)
{
    (void)env;
    (void)class;
    blk_device_close(jni_pointer(handle));
}
