// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.stripe;

import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.Condition;
import java.util.concurrent.locks.Lock;

/** A monotonic clock, and waiting by it. Any thread. */
interface Ticker {
  /** A time that never comes. */
  long NEVER = Long.MAX_VALUE;

  /** Nanoseconds since some moment in the past; never negative. */
  long nowNs();

  /**
   * Waits, with {@code lock} held, until {@code changed} is signalled or it is {@code untilNs}. May
   * return early, so the caller looks again.
   */
  void await(Lock lock, Condition changed, long untilNs) throws InterruptedException;

  /** The clock of the machine. */
  static Ticker system() {
    long startNs = System.nanoTime();
    return new Ticker() {
      @Override
      public long nowNs() {
        return System.nanoTime() - startNs;
      }

      @Override
      @SuppressWarnings("WaitNotInLoop") // The callers loop.
      public void await(Lock lock, Condition changed, long untilNs) throws InterruptedException {
        if (untilNs == NEVER) {
          changed.await();
        } else {
          changed.await(untilNs - nowNs(), TimeUnit.NANOSECONDS);
        }
      }
    };
  }
}
