// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.crash;

import java.util.Optional;

/** How much the simulations do, and from which seed. */
final class CrashScale {
  private static final boolean FULL = "full".equals(System.getenv("UBIBLK_CHECK"));

  private CrashScale() {}

  /** One of two counts. */
  static int count(int reduced, int full) {
    return FULL ? full : reduced;
  }

  static long seed() {
    return Optional.ofNullable(System.getenv("UBIBLK_SEED")).map(Long::decode).orElse(42L);
  }

  /** For the report: what was done, then the seed. */
  static void report(String done) {
    System.out.println(done + ", seed " + seed());
  }
}
