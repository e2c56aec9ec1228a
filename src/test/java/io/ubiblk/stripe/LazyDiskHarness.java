// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.stripe;

import static org.assertj.core.api.Assertions.assertThat;

import io.ubiblk.metadata.StripeFlags;
import java.io.IOException;
import java.util.List;
import org.junit.jupiter.api.AfterEach;

/** One lazy disk per test; at its end nothing was wrong and nothing is left. */
abstract class LazyDiskHarness {
  static final LazyDiskSettings ON_DEMAND = LazyFixture.settings(false, false, 4);
  static final LazyDiskSettings IN_BACKGROUND = LazyFixture.settings(false, true, 4);
  static final LazyDiskSettings TRACKED = LazyFixture.settings(true, false, 4);
  static final int READABLE = StripeFlags.HAS_SOURCE | StripeFlags.READABLE;

  /** Until a test begins with another. */
  LazyFixture lazy = LazyFixture.unfetched(8);

  @AfterEach
  final void endAndLookForComplaints() {
    lazy.close();
    assertThat(lazy.disk.complaints()).isEmpty();
    assertThat(lazy.faults.events("close")).hasSizeLessThanOrEqualTo(1);
    Eventually.until("every buffer given back", () -> lazy.buffers.get() == 0);
  }

  /** Events of the names in {@code held} wait from the start on. */
  final void begin(LazyFixture fixture, LazyDiskSettings settings, String... held)
      throws IOException {
    lazy = fixture;
    List.of(held).forEach(lazy.faults::hold);
    lazy.start(settings);
  }

  final StripeProgress progress() {
    return lazy.lazy().progress();
  }

  final void untilDone() {
    Eventually.until("everything fetched", () -> lazy.completed.get() == 1);
  }
}
