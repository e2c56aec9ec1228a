// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.stripe;

import io.ubiblk.metadata.MetadataFormat;
import java.util.BitSet;
import java.util.Optional;
import java.util.concurrent.locks.Condition;
import java.util.concurrent.locks.Lock;
import java.util.concurrent.locks.ReentrantLock;

/**
 * What waits to become durable. Any thread adds, the committer takes.
 *
 * <p>A group is everything that has gathered while the one before was made durable, with one
 * exception: when guests' writes wait, it is only the stripes that they wait for, and of the others
 * those that cost nothing more, because the base disk is synced and their sector is written anyway.
 * Others that were left behind once are in the next group, so neither side waits for more than two.
 *
 * <p>Bit sets, because nothing bounds what gathers while the metadata file cannot be written but
 * the number of stripes.
 */
final class CommitQueue {
  private final MetadataFormat format;
  private final Lock lock = new ReentrantLock();
  private final Condition changed = lock.newCondition();

  private BitSet fetched = new BitSet();
  private BitSet written = new BitSet();
  private BitSet stale = new BitSet();

  /** Those of {@link #fetched} that writes wait for. */
  private final BitSet urgent = new BitSet();

  /** When the writes of {@link #fetched} began. */
  private long baseSyncFailures;

  private boolean leftBehind;
  private boolean closed;

  CommitQueue(MetadataFormat format) {
    this.format = format;
  }

  /**
   * Adds FETCHED of a stripe, and with {@code mark} WRITTEN in the same group.
   *
   * @param failures failures of base syncs before the stripe's write began
   * @param waited whether a write waits for it
   */
  void addFetched(int stripe, long failures, boolean waited, boolean mark) {
    lock.lock();
    try {
      if (failures > baseSyncFailures) {
        stale.or(fetched);
        fetched.clear();
        urgent.clear();
        baseSyncFailures = failures;
      }
      (failures < baseSyncFailures ? stale : fetched).set(stripe);
      if (waited) {
        urgent.set(stripe);
      }
      if (mark) {
        written.set(stripe);
      }
      changed.signal();
    } finally {
      lock.unlock();
    }
  }

  /** Adds WRITTEN of a stripe: a write waits for it, and for FETCHED if that was added. */
  void addWritten(int stripe) {
    lock.lock();
    try {
      written.set(stripe);
      changed.signal();
    } finally {
      lock.unlock();
    }
  }

  /** A write waits for the stripe, which may have been added as one that nobody waits for. */
  void hurry(int stripe) {
    lock.lock();
    try {
      if (fetched.get(stripe)) {
        urgent.set(stripe);
      }
    } finally {
      lock.unlock();
    }
  }

  /** The next group, waiting until there is one; empty at the end. */
  Optional<CommitGroup> take() throws InterruptedException {
    lock.lockInterruptibly();
    try {
      while (isEmpty() && !closed) {
        changed.await();
      }
      return isEmpty() ? Optional.empty() : Optional.of(group());
    } finally {
      lock.unlock();
    }
  }

  /** What was added is still taken, then comes the end. */
  void close() {
    lock.lock();
    try {
      closed = true;
      changed.signal();
    } finally {
      lock.unlock();
    }
  }

  private boolean isEmpty() {
    return fetched.isEmpty() && written.isEmpty() && stale.isEmpty();
  }

  private CommitGroup group() {
    BitSet waited = (BitSet) fetched.clone();
    urgent.or(written);
    waited.and(urgent);
    boolean nobodyWaits = waited.isEmpty() && written.isEmpty();
    BitSet taken = nobodyWaits || leftBehind ? (BitSet) fetched.clone() : withCompany(waited);
    CommitGroup group = new CommitGroup(taken, written, baseSyncFailures, stale);
    fetched.andNot(taken);
    leftBehind = !fetched.isEmpty();
    urgent.clear();
    written = new BitSet();
    stale = new BitSet();
    return group;
  }

  private BitSet withCompany(BitSet waited) {
    if (waited.isEmpty()) {
      return waited;
    }
    BitSet all = (BitSet) waited.clone();
    all.or(written);
    BitSet sectors = CommitGroup.sectors(all, format);
    for (int s = sectors.nextSetBit(0); s >= 0; s = sectors.nextSetBit(s + 1)) {
      int end = format.firstStripeOf(s + 1L);
      for (int i = fetched.nextSetBit(format.firstStripeOf(s)); i >= 0 && i < end; ) {
        waited.set(i);
        i = fetched.nextSetBit(i + 1);
      }
    }
    return waited;
  }
}
