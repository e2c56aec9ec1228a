/* SPDX-License-Identifier: AGPL-3.0-only */
/* Natives of NativeXts: keys go from a Java array, which Java zeroes, into locked memory. */
#include "io_ubiblk_nativelib_NativeXts.h"

#include <assert.h>
#include <errno.h>

#include "base/log.h"
#include "crypt/xts.h"
#include "jni/jni_env.h"
#include "mem/secret.h"

/* The numbers of NativeCodes. */
_Static_assert(XTS_ENGINE_AUTO == 0 && XTS_ENGINE_VAES512 == 1 && XTS_ENGINE_VAES256 == 2 &&
                   XTS_ENGINE_AESNI == 3 && XTS_ENGINE_ISAL == 4 && XTS_ENGINE_OPENSSL == 5,
               "XtsEngine");

struct key_pair {
    uint8_t data[XTS_KEY_BYTES];
    uint8_t tweak[XTS_KEY_BYTES];
};

static void copy_key(JNIEnv *env, jbyteArray key, uint8_t out[XTS_KEY_BYTES])
{
    assert((*env)->GetArrayLength(env, key) == XTS_KEY_BYTES);
    (*env)->GetByteArrayRegion(env, key, 0, XTS_KEY_BYTES, (jbyte *)out);
}

JNIEXPORT jlong JNICALL Java_io_ubiblk_nativelib_NativeXts_create(JNIEnv *env, jclass class,
                                                                  jbyteArray data_key,
                                                                  jbyteArray tweak_key, jint engine,
                                                                  jlong log)
{
    (void)class;
    struct key_pair *keys = secret_alloc(sizeof(*keys), jni_pointer(log));
    if (keys == NULL) {
        jni_throw_errno(env, "memory for the XTS keys", -ENOMEM);
        return 0;
    }
    copy_key(env, data_key, keys->data);
    copy_key(env, tweak_key, keys->tweak);
    struct xts *xts = NULL;
    struct error error = {0};
    int result = xts_create(keys->data, keys->tweak, (enum xts_engine_kind)engine, jni_pointer(log),
                            &xts, &error);
    secret_free(keys);
    if (result < 0) {
        jni_throw(env, "the XTS engine", &error);
        return 0;
    }
    return jni_handle(xts);
}

JNIEXPORT jstring JNICALL Java_io_ubiblk_nativelib_NativeXts_engineName(JNIEnv *env, jclass class,
                                                                        jlong xts)
{
    (void)class;
    return jni_string(env, xts_engine_name(jni_pointer(xts)));
}

JNIEXPORT jstring JNICALL Java_io_ubiblk_nativelib_NativeXts_engineReason(JNIEnv *env, jclass class,
                                                                          jlong xts)
{
    (void)class;
    return jni_string(env, xts_engine_reason(jni_pointer(xts)));
}

/* Sectors within a direct buffer; Java has checked the range. */
static void *sectors_at(JNIEnv *env, jobject bytes, jint offset)
{
    return (char *)(*env)->GetDirectBufferAddress(env, bytes) + offset;
}

JNIEXPORT void JNICALL Java_io_ubiblk_nativelib_NativeXts_encrypt(JNIEnv *env, jclass class,
                                                                  jlong xts, jlong sector,
                                                                  jobject bytes, jint offset,
                                                                  jint sector_count)
{
    (void)class;
    void *at = sectors_at(env, bytes, offset);
    xts_encrypt(jni_pointer(xts), (uint64_t)sector, at, at, (size_t)sector_count);
}

JNIEXPORT void JNICALL Java_io_ubiblk_nativelib_NativeXts_decrypt(JNIEnv *env, jclass class,
                                                                  jlong xts, jlong sector,
                                                                  jobject bytes, jint offset,
                                                                  jint sector_count)
{
    (void)class;
    void *at = sectors_at(env, bytes, offset);
    xts_decrypt(jni_pointer(xts), (uint64_t)sector, at, at, (size_t)sector_count);
}

JNIEXPORT void JNICALL Java_io_ubiblk_nativelib_NativeXts_recrypt(JNIEnv *env, jclass class,
                                                                  jlong from, jlong to,
                                                                  jlong sector, jobject bytes,
                                                                  jint offset, jint sector_count)
{
    (void)class;
    xts_recrypt(jni_pointer(from), jni_pointer(to), (uint64_t)sector,
                sectors_at(env, bytes, offset), (size_t)sector_count);
}

JNIEXPORT void JNICALL Java_io_ubiblk_nativelib_NativeXts_free(JNIEnv *env, jclass class, jlong xts)
{
    (void)env;
    (void)class;
    xts_destroy(jni_pointer(xts));
}
