// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.rpc;

import io.ubiblk.stripe.AutofetchState;
import java.util.Optional;
import java.util.OptionalInt;

/** What the RPC may change about the served disk. Called on the RPC thread; answers at once. */
public interface DiskControls {

  /**
   * Tries again now whatever could not be fetched and waits for its next attempt; while fetching in
   * the background is off or paused, only what guests wait for.
   *
   * @return how many stripes that are; empty for a disk without metadata
   */
  OptionalInt retry();

  /**
   * Pauses or resumes fetching in the background.
   *
   * @return what it does then; empty for a disk without metadata
   */
  Optional<AutofetchState> autofetch(boolean resume);
}
