// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.rpc;

import io.ubiblk.stripe.AutofetchState;
import io.ubiblk.stripe.StripeProgress;
import java.util.List;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.OptionalLong;

/** A disk whose answers the test sets. */
final class FakeDisk implements DiskReports, DiskControls {
  volatile Optional<StripeProgress> status = Optional.empty();
  volatile List<List<ActiveRequest>> queues = List.of(List.of());
  volatile StatsReport stats = plain();
  volatile OptionalInt retry = OptionalInt.empty();
  volatile Optional<AutofetchState> autofetch = Optional.empty();

  @Override
  public Optional<StripeProgress> status() {
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

  @Override
  public OptionalInt retry() {
    return retry;
  }

  @Override
  public Optional<AutofetchState> autofetch(boolean resume) {
    return autofetch.map(state -> resume ? AutofetchState.RUNNING : AutofetchState.PAUSED);
  }

  /** A disk on which nothing has gone wrong. */
  static StripeProgress progress(int fetched, int source, int total) {
    return new StripeProgress(
        new StripeProgress.Counts(total, source, fetched, 0, 0, 0, 0, OptionalLong.empty()),
        0,
        0,
        Optional.empty(),
        Optional.empty(),
        AutofetchState.OFF,
        Optional.empty(),
        timing());
  }

  /** A disk on which everything goes wrong. */
  static StripeProgress failing() {
    return new StripeProgress(
        new StripeProgress.Counts(8, 5, 3, 2, 4096, 8192, 100, OptionalLong.of(41)),
        6,
        7,
        Optional.of(new StripeProgress.Failure("stripe 4: Input/output error", 1500)),
        Optional.of("metadata: No space left on device"),
        AutofetchState.RUNNING,
        Optional.of("raw image /i"),
        timing());
  }

  private static StripeProgress.Timing timing() {
    return new StripeProgress.Timing(
        new StripeProgress.Step(11, 110),
        new StripeProgress.Step(12, 120),
        new StripeProgress.Step(13, 130),
        new StripeProgress.Step(14, 140),
        new StripeProgress.Step(15, 150));
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
