// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.stripe;

import static org.assertj.core.api.Assertions.assertThat;

import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class LazyDiskSettingsTest {
  @ParameterizedTest
  @CsvSource({
    "32, 67108864, 1048576, 32, 24, 128",
    "32, 67108864, 32768, 32, 24, 4096",
    "32, 16777216, 33554432, 1, 1, 2",
    "2, 67108864, 1048576, 2, 1, 128",
    "3, 67108864, 1048576, 3, 2, 128",
    "1, 67108864, 1048576, 1, 1, 128",
    "256, 2097152, 1048576, 2, 1, 4",
    "256, 9223372036854775807, 32768, 256, 192, 2147483647",
  })
  void memory_and_count_bound_the_workers_and_some_stay_free_for_guests(
      int concurrency, long bytes, int stripeBytes, int workers, int background, int uncommitted) {
    LazyDiskSettings settings = new LazyDiskSettings(false, false, concurrency, bytes, 1);
    assertThat(settings.workersMax(stripeBytes)).isEqualTo(workers);
    assertThat(settings.limits(stripeBytes))
        .isEqualTo(new FetchQueue.Limits(background, uncommitted));
  }
}
