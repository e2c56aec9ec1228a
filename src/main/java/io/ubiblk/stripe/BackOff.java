// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.stripe;

import java.util.function.DoubleSupplier;

/**
 * Pauses between attempts: each up to twice as long as the one before, up to a longest one. Each is
 * shortened at random by up to a half, so that what failed together is not tried again together.
 */
final class BackOff {
  private final long firstNs;
  private final long longestNs;
  private final DoubleSupplier random;

  /**
   * @param random gives numbers from 0 to less than 1; any thread
   */
  BackOff(long firstNs, long longestNs, DoubleSupplier random) {
    this.firstNs = firstNs;
    this.longestNs = longestNs;
    this.random = random;
  }

  /** How long to wait after so many failures in a row, 1 or more. */
  long delayNs(int failures) {
    long fullNs = firstNs;
    for (int i = 1; i < failures && fullNs < longestNs; i++) {
      fullNs = Math.min(longestNs, 2 * fullNs);
    }
    return fullNs - (long) (random.getAsDouble() * fullNs / 2);
  }
}
