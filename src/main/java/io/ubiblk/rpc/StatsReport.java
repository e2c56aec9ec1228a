// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.rpc;

import java.util.List;
import java.util.Optional;

/**
 * What a process did and how it works.
 *
 * @param uptimeMs milliseconds since the disk was opened
 * @param frontEndConnected whether a front end is connected at this moment
 * @param diskError why flushes fail for good, if an fsync has failed
 * @param ioEngine name of the I/O engine in use
 * @param directIo whether the disk is open with O_DIRECT
 * @param xtsEngine the cipher's engine; absent for a plain disk
 * @param xtsEngineReason why that engine was chosen; absent for a plain disk
 * @param queues one entry per configured queue
 */
public record StatsReport(
    long uptimeMs,
    boolean frontEndConnected,
    Optional<String> diskError,
    String ioEngine,
    boolean directIo,
    Optional<String> xtsEngine,
    Optional<String> xtsEngineReason,
    List<QueueReport> queues) {

  /** Keeps a copy of the list. */
  public StatsReport {
    queues = List.copyOf(queues);
  }
}
