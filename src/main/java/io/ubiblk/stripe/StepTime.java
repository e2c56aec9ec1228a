// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.stripe;

import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.LongAdder;

/** How often a step was completed, and how long that took in all. Any thread. */
final class StepTime {
  private final Ticker ticker;
  private final LongAdder count = new LongAdder();
  private final LongAdder totalNs = new LongAdder();

  StepTime(Ticker ticker) {
    this.ticker = ticker;
  }

  long nowNs() {
    return ticker.nowNs();
  }

  /** It has been completed; one that failed is not told of. */
  void completed(long startedNs) {
    totalNs.add(ticker.nowNs() - startedNs);
    count.increment();
  }

  StripeProgress.Step snapshot() {
    return new StripeProgress.Step(count.sum(), TimeUnit.NANOSECONDS.toMicros(totalNs.sum()));
  }
}
