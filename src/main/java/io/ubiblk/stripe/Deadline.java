// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.stripe;

import java.util.concurrent.TimeUnit;

/** The end of the time that closing may take. */
final class Deadline {
  private final long endNs;

  private Deadline(long endNs) {
    this.endNs = endNs;
  }

  static Deadline in(long ms) {
    return new Deadline(System.nanoTime() + TimeUnit.MILLISECONDS.toNanos(ms));
  }

  /** Waits for the thread to end; false if it has not by then. */
  boolean join(Thread thread) throws InterruptedException {
    long leftMs = TimeUnit.NANOSECONDS.toMillis(endNs - System.nanoTime());
    if (leftMs > 0) {
      thread.join(leftMs);
    }
    return !thread.isAlive();
  }
}
