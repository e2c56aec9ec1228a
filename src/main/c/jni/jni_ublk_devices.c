/* SPDX-License-Identifier: AGPL-3.0-only */
/* Natives of NativeUblkDevices. */
#include "io_ubiblk_nativelib_NativeUblkDevices.h"

#include "jni/jni_env.h"
#include "ublk/ublk_admin.h"

enum { WORDS = io_ubiblk_nativelib_NativeUblkDevices_WORDS };

_Static_assert(WORDS == 7, "what list puts down for a device");

JNIEXPORT jlongArray JNICALL Java_io_ubiblk_nativelib_NativeUblkDevices_listed(JNIEnv *env,
                                                                               jclass class)
{
    (void)class;
    struct ublk_admin_entry entries[UBLK_DEVICES_MAX];
    struct error error = {0};
    int count = ublk_admin_list(entries, &error);
    if (count < 0) {
        jni_throw(env, "listing ublk devices", &error);
        return NULL;
    }
    jlongArray words = (*env)->NewLongArray(env, count * WORDS);
    for (int i = 0; words != NULL && i < count; i++) {
        const struct ublksrv_ctrl_dev_info *info = &entries[i].info;
        const jlong values[WORDS] = {info->dev_id,
                                     info->state,
                                     info->ublksrv_pid,
                                     info->nr_hw_queues,
                                     info->queue_depth,
                                     (jlong)entries[i].capacity,
                                     (jlong)info->ublksrv_flags};
        (*env)->SetLongArrayRegion(env, words, i * WORDS, WORDS, values);
    }
    return words;
}

JNIEXPORT void JNICALL Java_io_ubiblk_nativelib_NativeUblkDevices_stopDevice(JNIEnv *env,
                                                                             jclass class,
                                                                             jint dev_id)
{
    (void)class;
    struct error error = {0};
    if (ublk_admin_stop((uint32_t)dev_id, &error) < 0) {
        jni_throw(env, "stopping a ublk device", &error);
    }
}

JNIEXPORT void JNICALL Java_io_ubiblk_nativelib_NativeUblkDevices_deleteDevice(JNIEnv *env,
                                                                               jclass class,
                                                                               jint dev_id)
{
    (void)class;
    struct error error = {0};
    if (ublk_admin_delete((uint32_t)dev_id, &error) < 0) {
        jni_throw(env, "deleting a ublk device", &error);
    }
}
