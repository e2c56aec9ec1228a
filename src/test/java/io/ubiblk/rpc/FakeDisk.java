// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.rpc;

import java.util.List;
import java.util.Optional;

/** A disk whose answers the test sets. */
final class FakeDisk implements DiskReports {
  volatile Optional<StatusReport> status = Optional.empty();
  volatile List<List<ActiveRequest>> queues = List.of(List.of());
  volatile StatsReport stats = plain();

  @Override
  public Optional<StatusReport> status() {
    return status;
  }

  @Override
  public List<List<ActiveRequest>> queues() {
    return queues;
  }

  @Override
  public StatsReport stats() {
    return stats;
  }

  /** A plain disk that nobody has used. */
  static StatsReport plain() {
    OperationReport none = new OperationReport(0, 0, 0, Optional.empty());
    return new StatsReport(
        1,
        false,
        Optional.empty(),
        "sync",
        false,
        Optional.empty(),
        Optional.empty(),
        List.of(new QueueReport(none, none, none, none)));
  }

  /** An encrypted disk that has seen everything. */
  static StatsReport busy() {
    return new StatsReport(
        86_400_000,
        true,
        Optional.of("Input/output error"),
        "io_uring",
        true,
        Optional.of("aesni"),
        Optional.of("the CPU has no VAES"),
        List.of(
            new QueueReport(
                operation(1000, 4_096_000, 1),
                operation(500, 2_048_000, 2),
                operation(7, 0, 3),
                operation(5, 20, 4))));
  }

  private static OperationReport operation(long ops, long bytes, long errors) {
    return new OperationReport(
        ops, bytes, errors, Optional.of(new LatencyReport(4_608, 9_000, 1_000_000, 1_234_567)));
  }
}
