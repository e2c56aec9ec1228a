/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * What the JNI files share: ids looked up once, texts, and the one place where a C failure becomes
 * a Java exception.
 *
 * jni/ is the thin layer between io.ubiblk.nativelib and the core: one file per Java class with
 * natives, each function turning arguments into C's, making one call and returning. Threads are
 * Java's; queue threads never come here.
 */
#ifndef UBIBLK_JNI_JNI_ENV_H
#define UBIBLK_JNI_JNI_ENV_H

#include <jni.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

/* Paths and log lines that come from Java; longer ones are refused. */
enum { JNI_TEXT_BYTES = 4096 };

/*
 * Makes the exception for error (borrowed) pending: the class by error->code, the text from
 * error->message or, when that is empty, from operation and the errno. The caller returns at once.
 */
void jni_throw(JNIEnv *env, const char *operation, const struct error *error);

/* As jni_throw, for what cannot be done ("read", "sync") with the file at path, and at which of its
 * sectors. */
void jni_throw_transfer(JNIEnv *env, const char *path, const char *verb, jlong sector, int code);
void jni_throw_file(JNIEnv *env, const char *path, const char *verb, int code);

/* As jni_throw, for a plain negative errno. */
void jni_throw_errno(JNIEnv *env, const char *operation, int code);

/*
 * Copies Java's zero-terminated UTF-8 into buffer. Returns 0, or -ENAMETOOLONG with an exception
 * pending.
 */
int jni_copy_text(JNIEnv *env, jbyteArray text, char buffer[JNI_TEXT_BYTES]);

/* A Java string of UTF-8 that need not be valid. NULL with an exception pending when out of memory.
 */
jstring jni_string(JNIEnv *env, const char *text);

static inline jlong jni_handle(const void *pointer)
{
    return (jlong)(intptr_t)pointer;
}

static inline void *jni_pointer(jlong handle)
{
    return (void *)(intptr_t)handle;
}

#endif
