// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.stripe;

import java.io.IOException;
import java.nio.ByteBuffer;

/** Copies single stripes from the source to the base disk. Any number of threads at once. */
final class StripeCopier {
  private final StripeDisk disk;
  private final OpenSource source;
  private volatile boolean stopped;

  StripeCopier(StripeDisk disk, OpenSource source) {
    this.disk = disk;
    this.source = source;
  }

  /** From here on nothing is written, and who is interrupted gives up. */
  void stop() {
    stopped = true;
  }

  /**
   * Copies a stripe.
   *
   * @return how many base syncs had failed when the write began
   * @throws IOException whatever went wrong; the stripe can be copied again
   * @throws InterruptedException if this was stopped
   */
  long copy(int stripe, WorkerBuffer buffer) throws IOException, InterruptedException {
    try {
      ByteBuffer content = buffer.get().limit(disk.stripeBytes(stripe));
      source.get().read(stripe, content);
      if (stopped) {
        throw new InterruptedException();
      }
      long syncFailures = disk.baseSyncFailures();
      disk.writeStripe(stripe, content.rewind());
      return syncFailures;
    } catch (InterruptedException e) {
      if (stopped) {
        throw e;
      }
      throw new IOException("interrupted", e);
    } catch (RuntimeException e) {
      throw new IOException(e.toString(), e);
    }
  }
}
