// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.crash;

import java.util.Random;

/**
 * What fails while a guest works, in so many of a thousand cases.
 *
 * @param baseWrites writes to the base disk
 * @param baseSyncs syncs of it
 * @param metadataWrites writes to the metadata file
 * @param metadataSyncs syncs of it
 * @param source reads of the stripe source
 * @param always whether that is so all the time, and not in periods that come and go
 */
record FaultPlan(
    int baseWrites,
    int baseSyncs,
    int metadataWrites,
    int metadataSyncs,
    int source,
    boolean always) {
  static final FaultPlan NONE = new FaultPlan(0, 0, 0, 0, 0, false);
  static final FaultPlan BASE_SYNCS = new FaultPlan(0, 300, 0, 0, 0, true);
  static final FaultPlan METADATA_SYNCS = new FaultPlan(0, 0, 0, 400, 0, true);

  /** Nothing, one kind, or several. */
  static FaultPlan random(Random random) {
    return switch (random.nextInt(8)) {
      case 0, 1 -> NONE;
      case 2 -> new FaultPlan(0, 0, 300, 300, 0, false);
      case 3 -> new FaultPlan(100, 0, 0, 0, 300, false);
      case 4 -> new FaultPlan(0, 150, 0, 0, 0, false);
      case 5 -> new FaultPlan(60, 40, 200, 200, 200, false);
      case 6 -> new FaultPlan(0, 60, 0, 400, 0, false);
      default -> new FaultPlan(0, 0, 100, 0, 500, false);
    };
  }

  boolean failsRequests() {
    return baseWrites != 0 || baseSyncs != 0;
  }
}
