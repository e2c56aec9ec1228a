// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.stripe;

import java.nio.ByteBuffer;

/** What guests' requests wait for, as the queues tell it. */
public interface StripeMisses {
  /** A read waits: the stripe has to be fetched. */
  int READ = 0;

  /** A write waits: the same, and with written tracking WRITTEN has to become durable. */
  int WRITE = 1;

  /** Bytes of one entry: the kind and the stripe, 32 bits each in the machine's order. */
  int ENTRY_BYTES = 8;

  /**
   * Waits until there is something and takes up to {@code max} entries, oldest first, from the
   * start of {@code batch}, a direct buffer. One thread.
   *
   * @return how many; negative once {@link #close} was called
   */
  int await(ByteBuffer batch, int max);

  /** Ends the waiting, now and for ever. Any thread. */
  void close();
}
