// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.crash;

import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.Condition;
import java.util.concurrent.locks.Lock;
import java.util.concurrent.locks.ReentrantLock;

/** How many writes the guest has seen succeed, for mutations that want to give it the time. */
final class GuestProgress {
  private static final long PATIENCE_NS = TimeUnit.MILLISECONDS.toNanos(20);

  private final Lock lock = new ReentrantLock();
  private final Condition changed = lock.newCondition();
  private long writes;

  void writeSucceeded() {
    lock.lock();
    try {
      writes++;
      changed.signalAll();
    } finally {
      lock.unlock();
    }
  }

  /** Waits until some more writes have succeeded; not for long, because the guest may be idle. */
  void awaitWrites(int count) {
    lock.lock();
    try {
      long wanted = writes + count;
      long leftNs = PATIENCE_NS;
      while (writes < wanted && leftNs > 0) {
        leftNs = changed.awaitNanos(leftNs);
      }
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    } finally {
      lock.unlock();
    }
  }
}
