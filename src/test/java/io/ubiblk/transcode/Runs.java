// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.transcode;

/** A coverage that is said sector by sector. */
final class Runs implements Coverage {
  private final boolean[] held;

  Runs(boolean... held) {
    this.held = held;
  }

  @Override
  public long nextHeld(long sector) {
    int at = (int) sector;
    while (at < held.length && !held[at]) {
      at++;
    }
    return at;
  }

  @Override
  public long heldUntil(long sector, long limit) {
    int at = (int) sector;
    while (at < limit && held[at]) {
      at++;
    }
    return at;
  }
}
