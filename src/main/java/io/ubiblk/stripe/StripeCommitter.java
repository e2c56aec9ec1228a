// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.stripe;

import io.ubiblk.metadata.StripeFlags;
import java.io.IOException;
import java.util.BitSet;
import java.util.Optional;
import java.util.concurrent.locks.Condition;
import java.util.concurrent.locks.Lock;
import java.util.concurrent.locks.ReentrantLock;

/**
 * Makes flags durable, one group after the other, on the thread {@code stripe-commit}. The order
 * decides what a crash can lose:
 *
 * <pre>
 *   content written ─► base synced ─► flags written ─► metadata synced ─► published ─► requests go
 *   (fetcher)          (not for WRITTEN alone)
 * </pre>
 *
 * <p>A sync that failed is not repeated to see it succeed, since the kernel may have dropped what
 * it could not write. After a failed base sync, whoever issued it, stripes are handed back to be
 * written again; flags are written again before the metadata file is synced again, for ever if need
 * be: nobody is told that a flag is set before it is durable.
 */
final class StripeCommitter {
  private final StripeDisk disk;
  private final CommitQueue queue;
  private final MetadataWriter writer;
  private final boolean trackWritten;
  private final Ticker ticker;
  private final BackOff backOff;
  private final Failures failures;
  private final Lock lock = new ReentrantLock();
  private final Condition changed = lock.newCondition();

  /** Both guarded by the lock. */
  private boolean closing;

  private boolean impatient;

  /** What the fetcher learns, on the committer's thread. */
  interface Listener {
    /** The group is durable and published. */
    void committed(CommitGroup group);

    /** The content of these may not have reached the disk: they have to be written again. */
    void handedBack(BitSet stripes, Throwable cause);
  }

  StripeCommitter(
      StripeDisk disk,
      CommitQueue queue,
      MetadataWriter writer,
      boolean trackWritten,
      Surroundings surroundings) {
    this.disk = disk;
    this.queue = queue;
    this.writer = writer;
    this.trackWritten = trackWritten;
    this.ticker = surroundings.ticker();
    this.backOff = surroundings.backOff();
    this.failures = new Failures(ticker, "writing the metadata file");
  }

  /** Makes groups durable until {@link #close}; the thread's body. */
  void run(Listener listener) {
    try {
      Optional<CommitGroup> group = queue.take();
      while (group.isPresent() && commit(group.get(), listener)) {
        group = queue.take();
      }
    } catch (InterruptedException e) {
      // Asked to leave the rest undone: what is not durable was not promised to anyone.
    }
  }

  /** Lets pending groups become durable if that works at once, then ends the thread. */
  void close() {
    queue.close();
    lock.lock();
    try {
      closing = true;
      changed.signal();
    } finally {
      lock.unlock();
    }
  }

  /** Ends a pause after a failure, if there is one. */
  void retryNow() {
    lock.lock();
    try {
      impatient = true;
      changed.signal();
    } finally {
      lock.unlock();
    }
  }

  /** Why the metadata file cannot be written, while it cannot. */
  Optional<String> error() {
    return failures.current();
  }

  /** False to end. */
  private boolean commit(CommitGroup group, Listener listener) throws InterruptedException {
    // Asked for again while the group before made it durable: only this thread sets the flag.
    group.written().stream()
        .filter(stripe -> (disk.flags(stripe) & StripeFlags.WRITTEN) != 0)
        .forEach(group.written()::clear);
    keepDurableContent(group, listener);
    BitSet stripes = group.stripes();
    if (stripes.isEmpty()) {
      return true;
    }
    checkNotAbandoned();
    if (!writeUntilDurable(group)) {
      return false;
    }
    checkNotAbandoned();
    for (int stripe = stripes.nextSetBit(0); stripe >= 0; ) {
      publish(stripe, group.bits(stripe));
      stripe = stripes.nextSetBit(stripe + 1);
    }
    disk.wake();
    listener.committed(group);
    return true;
  }

  /** After a call that hung for longer than closing may take, the disk may be gone. */
  private static void checkNotAbandoned() throws InterruptedException {
    if (Thread.interrupted()) {
      throw new InterruptedException();
    }
  }

  /** Leaves only those stripes in the group whose content is durable. */
  private void keepDurableContent(CommitGroup group, Listener listener)
      throws InterruptedException {
    if (!group.stale().isEmpty()) {
      handBack(group, group.stale(), listener, new IOException("a sync has failed since"));
    }
    if (group.fetched().isEmpty()) {
      return;
    }
    try {
      checkNoSyncHasFailed(group);
      disk.syncBase();
      checkNoSyncHasFailed(group);
    } catch (IOException | RuntimeException e) {
      checkNotAbandoned();
      handBack(group, (BitSet) group.fetched().clone(), listener, e);
    }
  }

  /** A sync that failed elsewhere may have taken the error that ours would have reported. */
  private void checkNoSyncHasFailed(CommitGroup group) throws IOException {
    if (disk.baseSyncFailures() != group.baseSyncFailures()) {
      throw new IOException("another sync has failed");
    }
  }

  /** WRITTEN of these is asked for again when their content is there. */
  private static void handBack(
      CommitGroup group, BitSet stripes, Listener listener, Throwable cause) {
    group.fetched().andNot(stripes);
    group.written().andNot(stripes);
    listener.handedBack(stripes, cause);
  }

  /** False when it does not work and this is being closed. */
  private boolean writeUntilDurable(CommitGroup group) throws InterruptedException {
    for (int attempt = 1; ; attempt++) {
      try {
        writer.write(group);
        failures.healed();
        return true;
      } catch (IOException | RuntimeException e) {
        failures.failed("metadata", e);
      }
      if (!pause(ticker.nowNs() + backOff.delayNs(attempt))) {
        return false;
      }
    }
  }

  /** False when this is being closed. */
  private boolean pause(long untilNs) throws InterruptedException {
    lock.lockInterruptibly();
    try {
      while (!closing && !impatient && ticker.nowNs() < untilNs) {
        ticker.await(lock, changed, untilNs);
      }
      impatient = false;
      return !closing;
    } finally {
      lock.unlock();
    }
  }

  /** What was asked for and is answered by this is no longer marked as asked for. */
  private void publish(int stripe, int set) {
    int flags = disk.flags(stripe) | set;
    boolean readable = !StripeFlags.mustBeFetched(flags);
    boolean writable = readable && (!trackWritten || (flags & StripeFlags.WRITTEN) != 0);
    int clear =
        (readable ? StripeFlags.READABLE | StripeFlags.READ_ASKED : 0)
            | (writable ? StripeFlags.WRITE_ASKED : 0);
    disk.publish(stripe, set, clear);
  }
}
