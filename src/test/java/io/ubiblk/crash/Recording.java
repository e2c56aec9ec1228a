// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.crash;

import java.util.List;
import java.util.Random;

/** A workload that has ended: what it began with, what was recorded, what the guest did. */
final class Recording {
  private final CrashSetup setup;
  private final DiskFiles files;
  private final DiskContent before;
  private final byte[] base;
  private final byte[] metadata;
  private final CrashRecord record;
  private final GuestHistory history;

  /**
   * Keeps all of it.
   *
   * @param before what the disk held in the beginning
   * @param base the same as a file
   * @param metadata the metadata file in the beginning
   */
  Recording(
      CrashSetup setup,
      DiskFiles files,
      DiskContent before,
      byte[] base,
      byte[] metadata,
      CrashRecord record,
      GuestHistory history) {
    this.setup = setup;
    this.files = files;
    this.before = before;
    this.base = base;
    this.metadata = metadata;
    this.record = record;
    this.history = history;
  }

  /** A state after a cut at any moment. */
  CrashState anyState(Random random) {
    return state(random.nextInt(record.eventCount() + 1), random);
  }

  /** A state after a cut inside a commit; any, if nothing was committed. */
  CrashState stateInCommit(Random random) {
    List<Integer> cuts = record.commitCuts();
    return cuts.isEmpty() ? anyState(random) : state(cuts.get(random.nextInt(cuts.size())), random);
  }

  private CrashState state(int cut, Random random) {
    return CrashState.at(record, cut, base, metadata, random);
  }

  /** The last mark of the guest before the crash. */
  int guestMarkAt(CrashState state) {
    return record.guestMarkAt(state.cut());
  }

  boolean isInCommit(CrashState state) {
    return record.isInCommit(state.cut());
  }

  CrashSetup setup() {
    return setup;
  }

  DiskFiles files() {
    return files;
  }

  DiskContent before() {
    return before;
  }

  GuestHistory history() {
    return history;
  }
}
