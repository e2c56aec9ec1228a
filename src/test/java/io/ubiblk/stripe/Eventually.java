// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.stripe;

import static org.assertj.core.api.Assertions.fail;

import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.LockSupport;
import java.util.function.BooleanSupplier;

/** Waits for what another thread will do. */
final class Eventually {
  private static final long LIMIT_NS = TimeUnit.SECONDS.toNanos(30);

  private Eventually() {}

  static void until(String what, BooleanSupplier condition) {
    long endNs = System.nanoTime() + LIMIT_NS;
    while (!condition.getAsBoolean()) {
      if (System.nanoTime() > endNs) {
        fail("not seen in time: " + what);
      }
      LockSupport.parkNanos(100_000);
    }
  }
}
