// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.transcode;

import java.io.IOException;

/** Which sectors of a store hold something that must survive. Used by one thread at a time. */
public interface Coverage {
  /**
   * The first sector from {@code sector} on that holds something; the store's length if none does.
   */
  long nextHeld(long sector) throws IOException;

  /**
   * Where the run ends that {@code sector}, which holds something, belongs to; {@code limit}, at
   * most the store's length, if it does not end before.
   */
  long heldUntil(long sector, long limit) throws IOException;

  /** All of a store. */
  static Coverage everything() {
    return new Coverage() {
      @Override
      public long nextHeld(long sector) {
        return sector;
      }

      @Override
      public long heldUntil(long sector, long limit) {
        return limit;
      }
    };
  }

  /** How many sectors hold something, from {@code sector} on. */
  default long heldFrom(long sector, long sectorCount) throws IOException {
    long held = 0;
    long at = nextHeld(sector);
    while (at < sectorCount) {
      long end = heldUntil(at, sectorCount);
      held += end - at;
      at = end < sectorCount ? nextHeld(end) : sectorCount;
    }
    return held;
  }
}
