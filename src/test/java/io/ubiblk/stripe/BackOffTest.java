// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.stripe;

import static org.assertj.core.api.Assertions.assertThat;

import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.DoubleRange;
import net.jqwik.api.constraints.IntRange;
import org.junit.jupiter.api.Test;

class BackOffTest {
  @Test
  void pauses_double_up_to_the_longest() {
    BackOff backOff = new BackOff(100, 1000, () -> 0);
    assertThat(backOff.delayNs(1)).isEqualTo(100);
    assertThat(backOff.delayNs(2)).isEqualTo(200);
    assertThat(backOff.delayNs(4)).isEqualTo(800);
    assertThat(backOff.delayNs(5)).isEqualTo(1000);
    assertThat(backOff.delayNs(Integer.MAX_VALUE)).isEqualTo(1000);
  }

  @Property
  void chance_shortens_a_pause_by_up_to_a_half(
      @ForAll @IntRange(min = 1, max = 1000) int failures,
      @ForAll @DoubleRange(max = 1, maxIncluded = false) double chance) {
    long full = new BackOff(100, 30_000, () -> 0).delayNs(failures);
    long delay = new BackOff(100, 30_000, () -> chance).delayNs(failures);
    assertThat(delay).isBetween(full / 2, full).isEqualTo(full - (long) (chance * full / 2));
  }
}
