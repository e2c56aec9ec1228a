/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * JNI_OnLoad and the mapping of errno to exceptions.
 *
 * Texts of C are UTF-8 that may be cut in the middle of a character or hold a file name in some
 * other encoding, while NewStringUTF wants valid "modified UTF-8"; so strings are made by Java's
 * own decoder, which replaces what it cannot read.
 */
#include "jni_env.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum exception_kind {
    ILLEGAL_ARGUMENT,
    OUT_OF_MEMORY,
    NO_SUCH_FILE,
    ACCESS_DENIED,
    CLOSED_CHANNEL,
    NATIVE_IO,
    EXCEPTION_KIND_COUNT,
};

static const struct {
    const char *class_name;
    const char *constructor;
} EXCEPTIONS[EXCEPTION_KIND_COUNT] = {
    [ILLEGAL_ARGUMENT] = {"java/lang/IllegalArgumentException", "(Ljava/lang/String;)V"},
    [OUT_OF_MEMORY] = {"java/lang/OutOfMemoryError", "(Ljava/lang/String;)V"},
    [NO_SUCH_FILE] = {"java/nio/file/NoSuchFileException", "(Ljava/lang/String;)V"},
    [ACCESS_DENIED] = {"java/nio/file/AccessDeniedException", "(Ljava/lang/String;)V"},
    [CLOSED_CHANNEL] = {"java/nio/channels/ClosedChannelException", "()V"},
    [NATIVE_IO] = {"io/ubiblk/nativelib/NativeIoException",
                   "(Ljava/lang/String;ILjava/lang/String;)V"},
};

/* Written by JNI_OnLoad before any native method can run, never afterwards. */
static struct {
    jclass exceptions[EXCEPTION_KIND_COUNT];
    jmethodID constructors[EXCEPTION_KIND_COUNT];
    jclass string;
    jmethodID string_from_bytes;
    jstring utf_8;
} ids;

static jclass find_class(JNIEnv *env, const char *name)
{
    jclass local = (*env)->FindClass(env, name);
    if (local == NULL) {
        return NULL;
    }
    jclass global = (*env)->NewGlobalRef(env, local);
    (*env)->DeleteLocalRef(env, local);
    return global;
}

static int find_exceptions(JNIEnv *env)
{
    for (int kind = 0; kind < EXCEPTION_KIND_COUNT; kind++) {
        ids.exceptions[kind] = find_class(env, EXCEPTIONS[kind].class_name);
        if (ids.exceptions[kind] == NULL) {
            return -1;
        }
        ids.constructors[kind] =
            (*env)->GetMethodID(env, ids.exceptions[kind], "<init>", EXCEPTIONS[kind].constructor);
        if (ids.constructors[kind] == NULL) {
            return -1;
        }
    }
    return 0;
}

static int find_string(JNIEnv *env)
{
    ids.string = find_class(env, "java/lang/String");
    if (ids.string == NULL) {
        return -1;
    }
    ids.string_from_bytes =
        (*env)->GetMethodID(env, ids.string, "<init>", "([BLjava/lang/String;)V");
    jstring name = (*env)->NewStringUTF(env, "UTF-8");
    if (ids.string_from_bytes == NULL || name == NULL) {
        return -1;
    }
    ids.utf_8 = (*env)->NewGlobalRef(env, name);
    (*env)->DeleteLocalRef(env, name);
    return ids.utf_8 == NULL ? -1 : 0;
}

JNIEXPORT jint JNICALL JNI_OnLoad(JavaVM *vm, void *reserved)
{
    (void)reserved;
    JNIEnv *env = NULL;
    if ((*vm)->GetEnv(vm, (void **)&env, JNI_VERSION_10) != JNI_OK) {
        return JNI_ERR;
    }
    if (find_exceptions(env) < 0 || find_string(env) < 0) {
        return JNI_ERR; /* with Java's own exception pending: loading fails with its text */
    }
    return JNI_VERSION_10;
}

jstring jni_string(JNIEnv *env, const char *text)
{
    size_t length = strlen(text);
    jbyteArray bytes = (*env)->NewByteArray(env, (jsize)length);
    if (bytes == NULL) {
        return NULL;
    }
    (*env)->SetByteArrayRegion(env, bytes, 0, (jsize)length, (const jbyte *)text);
    jstring string = (*env)->NewObject(env, ids.string, ids.string_from_bytes, bytes, ids.utf_8);
    (*env)->DeleteLocalRef(env, bytes);
    return string;
}

static enum exception_kind exception_kind_of(int code)
{
    switch (code) {
    case -EINVAL:
        return ILLEGAL_ARGUMENT;
    case -ENOMEM:
        return OUT_OF_MEMORY;
    case -ENOENT:
        return NO_SUCH_FILE;
    case -EACCES:
    case -EPERM:
        return ACCESS_DENIED;
    case -ESHUTDOWN:
    case -ECANCELED:
        return CLOSED_CHANNEL;
    default:
        return NATIVE_IO;
    }
}

static jthrowable new_exception(JNIEnv *env, enum exception_kind kind, const char *operation,
                                int code, jstring message)
{
    jclass class = ids.exceptions[kind];
    jmethodID constructor = ids.constructors[kind];
    if (kind == CLOSED_CHANNEL) {
        return (*env)->NewObject(env, class, constructor);
    }
    if (kind != NATIVE_IO) {
        return (*env)->NewObject(env, class, constructor, message);
    }
    jstring name = jni_string(env, operation);
    if (name == NULL) {
        return NULL;
    }
    return (*env)->NewObject(env, class, constructor, name, (jint)-code, message);
}

void jni_throw(JNIEnv *env, const char *operation, const struct error *error)
{
    char plain[ERROR_MESSAGE_BYTES];
    const char *text = error->message;
    if (text[0] == '\0') {
        char reason[128];
        snprintf(plain, sizeof(plain), "%s: %s", operation,
                 strerror_r(-error->code, reason, sizeof(reason)));
        text = plain;
    }
    jstring message = jni_string(env, text);
    if (message == NULL) {
        return; /* OutOfMemoryError is pending */
    }
    jthrowable exception =
        new_exception(env, exception_kind_of(error->code), operation, error->code, message);
    if (exception != NULL) {
        (*env)->Throw(env, exception);
    }
}

void jni_throw_transfer(JNIEnv *env, const char *path, const char *verb, jlong sector, int code)
{
    struct error error;
    error_set_errno(&error, code, "cannot %s %s at sector %" PRId64, verb, path, (int64_t)sector);
    jni_throw(env, verb, &error);
}

void jni_throw_file(JNIEnv *env, const char *path, const char *verb, int code)
{
    struct error error;
    error_set_errno(&error, code, "cannot %s %s", verb, path);
    jni_throw(env, verb, &error);
}

void jni_throw_errno(JNIEnv *env, const char *operation, int code)
{
    const struct error error = {.code = code};
    jni_throw(env, operation, &error);
}

int jni_copy_text(JNIEnv *env, jbyteArray text, char buffer[JNI_TEXT_BYTES])
{
    jsize length = (*env)->GetArrayLength(env, text);
    if (length > JNI_TEXT_BYTES) {
        jni_throw_errno(env, "a text for native code", -ENAMETOOLONG);
        return -ENAMETOOLONG;
    }
    (*env)->GetByteArrayRegion(env, text, 0, length, (jbyte *)buffer);
    return 0;
}
