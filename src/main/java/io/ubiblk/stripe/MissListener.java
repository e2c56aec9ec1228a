// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.stripe;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;

/** Takes what guests wait for to the fetcher, on the thread {@code stripe-misses}. */
final class MissListener {
  private static final int BATCH = 256;

  private final StripeMisses misses;
  private final StripeFetcher fetcher;

  MissListener(StripeMisses misses, StripeFetcher fetcher) {
    this.misses = misses;
    this.fetcher = fetcher;
  }

  /** Listens until the misses are closed; the thread's body. */
  void run() {
    ByteBuffer batch =
        ByteBuffer.allocateDirect(BATCH * StripeMisses.ENTRY_BYTES).order(ByteOrder.nativeOrder());
    for (int count = misses.await(batch, BATCH); count >= 0; count = misses.await(batch, BATCH)) {
      for (int i = 0; i < count; i++) {
        int offset = i * StripeMisses.ENTRY_BYTES;
        int kind = batch.getInt(offset);
        fetcher.demand(batch.getInt(offset + Integer.BYTES), kind == StripeMisses.WRITE);
      }
    }
  }
}
