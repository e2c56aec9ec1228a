// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk;

import java.util.Optional;

/** How much the tests with counts do, and from which seed. */
public final class TestScale {
  private static final boolean FULL = "full".equals(System.getenv("UBIBLK_CHECK"));

  private TestScale() {}

  /** One of two counts. */
  public static int count(int reduced, int full) {
    return FULL ? full : reduced;
  }

  /** What random numbers begin with. */
  public static long seed() {
    return Optional.ofNullable(System.getenv("UBIBLK_SEED")).map(Long::decode).orElse(42L);
  }

  /** For the report: what was done, then the seed. */
  public static void report(String done) {
    System.out.println(done + ", seed " + seed());
  }
}
