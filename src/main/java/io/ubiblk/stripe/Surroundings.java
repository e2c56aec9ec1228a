// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.stripe;

import java.util.concurrent.TimeUnit;
import java.util.function.DoubleSupplier;

/**
 * What a test brings and the machine has otherwise.
 *
 * @param ticker the clock
 * @param random numbers from 0 to less than 1; any thread
 */
record Surroundings(Ticker ticker, DoubleSupplier random) {
  private static final long FIRST_PAUSE_NS = TimeUnit.MILLISECONDS.toNanos(100);
  private static final long LONGEST_PAUSE_NS = TimeUnit.SECONDS.toNanos(30);

  /** The pauses after failures, of whatever kind. */
  BackOff backOff() {
    return new BackOff(FIRST_PAUSE_NS, LONGEST_PAUSE_NS, random);
  }
}
