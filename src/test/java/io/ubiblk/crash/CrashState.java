// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.crash;

import io.ubiblk.nativelib.CrashRecorder;
import java.nio.ByteBuffer;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.Random;

/** The two files as a power cut could have left them. */
final class CrashState {
  private final int cut;
  private final byte[] base;
  private final byte[] metadata;

  private CrashState(int cut, byte[] base, byte[] metadata) {
    this.cut = cut;
    this.base = base;
    this.metadata = metadata;
  }

  /** What becomes of the sectors of a write that is not durable. */
  private enum Fate {
    ALL,
    NONE,
    FIRST,
    LAST,
    ONE,
    ANY,
    MOST
  }

  /**
   * Rebuilds the files. What is durable at the cut is there. Of everything else that had begun any
   * sectors are: all or none of them more often than chance would have it, since it is the extremes
   * that order matters for.
   *
   * @param base before the first event
   * @param metadata before the first event
   */
  static CrashState at(CrashRecord record, int cut, byte[] base, byte[] metadata, Random random) {
    byte[][] files = {base.clone(), metadata.clone()};
    int habit = random.nextInt(4);
    for (CrashRecord.Action action : record.actions()) {
      if (action.begunAt >= cut) {
        break;
      }
      if (action.write) {
        Fate fate = action.durableAt < cut ? Fate.ALL : fate(habit, action.file, random);
        apply(action, record.data(), files[action.file], fate, random);
      }
    }
    return new CrashState(cut, files[CrashRecorder.BASE], files[CrashRecorder.METADATA]);
  }

  /** Habits: one file gets everything and the other nothing, or each write has its own fate. */
  private static Fate fate(int habit, int file, Random random) {
    if (habit < 2) {
      return file == habit ? Fate.ALL : Fate.NONE;
    }
    Fate[] fates = Fate.values();
    return habit == 2 ? fates[random.nextInt(2)] : fates[random.nextInt(fates.length)];
  }

  private static void apply(
      CrashRecord.Action write, byte[] data, byte[] file, Fate fate, Random random) {
    int sectors = write.length / CrashSetup.SECTOR_BYTES;
    int chosen =
        switch (fate) {
          case FIRST -> 0;
          case LAST -> sectors - 1;
          default -> random.nextInt(sectors);
        };
    for (int i = 0; i < sectors; i++) {
      boolean there =
          switch (fate) {
            case ALL -> true;
            case NONE -> false;
            case FIRST, LAST, ONE -> i == chosen;
            case ANY -> random.nextBoolean();
            case MOST -> random.nextInt(8) != 0;
          };
      if (there) {
        int at = i * CrashSetup.SECTOR_BYTES;
        System.arraycopy(
            data, write.dataOffset + at, file, write.offset + at, CrashSetup.SECTOR_BYTES);
      }
    }
  }

  /** How many events came before the cut. */
  int cut() {
    return cut;
  }

  /** Content of the base disk. */
  byte[] base() {
    return base;
  }

  /** Content of the metadata file. */
  byte[] metadata() {
    return metadata;
  }

  /** The same for the same content of both files, and for no other. */
  ByteBuffer hash() {
    try {
      MessageDigest digest = MessageDigest.getInstance("SHA-256");
      digest.update(base);
      digest.update(metadata);
      return ByteBuffer.wrap(digest.digest());
    } catch (NoSuchAlgorithmException e) {
      throw new AssertionError(e);
    }
  }
}
