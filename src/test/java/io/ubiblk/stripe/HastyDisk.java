// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.stripe;

import io.ubiblk.metadata.MetadataFormat;
import java.io.IOException;
import java.util.Optional;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.Condition;
import java.util.concurrent.locks.Lock;

/** The real lazy disk on a clock that runs faster, so that pauses after failures are short. */
public final class HastyDisk {
  private static final int SPEED = 200;

  private HastyDisk() {}

  /** As {@link LazyDisk#start}. */
  public static LazyDisk start(
      LazyDiskSettings settings,
      StripeDisk disk,
      MetadataFormat format,
      StripeMisses misses,
      StripeSource source,
      StripeBuffer.Factory buffers,
      Runnable whenComplete)
      throws IOException {
    return LazyDisk.start(
        settings,
        disk,
        format,
        misses,
        Optional.of(source),
        buffers,
        whenComplete,
        new Surroundings(new FastTicker(), () -> 0.5));
  }

  private static final class FastTicker implements Ticker {
    private final long startNs = System.nanoTime();

    @Override
    public long nowNs() {
      return (System.nanoTime() - startNs) * SPEED;
    }

    @Override
    @SuppressWarnings("WaitNotInLoop") // The callers loop.
    public void await(Lock lock, Condition changed, long untilNs) throws InterruptedException {
      if (untilNs == NEVER) {
        changed.await();
      } else {
        changed.await((untilNs - nowNs()) / SPEED + 1, TimeUnit.NANOSECONDS);
      }
    }
  }
}
