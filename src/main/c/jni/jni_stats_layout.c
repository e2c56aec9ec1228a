/* SPDX-License-Identifier: AGPL-3.0-only */
/* Natives of QueueStatsLayout: queue_stats.h in the numbers that Java reads it by. */
#include "io_ubiblk_nativelib_QueueStatsLayout.h"

#include <stddef.h>

#include "blk/queue_stats.h"
#include "jni/jni_env.h"

/* In the order of QueueStatsLayout.EXPECTED. */
static const jint NUMBERS[] = {
    QUEUE_OP_COUNT,
    offsetof(struct queue_op_stats, ops),
    offsetof(struct queue_op_stats, bytes),
    offsetof(struct queue_op_stats, errors),
    offsetof(struct queue_op_stats, latency_sum_ns),
    offsetof(struct queue_op_stats, latency_max_ns),
    offsetof(struct queue_op_stats, latency),
    LATENCY_SUB_BITS,
    LATENCY_EXPONENT_MAX,
    LATENCY_BUCKETS,
    sizeof(struct queue_op_stats),
    offsetof(struct queue_stats, activity),
    offsetof(struct queue_activity, kind_sectors),
    offsetof(struct queue_activity, sector),
    sizeof(struct queue_activity),
};

_Static_assert(offsetof(struct queue_stats, op) == 0, "QueueStatsView.readOperation");
_Static_assert(QUEUE_OP_READ == 0 && QUEUE_OP_WRITE == 1 && QUEUE_OP_FLUSH == 2 &&
                   QUEUE_OP_OTHER == 3,
               "QueueOperation");

JNIEXPORT jintArray JNICALL Java_io_ubiblk_nativelib_QueueStatsLayout_numbers(JNIEnv *env,
                                                                              jclass class)
{
    (void)class;
    enum { COUNT = sizeof(NUMBERS) / sizeof(NUMBERS[0]) };
    jintArray numbers = (*env)->NewIntArray(env, COUNT);
    if (numbers != NULL) {
        (*env)->SetIntArrayRegion(env, numbers, 0, COUNT, NUMBERS);
    }
    return numbers;
}
