/* SPDX-License-Identifier: AGPL-3.0-only */
/* Natives of NativeStripes. Its handle is the disk's struct blk_lazy. */
#include "io_ubiblk_nativelib_NativeStripes.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "blk/blk_lazy.h"
#include "jni/jni_env.h"

/* What Java knows of these (NativeStripes, StripeFlags). */
_Static_assert(sizeof(struct miss) == 8 && offsetof(struct miss, stripe) == 4, "MISS_BYTES");
_Static_assert(MISS_READ == 0 && MISS_WRITE == 1, "kinds of misses");
_Static_assert(STRIPE_FETCHED == 1 && STRIPE_WRITTEN == 2 && STRIPE_HAS_SOURCE == 4 &&
                   STRIPE_READABLE == 8 && STRIPE_READ_ASKED == 16 && STRIPE_WRITE_ASKED == 32,
               "StripeFlags");

static struct stripe_map *map_of(jlong handle)
{
    const struct blk_lazy *lazy = jni_pointer(handle);
    return lazy->map;
}

JNIEXPORT jlong JNICALL Java_io_ubiblk_nativelib_NativeStripes_attach(
    JNIEnv *env, jclass class, jlong handle, jint shift, jobject flags, jint flags_position,
    jboolean track_written, jlong fetch_timeout_ms, jbyteArray image_path, jlong image_bytes)
{
    (void)class;
    char path[JNI_TEXT_BYTES];
    if (image_path != NULL && jni_copy_text(env, image_path, path) < 0) {
        return 0;
    }
    const uint8_t *first = (*env)->GetDirectBufferAddress(env, flags);
    const struct blk_lazy_params params = {
        .sector_count_shift = (uint32_t)shift,
        .flags = first + flags_position,
        .track_written = track_written,
        .fetch_timeout_ms = (uint64_t)fetch_timeout_ms,
        .image_path = image_path == NULL ? NULL : path,
        .image_byte_len = (uint64_t)image_bytes,
    };
    struct blk_device *device = jni_pointer(handle);
    struct error error = {0};
    if (blk_lazy_attach(device, &params, &error) < 0) {
        jni_throw(env, "the stripes of the disk", &error);
        return 0;
    }
    return jni_handle(device->lazy);
}

JNIEXPORT jobject JNICALL Java_io_ubiblk_nativelib_NativeStripes_flags(JNIEnv *env, jclass class,
                                                                       jlong handle)
{
    (void)class;
    struct stripe_map *map = map_of(handle);
    return (*env)->NewDirectByteBuffer(env, (void *)map->flags, (jlong)map->stripe_count);
}

JNIEXPORT jint JNICALL Java_io_ubiblk_nativelib_NativeStripes_flagsOf(JNIEnv *env, jclass class,
                                                                      jlong handle, jint stripe)
{
    (void)env;
    (void)class;
    return stripe_map_flags(map_of(handle), (uint32_t)stripe);
}

JNIEXPORT jlong JNICALL Java_io_ubiblk_nativelib_NativeStripes_stripeBytes(JNIEnv *env,
                                                                           jclass class,
                                                                           jlong handle,
                                                                           jint stripe)
{
    (void)env;
    (void)class;
    return (jlong)blk_lazy_stripe_bytes(jni_pointer(handle), (uint32_t)stripe);
}

JNIEXPORT void JNICALL Java_io_ubiblk_nativelib_NativeStripes_publish(JNIEnv *env, jclass class,
                                                                      jlong handle, jint stripe,
                                                                      jint set, jint clear)
{
    (void)env;
    (void)class;
    stripe_map_publish(map_of(handle), (uint32_t)stripe, (uint8_t)set, (uint8_t)clear);
}

JNIEXPORT void JNICALL Java_io_ubiblk_nativelib_NativeStripes_wake(JNIEnv *env, jclass class,
                                                                   jlong handle)
{
    (void)env;
    (void)class;
    stripe_map_wake(map_of(handle));
}

JNIEXPORT jint JNICALL Java_io_ubiblk_nativelib_NativeStripes_awaitMisses(JNIEnv *env, jclass class,
                                                                          jlong handle,
                                                                          jobject batch,
                                                                          jint position, jint max)
{
    (void)class;
    char *bytes = (*env)->GetDirectBufferAddress(env, batch);
    struct miss *misses = (struct miss *)(void *)(bytes + position);
    int count = stripe_map_await_misses(map_of(handle), misses, (uint32_t)max);
    return count < 0 ? -1 : count;
}

JNIEXPORT void JNICALL Java_io_ubiblk_nativelib_NativeStripes_endMisses(JNIEnv *env, jclass class,
                                                                        jlong handle)
{
    (void)env;
    (void)class;
    miss_ring_close(map_of(handle)->misses);
}

JNIEXPORT void JNICALL Java_io_ubiblk_nativelib_NativeStripes_write(JNIEnv *env, jclass class,
                                                                    jlong handle, jint stripe,
                                                                    jobject content)
{
    (void)class;
    void *bytes = (*env)->GetDirectBufferAddress(env, content);
    int result = blk_lazy_write_stripe(jni_pointer(handle), (uint32_t)stripe, bytes);
    if (result < 0) {
        jni_throw_errno(env, "writing a fetched stripe to the disk", result);
    }
}

JNIEXPORT void JNICALL Java_io_ubiblk_nativelib_NativeStripes_sync(JNIEnv *env, jclass class,
                                                                   jlong handle)
{
    (void)class;
    int result = blk_lazy_sync(jni_pointer(handle));
    if (result < 0) {
        jni_throw_errno(env, "syncing fetched stripes", result);
    }
}

JNIEXPORT jlong JNICALL Java_io_ubiblk_nativelib_NativeStripes_syncFailures(JNIEnv *env,
                                                                            jclass class,
                                                                            jlong handle)
{
    (void)env;
    (void)class;
    const struct blk_lazy *lazy = jni_pointer(handle);
    return (jlong)atomic_load(&lazy->device->fsync_failures);
}

JNIEXPORT void JNICALL Java_io_ubiblk_nativelib_NativeStripes_dropImage(JNIEnv *env, jclass class,
                                                                        jlong handle)
{
    (void)env;
    (void)class;
    blk_lazy_drop_image(jni_pointer(handle));
}
