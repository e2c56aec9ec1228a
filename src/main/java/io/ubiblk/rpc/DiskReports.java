// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.rpc;

import io.ubiblk.stripe.StripeProgress;
import java.util.List;
import java.util.Optional;

/** What the RPC asks the served disk. Called on the RPC thread; answers at once. */
public interface DiskReports {

  /**
   * Requests listed per queue at most: the answers that all clients together may have outstanding
   * fit into a small heap at any number and size of queues.
   */
  int ACTIVE_REQUESTS_MAX = 1024;

  /** Progress of copying; empty for a disk without metadata. */
  Optional<StripeProgress> status();

  /**
   * Requests in progress, one list per configured queue, ordered by slot, at most {@link
   * #ACTIVE_REQUESTS_MAX} each.
   */
  List<List<ActiveRequest>> queues();

  /** Counters, latencies and engines. */
  StatsReport stats();
}
