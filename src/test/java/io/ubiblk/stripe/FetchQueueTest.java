// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.stripe;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.BitSet;
import java.util.HashSet;
import java.util.Set;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;

class FetchQueueTest {
  private static final int COUNT = 3000;
  private static final long START_NS = TimeUnit.HOURS.toNanos(1);

  private final Set<Integer> present = new HashSet<>();
  private final FetchQueue queue = queue(3, 8);
  private long nowNs = START_NS;

  private FetchQueue queue(int backgroundMax, int uncommittedMax) {
    BackOff backOff = new BackOff(ms(100), ms(30_000), () -> 0);
    return new FetchQueue(
        COUNT,
        stripe -> !present.contains(stripe),
        new FetchQueue.Limits(backgroundMax, uncommittedMax),
        new Retries(backOff),
        new SourcePause(backOff));
  }

  private static long ms(long ms) {
    return TimeUnit.MILLISECONDS.toNanos(ms);
  }

  private void pass(long ms) {
    nowNs += ms(ms);
  }

  private int take() {
    int stripe = queue.next(nowNs);
    if (stripe != FetchQueue.NONE) {
      queue.start(stripe);
    } else {
      assertThat(queue.dueNs(nowNs)).as("nobody would look again").isGreaterThan(nowNs);
    }
    return stripe;
  }

  private void finish(int stripe) {
    queue.readable(stripe);
    present.add(stripe);
  }

  private void commit(int... stripes) {
    queue.committed(set(stripes), nowNs);
  }

  private void fail(int stripe) {
    queue.failed(stripe, nowNs, nowNs);
  }

  private static BitSet set(int... stripes) {
    BitSet set = new BitSet();
    for (int stripe : stripes) {
      set.set(stripe);
    }
    return set;
  }

  @Test
  void nothing_is_fetched_that_nobody_asked_for() {
    assertThat(take()).isEqualTo(FetchQueue.NONE);
    assertThat(queue.dueNs(nowNs)).isEqualTo(Ticker.NEVER);
  }

  @Test
  void demands_come_in_their_order_and_before_the_background() {
    queue.setAutofetch(true);
    queue.demand(7, nowNs);
    queue.demand(5, nowNs);
    queue.demand(7, nowNs);
    assertThat(queue.waitingCount()).isEqualTo(2);
    assertThat(take()).isEqualTo(7);
    assertThat(take()).isEqualTo(5);
    assertThat(take()).isEqualTo(0);
  }

  @Test
  void the_background_goes_in_order_past_what_is_there_or_in_hand() {
    present.addAll(Set.of(0, 2));
    queue.demand(3, nowNs);
    queue.demand(5, nowNs);
    assertThat(take()).isEqualTo(3);
    queue.setAutofetch(true);
    assertThat(take()).isEqualTo(5);
    assertThat(take()).isEqualTo(1);
    assertThat(take()).isEqualTo(4);
    assertThat(take()).isEqualTo(6);
  }

  @Test
  void the_background_leaves_workers_free() {
    queue.setAutofetch(true);
    assertThat(take()).isEqualTo(0);
    assertThat(take()).isEqualTo(1);
    assertThat(take()).isEqualTo(2);
    assertThat(take()).isEqualTo(FetchQueue.NONE);
    assertThat(queue.dueNs(nowNs)).isEqualTo(Ticker.NEVER);
    queue.demand(9, nowNs);
    assertThat(take()).isEqualTo(9);
    finish(1);
    assertThat(take()).isEqualTo(3);
  }

  @Test
  void the_background_waits_for_commits_and_demands_do_not() {
    queue.setAutofetch(true);
    for (int i = 0; i < 8; i++) {
      assertThat(take()).isEqualTo(i);
      finish(i);
    }
    assertThat(take()).isEqualTo(FetchQueue.NONE);
    queue.demand(20, nowNs);
    assertThat(take()).isEqualTo(20);
    commit(0);
    assertThat(take()).isEqualTo(8);
  }

  @Test
  void a_paused_background_takes_nothing() {
    queue.setAutofetch(true);
    assertThat(take()).isEqualTo(0);
    queue.setAutofetch(false);
    assertThat(take()).isEqualTo(FetchQueue.NONE);
    fail(0);
    pass(60_000);
    assertThat(take()).isEqualTo(FetchQueue.NONE);
    queue.setAutofetch(true);
    assertThat(take()).isEqualTo(0);
  }

  @Test
  void a_stripe_that_fails_is_tried_again_after_pauses_that_grow() {
    queue.demand(4, nowNs);
    for (long pause : new long[] {100, 200, 400, 800, 1600, 3200, 6400, 12_800, 25_600, 30_000}) {
      assertThat(take()).isEqualTo(4);
      fail(4);
      assertThat(queue.failedCount()).isEqualTo(1);
      pass(pause - 1);
      assertThat(take()).isEqualTo(FetchQueue.NONE);
      assertThat(queue.dueNs(nowNs)).isEqualTo(nowNs + ms(1));
      pass(1);
    }
    assertThat(take()).isEqualTo(4);
    finish(4);
    assertThat(queue.waitingCount()).isZero();
    assertThat(queue.failedCount()).isEqualTo(1);
    commit(4);
    assertThat(queue.failedCount()).isZero();
  }

  @Test
  void what_has_not_failed_comes_before_what_has() {
    queue.demand(1, nowNs);
    assertThat(take()).isEqualTo(1);
    fail(1);
    pass(100);
    queue.demand(2, nowNs);
    assertThat(take()).isEqualTo(2);
    assertThat(take()).isEqualTo(1);
  }

  @Test
  void a_demand_for_a_failed_background_stripe_tries_it_at_once_and_only_once() {
    queue.setAutofetch(true);
    for (int i = 0; i < 5; i++) {
      assertThat(take()).isEqualTo(0);
      fail(0);
      pass(100 << i);
    }
    assertThat(take()).isEqualTo(0);
    fail(0);
    queue.demand(0, nowNs);
    assertThat(take()).isEqualTo(0);
    fail(0);
    queue.demand(0, nowNs);
    assertThat(take()).isEqualTo(FetchQueue.NONE);
  }

  @Test
  void a_background_stripe_that_is_demanded_on_the_way_is_retried_as_demanded() {
    queue.setAutofetch(true);
    assertThat(take()).isEqualTo(0);
    queue.demand(0, nowNs);
    queue.setAutofetch(false);
    fail(0);
    assertThat(queue.waitingCount()).isEqualTo(1);
    pass(100);
    assertThat(take()).isEqualTo(0);
  }

  @Test
  void while_the_source_fails_the_background_tries_one_stripe_after_each_pause() {
    queue.setAutofetch(true);
    assertThat(take()).isEqualTo(0);
    assertThat(take()).isEqualTo(1);
    long startedNs = nowNs;
    pass(10);
    queue.failed(0, startedNs, nowNs);
    pass(10);
    queue.failed(1, startedNs, nowNs);
    assertThat(take()).isEqualTo(FetchQueue.NONE);
    pass(90);
    assertThat(take()).as("both failures are of one pause").isEqualTo(0);
    assertThat(take()).isEqualTo(FetchQueue.NONE);
    fail(0);
    pass(199);
    assertThat(take()).isEqualTo(FetchQueue.NONE);
    pass(1);
    assertThat(take()).isEqualTo(1);
    finish(1);
    assertThat(take()).as("fetched, but not durable").isEqualTo(0);
    assertThat(take()).isEqualTo(FetchQueue.NONE);
    pass(10);
    commit(1);
    assertThat(take()).isEqualTo(2);
    assertThat(take()).isEqualTo(3);
    assertThat(take()).isEqualTo(FetchQueue.NONE);
  }

  @Test
  void the_end_of_an_outage_makes_everything_due() {
    queue.demand(1, nowNs);
    queue.demand(2, nowNs);
    for (int i = 0; i < 6; i++) {
      assertThat(take()).isEqualTo(1);
      assertThat(take()).isEqualTo(2);
      fail(1);
      fail(2);
      pass(100 << i);
    }
    assertThat(take()).isEqualTo(1);
    fail(1);
    assertThat(take()).isEqualTo(2);
    finish(2);
    assertThat(take()).isEqualTo(FetchQueue.NONE);
    commit(2);
    assertThat(take()).isEqualTo(1);
  }

  @Test
  void one_bad_stripe_among_good_ones_keeps_its_pauses() {
    queue.demand(1, nowNs);
    for (int i = 0; i < 4; i++) {
      assertThat(take()).isEqualTo(1);
      fail(1);
      queue.demand(10 + i, nowNs);
      assertThat(take()).isEqualTo(10 + i);
      finish(10 + i);
      commit(10 + i);
      assertThat(take()).isEqualTo(FetchQueue.NONE);
      pass(100 << i);
    }
  }

  private void failOneForAGuestAndOneBehind() {
    queue.setAutofetch(true);
    queue.demand(1, nowNs);
    assertThat(take()).isEqualTo(1);
    assertThat(take()).isEqualTo(0);
    fail(1);
    fail(0);
  }

  @Test
  void an_operator_makes_everything_due() {
    failOneForAGuestAndOneBehind();
    assertThat(take()).isEqualTo(FetchQueue.NONE);
    assertThat(queue.retryNow(nowNs)).isEqualTo(2);
    assertThat(take()).isEqualTo(1);
    assertThat(take()).isEqualTo(0);
    assertThat(queue.retryNow(nowNs)).isZero();
  }

  @Test
  void an_operator_is_not_told_of_stripes_that_a_paused_background_does_not_try() {
    failOneForAGuestAndOneBehind();
    queue.setAutofetch(false);
    assertThat(queue.retryNow(nowNs)).isEqualTo(1);
    assertThat(take()).isEqualTo(1);
    assertThat(take()).isEqualTo(FetchQueue.NONE);
    assertThat(queue.retryNow(nowNs)).isZero();
    queue.setAutofetch(true);
    assertThat(take()).isEqualTo(0);
  }

  @Test
  void what_is_handed_back_is_fetched_again_and_stays_demanded() {
    queue.demand(3, nowNs);
    assertThat(take()).isEqualTo(3);
    finish(3);
    assertThat(queue.waitingCount()).isZero();
    present.remove(3);
    queue.handedBack(set(3), nowNs);
    assertThat(queue.waitingCount()).isEqualTo(1);
    assertThat(take()).isEqualTo(FetchQueue.NONE);
    pass(100);
    assertThat(take()).isEqualTo(3);
  }

  @Test
  void a_demand_for_what_is_uncommitted_only_counts_if_it_is_handed_back() {
    queue.setAutofetch(true);
    assertThat(take()).isEqualTo(0);
    finish(0);
    queue.demand(0, nowNs);
    assertThat(queue.waitingCount()).isZero();
    present.remove(0);
    queue.handedBack(set(0), nowNs);
    queue.setAutofetch(false);
    pass(100);
    assertThat(take()).isEqualTo(0);
  }

  @Test
  void with_very_many_failures_others_are_tried_only_between_pauses() {
    for (int i = 0; i < FetchQueue.FAILED_MAX + 2; i++) {
      queue.demand(i, nowNs);
    }
    for (int i = 0; i < FetchQueue.FAILED_MAX; i++) {
      assertThat(take()).isEqualTo(i);
    }
    for (int i = 0; i < FetchQueue.FAILED_MAX; i++) {
      fail(i);
    }
    assertThat(take()).isEqualTo(FetchQueue.NONE);
    nowNs = queue.dueNs(nowNs);
    assertThat(take()).isIn(0, FetchQueue.FAILED_MAX);
    commit(0);
    assertThat(queue.next(nowNs)).isEqualTo(FetchQueue.FAILED_MAX);
  }
}
