// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.stripe;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;

class FetchRateTest {
  private static final long START_NS = 123_456_789;
  private final FetchRate rate = new FetchRate(START_NS);

  private static long at(long ms) {
    return START_NS + TimeUnit.MILLISECONDS.toNanos(ms);
  }

  @Test
  void is_nothing_before_anything_was_fetched() {
    assertThat(rate.bytesPerSecond(at(0))).isZero();
    assertThat(rate.bytesPerSecond(at(60_000))).isZero();
  }

  @Test
  void is_the_mean_of_the_time_that_has_passed() {
    rate.add(1000, at(100));
    assertThat(rate.bytesPerSecond(at(100))).isEqualTo(1000);
    rate.add(1000, at(3999));
    assertThat(rate.bytesPerSecond(at(4000))).isEqualTo(500);
  }

  @Test
  void forgets_what_is_older_than_ten_seconds() {
    rate.add(1_000_000, at(0));
    for (int ms = 20_000; ms < 40_000; ms += 500) {
      rate.add(50, at(ms));
    }
    assertThat(rate.bytesPerSecond(at(39_999))).isEqualTo(100);
    assertThat(rate.bytesPerSecond(at(50_000))).isZero();
  }
}
