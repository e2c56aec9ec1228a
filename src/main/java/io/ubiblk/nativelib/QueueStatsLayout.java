// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.nativelib;

import java.util.Arrays;

/**
 * Where things are in struct queue_stats: queue_stats.h in numbers. The library is asked for its
 * own numbers when it is loaded, so the two cannot drift apart.
 */
final class QueueStatsLayout {
  static final int OPERATION_COUNT = 4;

  /** Offsets in one operation's part. */
  static final int OPS = 0;

  static final int BYTES = 8;
  static final int ERRORS = 16;
  static final int LATENCY_SUM_NS = 24;
  static final int LATENCY_MAX_NS = 32;
  static final int LATENCY_BUCKETS = 40;

  static final int LATENCY_SUB_BITS = 4;
  static final int LATENCY_EXPONENT_MAX = 40;
  static final int LATENCY_BUCKET_COUNT =
      (LATENCY_EXPONENT_MAX - LATENCY_SUB_BITS + 2) << LATENCY_SUB_BITS;

  /** Bytes of one operation's part; the first begins at 0. */
  static final int OPERATION_BYTES = LATENCY_BUCKETS + LATENCY_BUCKET_COUNT * Long.BYTES;

  /** Where the slots begin: on the cache line after the operations. */
  static final int ACTIVITY = (OPERATION_COUNT * OPERATION_BYTES + 63) / 64 * 64;

  /** Offsets in one slot's part. */
  static final int KIND_SECTORS = 0;

  static final int SECTOR = 8;
  static final int ACTIVITY_BYTES = 16;

  private static final int[] EXPECTED = {
    OPERATION_COUNT,
    OPS,
    BYTES,
    ERRORS,
    LATENCY_SUM_NS,
    LATENCY_MAX_NS,
    LATENCY_BUCKETS,
    LATENCY_SUB_BITS,
    LATENCY_EXPONENT_MAX,
    LATENCY_BUCKET_COUNT,
    OPERATION_BYTES,
    ACTIVITY,
    KIND_SECTORS,
    SECTOR,
    ACTIVITY_BYTES
  };

  private QueueStatsLayout() {}

  /** Compares with the library's numbers. */
  static void check() {
    int[] found = numbers();
    if (!Arrays.equals(EXPECTED, found)) {
      throw new AssertionError(
          "struct queue_stats is "
              + Arrays.toString(found)
              + " in C, "
              + Arrays.toString(EXPECTED)
              + " in Java");
    }
  }

  /** The library's numbers, in the order of EXPECTED. */
  private static native int[] numbers();
}
