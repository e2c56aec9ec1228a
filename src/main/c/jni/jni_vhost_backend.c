/* SPDX-License-Identifier: AGPL-3.0-only */
/* Natives of NativeVhostBackend. */
#include "io_ubiblk_nativelib_NativeVhostBackend.h"

#include <assert.h>

#include "jni/jni_env.h"
#include "jni/jni_guest_guard.h"
#include "vhost/vhost_backend.h"

JNIEXPORT jlong JNICALL Java_io_ubiblk_nativelib_NativeVhostBackend_start(
    JNIEnv *env, jclass class, jlong handle, jbyteArray socket, jintArray cpus,
    jint stop_timeout_ms, jlong log)
{
    (void)class;
    char socket_path[JNI_TEXT_BYTES];
    if (jni_copy_text(env, socket, socket_path) < 0) {
        return 0;
    }
    struct blk_device *device = jni_pointer(handle);
    jint cpu_numbers[BLK_QUEUE_COUNT_MAX];
    if (cpus != NULL) {
        assert((*env)->GetArrayLength(env, cpus) == (jsize)device->queue_count);
        (*env)->GetIntArrayRegion(env, cpus, 0, (jsize)device->queue_count, cpu_numbers);
    }
    const struct vhost_backend_params params = {
        .socket_path = socket_path,
        .cpus = cpus == NULL ? NULL : cpu_numbers,
        .guard = jni_guest_guard(),
        .stop_timeout_ms = (uint32_t)stop_timeout_ms,
    };
    struct vhost_backend *backend = NULL;
    struct error error = {0};
    if (vhost_backend_start(device, &params, jni_pointer(log), &backend, &error) < 0) {
        jni_throw(env, "starting the vhost-user back end", &error);
        return 0;
    }
    return jni_handle(backend);
}

JNIEXPORT jboolean JNICALL Java_io_ubiblk_nativelib_NativeVhostBackend_connected(JNIEnv *env,
                                                                                 jclass class,
                                                                                 jlong handle)
{
    (void)env;
    (void)class;
    return vhost_backend_connected(jni_pointer(handle));
}

JNIEXPORT void JNICALL Java_io_ubiblk_nativelib_NativeVhostBackend_stop(JNIEnv *env, jclass class,
                                                                        jlong handle)
{
    (void)class;
    int result = vhost_backend_stop(jni_pointer(handle));
    if (result < 0) {
        jni_throw_errno(env, "the last sync of the disk", result);
    }
}
