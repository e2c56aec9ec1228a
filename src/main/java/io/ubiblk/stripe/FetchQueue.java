// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.stripe;

import java.util.BitSet;
import java.util.function.IntPredicate;

/**
 * Which stripe is fetched next. Not thread-safe: the fetcher's lock guards it.
 *
 * <p>A stripe is asked for, in progress, uncommitted (its content is on the base disk), and then
 * committed; or it has failed and waits for its time. Stripes that guests wait for come first,
 * among them those that have not failed. All others are taken in the order of the disk, by some of
 * the workers, and only as far as commits keep up; while the source fails, one at a time.
 */
final class FetchQueue {
  /** No stripe. */
  static final int NONE = -1;

  /** With so many failing stripes, others are tried only between pauses: it bounds the memory. */
  static final int FAILED_MAX = 1024;

  /**
   * What the background may take.
   *
   * @param backgroundMax of the workers
   * @param uncommittedMax stripes that are fetched but not committed
   */
  record Limits(int backgroundMax, int uncommittedMax) {}

  private final int stripeCount;
  private final IntPredicate missing;
  private final Limits limits;
  private final Retries retries;
  private final SourcePause pause;

  /** Stripes that guests have waited for since they were last committed. */
  private final BitSet demanded = new BitSet();

  /** Those of them that have not been tried. */
  private final IntFifo untried = new IntFifo();

  private final BitSet inProgress = new BitSet();
  private final BitSet inBackground = new BitSet();
  private final BitSet uncommitted = new BitSet();
  private int backgroundCount;
  private int uncommittedCount;
  private int waitingCount;

  /** Where the background has come to. */
  private int cursor;

  private boolean autofetch;

  /**
   * @param missing whether a stripe's content is not on the base disk
   */
  FetchQueue(
      int stripeCount, IntPredicate missing, Limits limits, Retries retries, SourcePause pause) {
    this.stripeCount = stripeCount;
    this.missing = missing;
    this.limits = limits;
    this.retries = retries;
    this.pause = pause;
  }

  /** A guest waits for a stripe that is not committed. */
  void demand(int stripe, long nowNs) {
    if (demanded.get(stripe)) {
      return;
    }
    demanded.set(stripe);
    if (uncommitted.get(stripe)) {
      return;
    }
    waitingCount++;
    if (retries.waits(stripe)) {
      retries.promote(stripe, nowNs);
    } else if (!inProgress.get(stripe)) {
      untried.add(stripe);
    }
  }

  /** Whether a guest has asked for the stripe since it was last committed. */
  boolean isDemanded(int stripe) {
    return demanded.get(stripe);
  }

  /** The stripe that {@link #start} should be called with now, or {@link #NONE}. */
  int next(long nowNs) {
    if (!untried.isEmpty() && (retries.size() < FAILED_MAX || pause.untilNs() <= nowNs)) {
      return untried.peek();
    }
    int stripe = retries.due(true, nowNs);
    return stripe != NONE ? stripe : nextInBackground(nowNs);
  }

  /** When {@link #next} may have one by itself, if it has none. */
  long dueNs(long nowNs) {
    long due = retries.dueNs(true);
    if (!untried.isEmpty()) {
      due = Math.min(due, pause.untilNs());
    }
    if (backgroundMayRun()) {
      long background = nextInOrder() != NONE ? nowNs : retries.dueNs(false);
      due = Math.min(due, Math.max(pause.untilNs(), background));
    }
    return due;
  }

  /** A worker takes the stripe that {@link #next} gave. */
  void start(int stripe) {
    if (!demanded.get(stripe)) {
      inBackground.set(stripe);
      backgroundCount++;
    } else if (!untried.isEmpty() && untried.peek() == stripe) {
      untried.remove();
    }
    retries.start(stripe);
    inProgress.set(stripe);
  }

  /** The content is on the base disk. */
  void readable(int stripe) {
    end(stripe);
    uncommitted.set(stripe);
    uncommittedCount++;
    waitingCount -= demanded.get(stripe) ? 1 : 0;
  }

  /** The attempt that began at {@code startedNs} was in vain. */
  void failed(int stripe, long startedNs, long nowNs) {
    end(stripe);
    pause.failed(startedNs, nowNs);
    retries.add(stripe, demanded.get(stripe), nowNs);
  }

  /** The content has to be written again. */
  void handedBack(BitSet stripes, long nowNs) {
    pause.failed(nowNs, nowNs);
    for (int i = stripes.nextSetBit(0); i >= 0; i = stripes.nextSetBit(i + 1)) {
      uncommitted.clear(i);
      uncommittedCount--;
      waitingCount += demanded.get(i) ? 1 : 0;
      retries.add(i, demanded.get(i), nowNs);
    }
  }

  /** The stripes are fetched for good. */
  void committed(BitSet stripes, long nowNs) {
    for (int i = stripes.nextSetBit(0); i >= 0; i = stripes.nextSetBit(i + 1)) {
      uncommitted.clear(i);
      uncommittedCount--;
      demanded.clear(i);
      retries.forget(i);
    }
    if (!stripes.isEmpty() && pause.succeeded()) {
      retries.makeAllDue(nowNs);
    }
  }

  /**
   * Everything that has failed may be tried now; returns how many stripes that are. Others than
   * those that guests wait for are not tried, and not counted, while the background is off.
   */
  int retryNow(long nowNs) {
    pause.interrupt();
    retries.makeAllDue(nowNs);
    return retries.waitingCount(true) + (autofetch ? retries.waitingCount(false) : 0);
  }

  /** Turns the background on or off. */
  void setAutofetch(boolean on) {
    autofetch = on;
  }

  /** Stripes that guests wait for and that cannot be read. */
  int waitingCount() {
    return waitingCount;
  }

  /** Stripes that have failed and are not committed. */
  int failedCount() {
    return retries.size();
  }

  private void end(int stripe) {
    inProgress.clear(stripe);
    if (inBackground.get(stripe)) {
      inBackground.clear(stripe);
      backgroundCount--;
    }
  }

  private int nextInBackground(long nowNs) {
    if (!backgroundMayRun() || pause.untilNs() > nowNs) {
      return NONE;
    }
    int stripe = retries.due(false, nowNs);
    return stripe != NONE ? stripe : nextInOrder();
  }

  private boolean backgroundMayRun() {
    return autofetch
        && backgroundCount < (pause.failing() ? 1 : limits.backgroundMax())
        && uncommittedCount < limits.uncommittedMax();
  }

  private int nextInOrder() {
    while (cursor < stripeCount
        && (!missing.test(cursor)
            || demanded.get(cursor)
            || inProgress.get(cursor)
            || retries.waits(cursor))) {
      cursor++;
    }
    return cursor < stripeCount ? cursor : NONE;
  }
}
