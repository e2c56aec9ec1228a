// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.nativelib;

import java.nio.ByteBuffer;

/** Sectors in buffers that are handed to native code, which checks nothing of them. */
final class SectorBuffers {
  static final int SECTOR_BYTES = 512;

  private static final long SECTOR_COUNT_MAX = Long.MAX_VALUE / SECTOR_BYTES;

  private SectorBuffers() {}

  /** How many sectors lie between position and limit, to go to a file's {@code sector}. */
  static int checkedCount(long sector, ByteBuffer bytes) {
    int sectorCount = checkedCount(bytes);
    if (sector < 0 || sector > SECTOR_COUNT_MAX - sectorCount) {
      throw new IllegalArgumentException("sector " + sector + " is none of a file");
    }
    return sectorCount;
  }

  /** How many sectors lie between position and limit. */
  static int checkedCount(ByteBuffer bytes) {
    int sectorCount = bytes.remaining() / SECTOR_BYTES;
    if (!bytes.isDirect() || sectorCount == 0 || bytes.remaining() % SECTOR_BYTES != 0) {
      throw new IllegalArgumentException(
          bytes.remaining() + " bytes: must be whole sectors of a direct buffer");
    }
    return sectorCount;
  }
}
