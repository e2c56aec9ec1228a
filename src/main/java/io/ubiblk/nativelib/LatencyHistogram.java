// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.nativelib;

/** Latencies of one operation, counted in buckets that are at most 1/16 of their value wide. */
public final class LatencyHistogram {
  private static final int SUB_BUCKETS = 1 << QueueStatsLayout.LATENCY_SUB_BITS;

  private final long[] counts;
  private final long total;
  private final long maxNs;

  /** Takes the counts of all buckets. */
  LatencyHistogram(long[] counts, long maxNs) {
    this.counts = counts;
    this.maxNs = maxNs;
    long sum = 0;
    for (long count : counts) {
      sum += count;
    }
    this.total = sum;
  }

  /** Requests counted. */
  public long total() {
    return total;
  }

  /** The slowest request; exact. */
  public long maxNs() {
    return maxNs;
  }

  /**
   * The latency that {@code perMille} of 1000 requests did not exceed: never too low, at most 1/16
   * too high; 0 without requests.
   */
  public long percentileNs(int perMille) {
    long rank = Math.max(1, (total * perMille + 999) / 1000);
    long seen = 0;
    for (int bucket = 0; bucket < counts.length - 1; bucket++) {
      seen += counts[bucket];
      if (seen >= rank) {
        return Math.min(upperEdgeNs(bucket), maxNs);
      }
    }
    return maxNs;
  }

  /** The largest latency that falls into {@code bucket}. */
  static long upperEdgeNs(int bucket) {
    if (bucket < SUB_BUCKETS) {
      return bucket;
    }
    int shift = bucket / SUB_BUCKETS - 1;
    long lower = (long) (SUB_BUCKETS + bucket % SUB_BUCKETS) << shift;
    return lower + (1L << shift) - 1;
  }
}
