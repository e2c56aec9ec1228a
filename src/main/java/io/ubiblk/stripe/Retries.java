// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.stripe;

import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.NavigableSet;
import java.util.TreeSet;

/**
 * Stripes that have failed, from the first failure until they are committed, and when each is tried
 * again. Those that guests wait for are kept apart. Not thread-safe.
 */
final class Retries {
  private static final Comparator<Retry> BY_TIME =
      Comparator.<Retry>comparingLong(retry -> retry.dueNs).thenComparingInt(retry -> retry.stripe);

  private static final class Retry {
    final int stripe;
    int failures;
    long dueNs;

    Retry(int stripe) {
      this.stripe = stripe;
    }
  }

  private final BackOff backOff;
  private final Map<Integer, Retry> failed = new HashMap<>();
  private final NavigableSet<Retry> demanded = new TreeSet<>(BY_TIME);
  private final NavigableSet<Retry> background = new TreeSet<>(BY_TIME);

  Retries(BackOff backOff) {
    this.backOff = backOff;
  }

  /** A stripe has failed once more; it must not wait already. */
  void add(int stripe, boolean waited, long nowNs) {
    Retry retry = failed.computeIfAbsent(stripe, Retry::new);
    retry.failures++;
    retry.dueNs = nowNs + backOff.delayNs(retry.failures);
    of(waited).add(retry);
  }

  /** Whether the stripe waits for its time. */
  boolean waits(int stripe) {
    Retry retry = failed.get(stripe);
    return retry != null && (demanded.contains(retry) || background.contains(retry));
  }

  /** A guest waits for the stripe now, so it is tried at once. */
  void promote(int stripe, long nowNs) {
    Retry retry = failed.get(stripe);
    if (background.remove(retry)) {
      retry.dueNs = nowNs;
      demanded.add(retry);
    }
  }

  /** The stripe whose time came first, or {@link FetchQueue#NONE}. */
  int due(boolean waited, long nowNs) {
    return dueNs(waited) <= nowNs ? of(waited).first().stripe : FetchQueue.NONE;
  }

  /** When the first one's time comes. */
  long dueNs(boolean waited) {
    return of(waited).isEmpty() ? Ticker.NEVER : of(waited).first().dueNs;
  }

  /** The stripe is being tried; how often it has failed is kept. */
  void start(int stripe) {
    Retry retry = failed.get(stripe);
    if (retry != null) {
      demanded.remove(retry);
      background.remove(retry);
    }
  }

  /** The stripe is where it should be. */
  void forget(int stripe) {
    start(stripe);
    failed.remove(stripe);
  }

  /** The time of all that wait comes now. */
  void makeAllDue(long nowNs) {
    for (NavigableSet<Retry> set : List.of(demanded, background)) {
      List<Retry> all = List.copyOf(set);
      set.clear();
      all.forEach(retry -> retry.dueNs = nowNs);
      set.addAll(all);
    }
  }

  /** Stripes that wait for their time, or to be tried now that it has come. */
  int waitingCount(boolean waited) {
    return of(waited).size();
  }

  /** Stripes that have failed and are not committed. */
  int size() {
    return failed.size();
  }

  private NavigableSet<Retry> of(boolean waited) {
    return waited ? demanded : background;
  }
}
