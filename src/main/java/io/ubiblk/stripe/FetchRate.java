// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.stripe;

import java.util.concurrent.TimeUnit;

/** Bytes per second over the last ten seconds. Not thread-safe. */
final class FetchRate {
  private static final int WINDOW_SECONDS = 10;

  private final long startedNs;
  private final long[] bytes = new long[WINDOW_SECONDS];

  /** Which second each of {@link #bytes} is about. */
  private final long[] seconds = new long[WINDOW_SECONDS];

  FetchRate(long nowNs) {
    startedNs = nowNs;
  }

  void add(long count, long nowNs) {
    long second = second(nowNs);
    int slot = (int) (second % WINDOW_SECONDS);
    if (seconds[slot] != second) {
      seconds[slot] = second;
      bytes[slot] = 0;
    }
    bytes[slot] += count;
  }

  /** Younger than a second, it is the rate of one. */
  long bytesPerSecond(long nowNs) {
    long second = second(nowNs);
    long sum = 0;
    for (int slot = 0; slot < WINDOW_SECONDS; slot++) {
      sum += second - seconds[slot] < WINDOW_SECONDS ? bytes[slot] : 0;
    }
    long oldest = Math.max(0, second - WINDOW_SECONDS + 1);
    double elapsed = (double) (nowNs - startedNs) / TimeUnit.SECONDS.toNanos(1) - oldest;
    return Math.round(sum / Math.max(1, elapsed));
  }

  private long second(long nowNs) {
    return TimeUnit.NANOSECONDS.toSeconds(nowNs - startedNs);
  }
}
