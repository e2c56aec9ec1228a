// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.backend;

import io.ubiblk.config.IoEngine;
import io.ubiblk.nativelib.LatencyHistogram;
import io.ubiblk.nativelib.NativeDevice;
import io.ubiblk.nativelib.OperationStats;
import io.ubiblk.nativelib.QueueOperation;
import io.ubiblk.nativelib.QueueStatsView;
import io.ubiblk.nativelib.RequestInProgress;
import io.ubiblk.rpc.ActiveRequest;
import io.ubiblk.rpc.DiskControls;
import io.ubiblk.rpc.DiskReports;
import io.ubiblk.rpc.LatencyReport;
import io.ubiblk.rpc.OperationReport;
import io.ubiblk.rpc.QueueReport;
import io.ubiblk.rpc.StatsReport;
import io.ubiblk.stripe.AutofetchState;
import io.ubiblk.stripe.LazyDisk;
import io.ubiblk.stripe.StripeProgress;
import java.util.List;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.concurrent.TimeUnit;

/** What the RPC reports, read from the native objects. Runs on the RPC thread. */
final class ServedDisk implements DiskReports, DiskControls {
  private final NativeDevice device;
  private final IoEngine ioEngine;
  private final Optional<LazyDisk> filling;
  private final long openedNs = System.nanoTime();

  /** Guarded by this. */
  private Optional<FrontEnd> frontEnd = Optional.empty();

  /**
   * A disk that is about to be served.
   *
   * @param filling what fills it; empty for a disk without metadata
   */
  ServedDisk(NativeDevice device, IoEngine ioEngine, Optional<LazyDisk> filling) {
    this.device = device;
    this.ioEngine = ioEngine;
    this.filling = filling;
  }

  /** From here on the front end's connection is reported. */
  synchronized void attach(FrontEnd attached) {
    frontEnd = Optional.of(attached);
  }

  /** On return nothing asks the back end any more, so that it can be closed. */
  synchronized void detach() {
    frontEnd = Optional.empty();
  }

  private synchronized boolean connected() {
    return frontEnd.isPresent() && frontEnd.get().connected();
  }

  @Override
  public Optional<StripeProgress> status() {
    return filling.map(LazyDisk::progress);
  }

  @Override
  public OptionalInt retry() {
    return filling.isPresent() ? OptionalInt.of(filling.get().retryNow()) : OptionalInt.empty();
  }

  @Override
  public Optional<AutofetchState> autofetch(boolean resume) {
    return filling.map(disk -> resume ? disk.resumeAutofetch() : disk.pauseAutofetch());
  }

  @Override
  public List<List<ActiveRequest>> queues() {
    return device.queues().stream()
        .map(queue -> activeRequests(queue.inProgress(ACTIVE_REQUESTS_MAX)))
        .toList();
  }

  @Override
  public StatsReport stats() {
    return new StatsReport(
        TimeUnit.NANOSECONDS.toMillis(System.nanoTime() - openedNs),
        connected(),
        device.stickyError(),
        ioEngine.text(),
        device.directIo(),
        device.xtsEngineName(),
        device.xtsEngineReason(),
        device.queues().stream().map(ServedDisk::queueReport).toList());
  }

  private static List<ActiveRequest> activeRequests(List<RequestInProgress> requests) {
    return requests.stream()
        .filter(request -> request.operation() != QueueOperation.OTHER)
        .map(
            request ->
                new ActiveRequest(
                    ActiveRequest.Kind.valueOf(request.operation().name()),
                    request.sector(),
                    request.sectorCount()))
        .toList();
  }

  private static QueueReport queueReport(QueueStatsView queue) {
    return new QueueReport(
        operationReport(queue.operation(QueueOperation.READ)),
        operationReport(queue.operation(QueueOperation.WRITE)),
        operationReport(queue.operation(QueueOperation.FLUSH)),
        operationReport(queue.operation(QueueOperation.OTHER)));
  }

  private static OperationReport operationReport(OperationStats stats) {
    return new OperationReport(
        stats.ops(),
        stats.bytes(),
        stats.errors(),
        Optional.of(stats.latency())
            .filter(latency -> latency.total() > 0)
            .map(ServedDisk::latencyReport));
  }

  private static LatencyReport latencyReport(LatencyHistogram latency) {
    return new LatencyReport(
        latency.percentileNs(500),
        latency.percentileNs(990),
        latency.percentileNs(999),
        latency.maxNs());
  }
}
