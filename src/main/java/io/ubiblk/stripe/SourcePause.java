// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.stripe;

/**
 * Whether fetching as a whole fails, and for how long not to add to that. Failures of attempts that
 * began before the last pause belong to what caused that pause. Not thread-safe.
 */
final class SourcePause {
  /** So many pauses without a success between them are an outage, not a few bad stripes. */
  private static final int OUTAGE_PAUSES = 3;

  private final BackOff backOff;
  private int pauses;
  private long sinceNs;
  private long untilNs;

  SourcePause(BackOff backOff) {
    this.backOff = backOff;
  }

  /** An attempt that began at {@code startedNs} has failed. */
  void failed(long startedNs, long nowNs) {
    if (pauses == 0 || startedNs >= sinceNs) {
      pauses++;
      sinceNs = nowNs;
      untilNs = nowNs + backOff.delayNs(pauses);
    }
  }

  /** Ends the pause; returns whether an outage has ended. */
  boolean succeeded() {
    boolean outage = pauses >= OUTAGE_PAUSES;
    pauses = 0;
    untilNs = 0;
    return outage;
  }

  /** Lets one more attempt be made now. */
  void interrupt() {
    untilNs = 0;
  }

  /** Whether nothing has succeeded since the last failure. */
  boolean failing() {
    return pauses != 0;
  }

  /** When the pause ends; in the past if there is none. */
  long untilNs() {
    return untilNs;
  }
}
