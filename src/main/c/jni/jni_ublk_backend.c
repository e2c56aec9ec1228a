/* SPDX-License-Identifier: AGPL-3.0-only */
/* Natives of NativeUblkBackend. */
#include "io_ubiblk_nativelib_NativeUblkBackend.h"

#include <assert.h>

#include "jni/jni_env.h"
#include "jni/jni_signals.h"
#include "ublk/ublk_device.h"

_Static_assert(UBLK_ANY_ID == -1, "NativeUblkBackend.ANY_ID");

JNIEXPORT jlong JNICALL Java_io_ubiblk_nativelib_NativeUblkBackend_start(JNIEnv *env, jclass class,
                                                                         jlong handle, jint dev_id,
                                                                         jintArray cpus,
                                                                         jint stop_timeout_ms,
                                                                         jlong log)
{
    (void)class;
    struct blk_device *device = jni_pointer(handle);
    jint cpu_numbers[BLK_QUEUE_COUNT_MAX];
    if (cpus != NULL) {
        assert((*env)->GetArrayLength(env, cpus) == (jsize)device->queue_count);
        (*env)->GetIntArrayRegion(env, cpus, 0, (jsize)device->queue_count, cpu_numbers);
    }
    const struct ublk_device_params params = {
        .dev_id = dev_id,
        .cpus = cpus == NULL ? NULL : cpu_numbers,
        .stop_timeout_ms = (uint32_t)stop_timeout_ms,
        .stop_fd = jni_stop_signal_fd(),
    };
    struct ublk_device *backend = NULL;
    struct error error = {0};
    if (ublk_device_start(device, &params, jni_pointer(log), &backend, &error) < 0) {
        jni_throw(env, "starting the ublk back end", &error);
        return 0;
    }
    return jni_handle(backend);
}

JNIEXPORT jint JNICALL Java_io_ubiblk_nativelib_NativeUblkBackend_deviceId(JNIEnv *env,
                                                                           jclass class,
                                                                           jlong handle)
{
    (void)env;
    (void)class;
    return (jint)ublk_device_id(jni_pointer(handle));
}

JNIEXPORT jlong JNICALL Java_io_ubiblk_nativelib_NativeUblkBackend_hash(JNIEnv *env, jclass class,
                                                                        jlong handle)
{
    (void)env;
    (void)class;
    return (jlong)ublk_device_hash(jni_pointer(handle));
}

JNIEXPORT jboolean JNICALL Java_io_ubiblk_nativelib_NativeUblkBackend_await(JNIEnv *env,
                                                                            jclass class,
                                                                            jlong handle)
{
    (void)class;
    int result = ublk_device_wait(jni_pointer(handle));
    if (result < 0) {
        jni_throw_errno(env, "serving the ublk device", result);
    }
    return result == 0;
}

JNIEXPORT void JNICALL Java_io_ubiblk_nativelib_NativeUblkBackend_stop(JNIEnv *env, jclass class,
                                                                       jlong handle)
{
    (void)class;
    int result = ublk_device_stop(jni_pointer(handle));
    if (result < 0) {
        jni_throw_errno(env, "the last sync of the disk", result);
    }
}
