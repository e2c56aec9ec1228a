// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.stripe;

import java.util.HashMap;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.Condition;
import java.util.concurrent.locks.Lock;

/** A clock that stands still until the test moves it. */
final class ManualTicker implements Ticker {
  private long nowNs = TimeUnit.HOURS.toNanos(1);
  private int timedWaits;
  private final Map<Condition, Lock> waitedFor = new HashMap<>();

  @Override
  public synchronized long nowNs() {
    return nowNs;
  }

  @Override
  @SuppressWarnings("WaitNotInLoop") // The callers loop.
  public void await(Lock lock, Condition changed, long untilNs) throws InterruptedException {
    synchronized (this) {
      if (untilNs <= nowNs) {
        return;
      }
      waitedFor.put(changed, lock);
      timedWaits += untilNs != NEVER ? 1 : 0;
    }
    try {
      changed.await();
    } finally {
      synchronized (this) {
        timedWaits -= untilNs != NEVER ? 1 : 0;
      }
    }
  }

  /** Threads that wait for a time. */
  synchronized int timedWaits() {
    return timedWaits;
  }

  void advanceMs(long ms) {
    Map<Condition, Lock> waiters;
    synchronized (this) {
      nowNs += TimeUnit.MILLISECONDS.toNanos(ms);
      waiters = Map.copyOf(waitedFor);
    }
    waiters.forEach(
        (condition, lock) -> {
          lock.lock();
          try {
            condition.signalAll();
          } finally {
            lock.unlock();
          }
        });
  }
}
