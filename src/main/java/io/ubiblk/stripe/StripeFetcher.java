// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.stripe;

import io.ubiblk.metadata.StripeFlags;
import java.io.IOException;
import java.util.BitSet;
import java.util.Optional;
import java.util.concurrent.locks.Lock;
import java.util.concurrent.locks.ReentrantLock;
import java.util.function.Supplier;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Brings stripes from the source to the base disk: those that guests wait for, and in the
 * background all others. Any thread asks; workers fetch; the committer makes durable what they
 * wrote.
 *
 * <pre>
 *   demand ─► read the source ─► write the base disk ─► publish READABLE ─► committer
 *               ▲       any failure: again, after a pause                      │
 *               └────────────────────────────────────────── handed back ◄──────┤
 *                                               nothing left: close the source ◄┘
 * </pre>
 *
 * <p>Nothing makes a stripe fail for good. One lock guards all state. It is never held while the
 * source or the disk is read or written, and the commit queue's comes after it.
 */
final class StripeFetcher implements StripeCommitter.Listener {
  private static final Logger LOG = LoggerFactory.getLogger(StripeFetcher.class);

  private final StripeDisk disk;
  private final OpenSource source;
  private final StripeCopier copier;
  private final CommitQueue commits;
  private final boolean trackWritten;
  private final Runnable whenComplete;
  private final Ticker ticker;
  private final Failures failures;
  private final FetchWorkers workers;
  private final Lock lock = new ReentrantLock();

  /** All of these guarded by the lock. */
  private final FetchQueue queue;

  private final FetchTally tally;

  /** Stripes that are not fetched and that writes wait for. */
  private final BitSet writeWaits = new BitSet();

  private AutofetchState autofetch = AutofetchState.OFF;
  private boolean completing;

  /** The disk may be closed: nothing but a call that is in progress may touch it. */
  private boolean abandoned;

  /**
   * @param whenComplete called once, by a worker, when every stripe is fetched and the source, if
   *     there was one, is closed
   */
  StripeFetcher(
      LazyDiskSettings settings,
      StripeDisk disk,
      OpenSource source,
      CommitQueue commits,
      StripeBuffer.Factory buffers,
      Surroundings surroundings,
      Runnable whenComplete) {
    int stripeBytes = disk.stripeBytes(0);
    this.disk = disk;
    this.source = source;
    this.copier = new StripeCopier(disk, source);
    this.commits = commits;
    this.trackWritten = settings.trackWritten();
    this.whenComplete = whenComplete;
    this.ticker = surroundings.ticker();
    this.failures = new Failures(ticker, "fetching");
    this.tally = new FetchTally(disk, ticker.nowNs());
    this.queue =
        new FetchQueue(
            disk.stripeCount(),
            this::isMissing,
            settings.limits(stripeBytes),
            new Retries(surroundings.backOff()),
            new SourcePause(surroundings.backOff()));
    this.workers =
        new FetchWorkers(
            settings.workersMax(stripeBytes),
            new Jobs(),
            () -> new WorkerBuffer(buffers, stripeBytes),
            ticker,
            lock);
  }

  /** Begins. */
  void start(boolean fetchAll) {
    if (fetchAll) {
      setAutofetch(true);
    } else {
      locked(workers::changed);
    }
  }

  /** A guest's request waits for the stripe; asked for again, it changes nothing. */
  void demand(int stripe, boolean write) {
    locked(
        () -> {
          if (abandoned) {
            return;
          }
          int flags = disk.flags(stripe);
          boolean markWritten = write && trackWritten && (flags & StripeFlags.WRITTEN) == 0;
          if (StripeFlags.mustBeFetched(flags)) {
            demandMissing(stripe, flags, write, markWritten);
          } else if (markWritten) {
            commits.addWritten(stripe);
          } else {
            answered(stripe, write);
          }
        });
  }

  private void demandMissing(int stripe, int flags, boolean write, boolean markWritten) {
    boolean readable = (flags & StripeFlags.READABLE) != 0;
    if (readable && !write) {
      answered(stripe, false);
      return;
    }
    queue.demand(stripe, ticker.nowNs());
    if (write) {
      writeWaits.set(stripe);
    }
    if (!readable) {
      workers.changed();
    } else if (markWritten) {
      commits.addWritten(stripe);
    } else {
      commits.hurry(stripe);
    }
  }

  /** The answer was published after the request had looked and before it asked. */
  private void answered(int stripe, boolean write) {
    disk.publish(stripe, 0, write ? StripeFlags.WRITE_ASKED : StripeFlags.READ_ASKED);
  }

  private boolean isMissing(int stripe) {
    int flags = disk.flags(stripe);
    return StripeFlags.mustBeFetched(flags) && (flags & StripeFlags.READABLE) == 0;
  }

  /** One stripe, on a worker. */
  private void fetch(int stripe, WorkerBuffer buffer) throws InterruptedException {
    long startedNs = ticker.nowNs();
    try {
      readable(stripe, copier.copy(stripe, buffer));
    } catch (IOException e) {
      failed(stripe, startedNs, e);
    }
  }

  private void readable(int stripe, long syncFailures) {
    locked(
        () -> {
          if (abandoned) {
            return;
          }
          queue.readable(stripe);
          int flags = disk.flags(stripe);
          disk.publish(stripe, StripeFlags.READABLE, StripeFlags.READ_ASKED);
          boolean write = writeWaits.get(stripe);
          boolean mark = write && trackWritten && (flags & StripeFlags.WRITTEN) == 0;
          commits.addFetched(stripe, syncFailures, write, mark);
          disk.wake();
        });
  }

  private void failed(int stripe, long startedNs, Throwable cause) {
    locked(
        () -> {
          if (abandoned) {
            return;
          }
          failures.failed("stripe " + stripe, cause);
          queue.failed(stripe, startedNs, ticker.nowNs());
        });
  }

  @Override
  public void committed(CommitGroup group) {
    locked(
        () -> {
          if (abandoned) {
            return;
          }
          long nowNs = ticker.nowNs();
          BitSet stripes = group.fetched();
          queue.committed(stripes, nowNs);
          writeWaits.andNot(stripes);
          stripes.stream().forEach(stripe -> tally.fetched(stripe, nowNs));
          tally.written(group.written().cardinality());
          if (queue.failedCount() == 0) {
            failures.healed();
          }
          workers.changed();
        });
  }

  @Override
  public void handedBack(BitSet stripes, Throwable cause) {
    locked(
        () -> {
          if (abandoned) {
            return;
          }
          failures.failed("making stripes durable", cause);
          stripes.stream().forEach(stripe -> disk.publish(stripe, 0, StripeFlags.READABLE));
          queue.handedBack(stripes, ticker.nowNs());
          workers.changed();
          disk.wake();
        });
  }

  /** As {@link FetchQueue#retryNow}. */
  int retryNow() {
    return locked(
        () -> {
          int count = queue.retryNow(ticker.nowNs());
          workers.changed();
          return count;
        });
  }

  /** Turns fetching in the background on or off; returns what it does then. */
  AutofetchState setAutofetch(boolean on) {
    return locked(
        () -> {
          if (on) {
            autofetch = AutofetchState.RUNNING;
          } else if (autofetch == AutofetchState.RUNNING) {
            autofetch = AutofetchState.PAUSED;
          }
          queue.setAutofetch(on);
          workers.changed();
          return state();
        });
  }

  /** A snapshot. */
  StripeProgress progress(Optional<String> metadataError, StripeProgress.Timing timing) {
    return locked(
        () ->
            new StripeProgress(
                tally.counts(ticker.nowNs()),
                queue.waitingCount(),
                queue.failedCount(),
                failures.last(),
                metadataError,
                state(),
                source.description(),
                timing));
  }

  /** Ends the workers and closes the source; false if one of them is still at it. */
  boolean stop(Deadline deadline) throws InterruptedException {
    copier.stop();
    workers.stop();
    source.close();
    return workers.join(deadline);
  }

  /**
   * Asks the workers to end, waits for none of them, and closes the source. Once this has returned
   * the disk is touched no more, but by calls to it that are in progress.
   */
  void abandon() {
    copier.stop();
    workers.stop();
    locked(
        () -> {
          abandoned = true;
        });
    source.close();
  }

  private AutofetchState state() {
    return tally.missingCount() == 0 ? AutofetchState.DONE : autofetch;
  }

  private boolean isComplete() {
    return tally.missingCount() == 0 && !completing;
  }

  /** On a worker. */
  private void complete() {
    if (source.close()) {
      LOG.info("every stripe is fetched; the stripe source is closed");
    }
    locked(
        () -> {
          if (!abandoned) {
            whenComplete.run();
          }
        });
  }

  private <T> T locked(Supplier<T> body) {
    lock.lock();
    try {
      return body.get();
    } finally {
      lock.unlock();
    }
  }

  private void locked(Runnable body) {
    lock.lock();
    try {
      body.run();
    } finally {
      lock.unlock();
    }
  }

  /** What workers find to do. */
  private final class Jobs implements FetchWorkers.Jobs {
    @Override
    public boolean ready(long nowNs) {
      return isComplete() || queue.next(nowNs) != FetchQueue.NONE;
    }

    @Override
    public FetchWorkers.Job take(long nowNs) {
      if (isComplete()) {
        completing = true;
        return buffer -> complete();
      }
      int stripe = queue.next(nowNs);
      queue.start(stripe);
      return buffer -> fetch(stripe, buffer);
    }

    @Override
    public long dueNs(long nowNs) {
      return queue.dueNs(nowNs);
    }
  }
}
