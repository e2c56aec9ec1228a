/* SPDX-License-Identifier: AGPL-3.0-only */
/* Natives of the tests' GuestQueue and CrashRecorder. */
#include <assert.h>
#include <errno.h>

#include "base/clock.h"
#include "blk/blk_queue.h"
#include "crash_recorder.h"
#include "io_ubiblk_nativelib_CrashRecorder.h"
#include "io_ubiblk_nativelib_GuestQueue.h"
#include "jni/jni_env.h"

/* The numbers of GuestQueue. */
_Static_assert(QUEUE_OP_READ == 0 && QUEUE_OP_WRITE == 1 && QUEUE_OP_FLUSH == 2, "kinds");
_Static_assert(sizeof(struct crash_event) == 8 * sizeof(int64_t), "words of an event");

JNIEXPORT jlong JNICALL Java_io_ubiblk_nativelib_GuestQueue_open(JNIEnv *env, jclass class,
                                                                 jlong device, jint index)
{
    (void)class;
    struct blk_queue *queue = NULL;
    struct error error = {0};
    if (blk_queue_create(jni_pointer(device), (uint32_t)index, &queue, &error) < 0) {
        jni_throw(env, "a queue of the test", &error);
        return 0;
    }
    return jni_handle(queue);
}

JNIEXPORT void JNICALL Java_io_ubiblk_nativelib_GuestQueue_start(JNIEnv *env, jclass class,
                                                                 jlong handle, jint slot, jint kind,
                                                                 jlong sector, jobject data,
                                                                 jint position, jint byte_len)
{
    (void)class;
    struct blk_queue *queue = jni_pointer(handle);
    struct blk_request *request = blk_queue_slot(queue, (uint32_t)slot);
    char *bytes = (*env)->GetDirectBufferAddress(env, data);
    request->op = (enum queue_op)kind;
    request->sector = (uint64_t)sector;
    request->sector_count = (uint32_t)byte_len / 512;
    request->byte_len = (uint64_t)byte_len;
    request->inline_iov[0] = (struct iovec){bytes + position, (size_t)byte_len};
    request->iov = request->inline_iov;
    request->iov_count = byte_len > 0 ? 1 : 0;
    blk_queue_start(queue, request, clock_now_ns());
}

JNIEXPORT void JNICALL Java_io_ubiblk_nativelib_GuestQueue_step(JNIEnv *env, jclass class,
                                                                jlong handle)
{
    (void)env;
    (void)class;
    struct blk_queue *queue = jni_pointer(handle);
    blk_queue_submit(queue, clock_now_ns());
    blk_queue_reap(queue, clock_now_ns());
}

JNIEXPORT void JNICALL Java_io_ubiblk_nativelib_GuestQueue_await(JNIEnv *env, jclass class,
                                                                 jlong handle, jlong timeout_ns)
{
    (void)env;
    (void)class;
    blk_queue_wait(jni_pointer(handle), (uint64_t)timeout_ns);
    blk_queue_fired(jni_pointer(handle));
}

JNIEXPORT jlong JNICALL Java_io_ubiblk_nativelib_GuestQueue_nextDone(JNIEnv *env, jclass class,
                                                                     jlong handle)
{
    (void)env;
    (void)class;
    struct blk_queue *queue = jni_pointer(handle);
    struct blk_request *request = blk_queue_next_done(queue);
    if (request == NULL) {
        return -1;
    }
    int64_t done = (int64_t)((uint64_t)request->slot << 32 | (uint32_t)request->result);
    blk_queue_release(queue, request);
    return done;
}

JNIEXPORT void JNICALL Java_io_ubiblk_nativelib_GuestQueue_giveUpWaiting(JNIEnv *env, jclass class,
                                                                         jlong handle)
{
    (void)env;
    (void)class;
    blk_queue_expire_held(jni_pointer(handle));
}

/* What the session does when the driver changes the cache mode. */
JNIEXPORT jboolean JNICALL Java_io_ubiblk_nativelib_GuestQueue_setWriteBack(
    JNIEnv *env, jclass class, jlong handle, jlong device_handle, jboolean write_back)
{
    (void)env;
    (void)class;
    struct blk_queue *queue = jni_pointer(handle);
    struct blk_device *device = jni_pointer(device_handle);
    atomic_store(&device->write_back, write_back);
    if (write_back) {
        return JNI_TRUE;
    }
    while (blk_queue_volatile_writes(queue) > 0) {
        blk_queue_submit(queue, clock_now_ns());
        if (blk_queue_reap(queue, clock_now_ns()) == 0) {
            blk_queue_wait(queue, 1000000);
        }
    }
    return blk_device_sync(device) == 0;
}

JNIEXPORT void JNICALL Java_io_ubiblk_nativelib_GuestQueue_free(JNIEnv *env, jclass class,
                                                                jlong handle)
{
    (void)env;
    (void)class;
    blk_queue_destroy(jni_pointer(handle));
}

JNIEXPORT void JNICALL Java_io_ubiblk_nativelib_CrashRecorder_begin(JNIEnv *env, jclass class,
                                                                    jbyteArray base,
                                                                    jbyteArray metadata, jlong seed)
{
    (void)class;
    char base_path[JNI_TEXT_BYTES];
    char metadata_path[JNI_TEXT_BYTES];
    if (jni_copy_text(env, base, base_path) < 0 ||
        jni_copy_text(env, metadata, metadata_path) < 0) {
        return;
    }
    crash_recorder_begin(base_path, metadata_path, (uint64_t)seed);
}

JNIEXPORT void JNICALL Java_io_ubiblk_nativelib_CrashRecorder_end(JNIEnv *env, jclass class)
{
    (void)env;
    (void)class;
    crash_recorder_end();
}

JNIEXPORT void JNICALL Java_io_ubiblk_nativelib_CrashRecorder_fail(JNIEnv *env, jclass class,
                                                                   jint file, jint writes_per_mille,
                                                                   jint syncs_per_mille)
{
    (void)env;
    (void)class;
    crash_recorder_fail((enum crash_file)file, (uint32_t)writes_per_mille,
                        (uint32_t)syncs_per_mille);
}

JNIEXPORT void JNICALL Java_io_ubiblk_nativelib_CrashRecorder_hideFailures(JNIEnv *env,
                                                                           jclass class)
{
    (void)env;
    (void)class;
    crash_recorder_hide_failures();
}

JNIEXPORT void JNICALL Java_io_ubiblk_nativelib_CrashRecorder_mark(JNIEnv *env, jclass class,
                                                                   jlong number)
{
    (void)env;
    (void)class;
    crash_recorder_mark(number);
}

JNIEXPORT jobject JNICALL Java_io_ubiblk_nativelib_CrashRecorder_eventBytes(JNIEnv *env,
                                                                            jclass class)
{
    (void)class;
    uint64_t count;
    const struct crash_event *events = crash_recorder_events(&count);
    return (*env)->NewDirectByteBuffer(env, (void *)(uintptr_t)events,
                                       (jlong)(count * sizeof(*events)));
}

JNIEXPORT jobject JNICALL Java_io_ubiblk_nativelib_CrashRecorder_dataBytes(JNIEnv *env,
                                                                           jclass class)
{
    (void)class;
    uint64_t byte_len;
    const uint8_t *bytes = crash_recorder_data(&byte_len);
    return (*env)->NewDirectByteBuffer(env, (void *)(uintptr_t)bytes, (jlong)byte_len);
}
