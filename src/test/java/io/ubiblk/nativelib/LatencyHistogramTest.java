// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.nativelib;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.Arrays;
import java.util.Random;
import org.junit.jupiter.api.Test;

class LatencyHistogramTest {
  /** The rule of queue_stats.h, written down a second time. */
  private static int bucketOf(long latencyNs) {
    if (latencyNs < 16) {
      return (int) latencyNs;
    }
    int exponent = 63 - Long.numberOfLeadingZeros(latencyNs);
    if (exponent > 40) {
      return QueueStatsLayout.LATENCY_BUCKET_COUNT - 1;
    }
    return (exponent - 3) * 16 + (int) (latencyNs >> (exponent - 4) & 15);
  }

  private static LatencyHistogram of(long... latenciesNs) {
    long[] counts = new long[QueueStatsLayout.LATENCY_BUCKET_COUNT];
    for (long latency : latenciesNs) {
      counts[bucketOf(latency)]++;
    }
    return new LatencyHistogram(counts, Arrays.stream(latenciesNs).max().orElse(0));
  }

  @Test
  void every_latency_lies_in_a_bucket_that_ends_at_most_a_sixteenth_above_it() {
    Random random = new Random(42);
    System.out.println("100000 latencies, seed 42");
    for (int i = 0; i < 100_000; i++) {
      long latency = random.nextLong() >>> (24 + random.nextInt(40));
      int bucket = bucketOf(latency);
      assertThat(LatencyHistogram.upperEdgeNs(bucket)).isBetween(latency, latency + latency / 16);
      if (bucket > 0) {
        assertThat(LatencyHistogram.upperEdgeNs(bucket - 1)).isLessThan(latency);
      }
    }
  }

  @Test
  void percentiles_count_from_the_fastest_request() {
    long[] latencies = new long[1000];
    for (int i = 0; i < latencies.length; i++) {
      latencies[i] = (i + 1) * 1000L;
    }
    LatencyHistogram histogram = of(latencies);
    assertThat(histogram.total()).isEqualTo(1000);
    assertThat(histogram.percentileNs(500)).isBetween(500_000L, 531_250L);
    assertThat(histogram.percentileNs(990)).isBetween(990_000L, 1_000_000L);
    assertThat(histogram.percentileNs(999)).isBetween(999_000L, 1_000_000L);
    assertThat(histogram.maxNs()).isEqualTo(1_000_000);
  }

  @Test
  void no_percentile_exceeds_the_slowest_request() {
    LatencyHistogram one = of(1_000_001);
    assertThat(one.percentileNs(500)).isEqualTo(1_000_001);
    assertThat(one.percentileNs(999)).isEqualTo(1_000_001);
  }

  @Test
  void what_took_longer_than_the_last_bucket_shows_as_the_slowest_request() {
    long hour = 3_600_000_000_000L;
    assertThat(of(1, hour).percentileNs(999)).isEqualTo(hour);
  }

  @Test
  void a_histogram_without_requests_is_all_zero() {
    assertThat(of().percentileNs(999)).isZero();
    assertThat(of().total()).isZero();
  }
}
