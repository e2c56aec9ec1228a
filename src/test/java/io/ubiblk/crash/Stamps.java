// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.crash;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;

/**
 * Content that says where it is from: no two writes, and no two sectors of one, have the same. The
 * first word is the stamp, the second the sector, and all others follow from both, so that a sector
 * that is not whole is none.
 */
final class Stamps {
  /** Of what is on the base disk in the beginning. */
  static final int INITIAL = -1;

  /** Of the image. */
  static final int IMAGE = -2;

  private static final int WORDS = CrashSetup.SECTOR_BYTES / Long.BYTES;

  private Stamps() {}

  /** Fills a whole number of sectors, the first of which is number {@code sector} of the disk. */
  static void fill(ByteBuffer into, int position, int sector, int count, int stamp) {
    ByteBuffer bytes = into.duplicate().order(ByteOrder.LITTLE_ENDIAN);
    for (int i = 0; i < count; i++) {
      for (int word = 0; word < WORDS; word++) {
        int at = position + i * CrashSetup.SECTOR_BYTES + word * Long.BYTES;
        bytes.putLong(at, word(stamp, sector + i, word));
      }
    }
  }

  /** The stamp that a sector claims to have; any number if it was not made by this. */
  static long claimed(ByteBuffer bytes, int position) {
    return bytes.duplicate().order(ByteOrder.LITTLE_ENDIAN).getLong(position);
  }

  /** Whether this is the whole content of the sector under that stamp. */
  static boolean matches(ByteBuffer bytes, int position, int sector, int stamp) {
    ByteBuffer view = bytes.duplicate().order(ByteOrder.LITTLE_ENDIAN);
    for (int word = 0; word < WORDS; word++) {
      if (view.getLong(position + word * Long.BYTES) != word(stamp, sector, word)) {
        return false;
      }
    }
    return true;
  }

  private static long word(int stamp, int sector, int word) {
    if (word < 2) {
      return word == 0 ? stamp : sector;
    }
    long mixed = ((long) stamp << 32 ^ (long) sector << 8 ^ word) * 0x9e3779b97f4a7c15L;
    mixed = (mixed ^ mixed >>> 30) * 0xbf58476d1ce4e5b9L;
    return mixed ^ mixed >>> 31;
  }
}
