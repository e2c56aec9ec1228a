// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.crash;

import io.ubiblk.stripe.StripeMisses;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;

/** Lets writes go that only wait for WRITTEN, gives them time, and then tells of them. */
final class WritesFirst implements StripeMisses {
  private final StripeMisses misses;
  private final MutantDisks.WrittenLate disk;
  private final GuestProgress guest;

  WritesFirst(StripeMisses misses, MutantDisks.WrittenLate disk, GuestProgress guest) {
    this.misses = misses;
    this.disk = disk;
    this.guest = guest;
  }

  @Override
  public int await(ByteBuffer batch, int max) {
    int count = misses.await(batch, max);
    ByteBuffer entries = batch.duplicate().clear().order(ByteOrder.nativeOrder());
    boolean released = false;
    for (int i = 0; i < count; i++) {
      int kind = entries.getInt(i * ENTRY_BYTES);
      int stripe = entries.getInt(i * ENTRY_BYTES + Integer.BYTES);
      released |= kind == WRITE && disk.release(stripe);
    }
    if (released) {
      disk.wake();
      guest.awaitWrites(1);
    }
    return count;
  }

  @Override
  public void close() {
    misses.close();
  }
}
