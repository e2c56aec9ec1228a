// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.stripe;

/** What fetching in the background does. */
public enum AutofetchState {
  /** Not configured, and nobody resumed it. */
  OFF,
  /** Fetches. */
  RUNNING,
  /** Paused by an operator. */
  PAUSED,
  /** Nothing is left to fetch. */
  DONE
}
