// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.stripe;

import java.util.Optional;
import java.util.concurrent.TimeUnit;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * What went wrong last, for people: logged once until it is over, and kept for the RPC. Any thread.
 */
final class Failures {
  private static final Logger LOG = LoggerFactory.getLogger(Failures.class);

  private final Ticker ticker;
  private final String what;

  /** All guarded by this. */
  private boolean failing;

  private String text;
  private long atNs;

  /**
   * @param what fails, as the log says it: {@code fetching}
   */
  Failures(Ticker ticker, String what) {
    this.ticker = ticker;
    this.what = what;
  }

  /** Notes a failure; a part of what failed is in {@code where}. */
  synchronized void failed(String where, Throwable cause) {
    text = where + ": " + (cause.getMessage() != null ? cause.getMessage() : cause.toString());
    atNs = ticker.nowNs();
    if (!failing) {
      failing = true;
      LOG.warn("{} fails and is tried again until it works: {}", what, text);
    }
  }

  /** Notes that nothing is failing any more. */
  synchronized void healed() {
    if (failing) {
      failing = false;
      LOG.info("{} works again", what);
    }
  }

  /** The last failure, however long ago. */
  synchronized Optional<StripeProgress.Failure> last() {
    return Optional.ofNullable(text)
        .map(
            last ->
                new StripeProgress.Failure(
                    last, TimeUnit.NANOSECONDS.toMillis(ticker.nowNs() - atNs)));
  }

  /** The last failure, as long as it is not over. */
  synchronized Optional<String> current() {
    return failing ? Optional.of(text) : Optional.empty();
  }
}
