/* SPDX-License-Identifier: AGPL-3.0-only */
/* Natives of NativeLog: its reader thread waits here for what C threads write. */
#include "io_ubiblk_nativelib_NativeLog.h"

#include <assert.h>
#include <errno.h>
#include <stddef.h>

#include "base/log.h"
#include "jni/jni_env.h"

/* NativeLog reads the record in place. */
_Static_assert(offsetof(struct log_record, level) == 0, "NativeLog.read");
_Static_assert(sizeof(enum log_level) == 4, "NativeLog.MESSAGE_OFFSET");
_Static_assert(offsetof(struct log_record, message) == 4, "NativeLog.MESSAGE_OFFSET");
_Static_assert(LOG_RECORD_BYTES == 512, "NativeLog.MESSAGE_BYTES");

JNIEXPORT jlong JNICALL Java_io_ubiblk_nativelib_NativeLog_create(JNIEnv *env, jclass class,
                                                                  jint level, jint capacity)
{
    (void)class;
    struct log *log = log_create((enum log_level)level, (uint32_t)capacity);
    if (log == NULL) {
        jni_throw_errno(env, "the native log", -ENOMEM);
    }
    return jni_handle(log);
}

JNIEXPORT jint JNICALL Java_io_ubiblk_nativelib_NativeLog_await(JNIEnv *env, jclass class,
                                                                jlong log, jobject line,
                                                                jint timeout_ms)
{
    (void)class;
    struct log_record *record = (*env)->GetDirectBufferAddress(env, line);
    assert((*env)->GetDirectBufferCapacity(env, line) >= (jlong)sizeof(*record));
    return log_wait(jni_pointer(log), record, timeout_ms);
}

JNIEXPORT void JNICALL Java_io_ubiblk_nativelib_NativeLog_write(JNIEnv *env, jclass class,
                                                                jlong log, jint level,
                                                                jbyteArray message)
{
    (void)class;
    char text[JNI_TEXT_BYTES];
    if (jni_copy_text(env, message, text) == 0) {
        log_write(jni_pointer(log), (enum log_level)level, "%s", text);
    }
}

JNIEXPORT void JNICALL Java_io_ubiblk_nativelib_NativeLog_shut(JNIEnv *env, jclass class, jlong log)
{
    (void)env;
    (void)class;
    log_close(jni_pointer(log));
}

JNIEXPORT void JNICALL Java_io_ubiblk_nativelib_NativeLog_free(JNIEnv *env, jclass class, jlong log)
{
    (void)env;
    (void)class;
    log_destroy(jni_pointer(log));
}
