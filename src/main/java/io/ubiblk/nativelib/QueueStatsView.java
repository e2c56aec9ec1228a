// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.nativelib;

import java.lang.invoke.MethodHandles;
import java.lang.invoke.VarHandle;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/**
 * One queue's statistics, read in place while the queue thread writes them.
 *
 * <p>Nothing is copied for readers and the queue thread never hears of them. Each number is whole;
 * numbers read one after another may be an instant apart.
 */
public final class QueueStatsView {
  private static final VarHandle LONG =
      MethodHandles.byteBufferViewVarHandle(long[].class, ByteOrder.nativeOrder());

  /** Attempts to see one slot unchanged, before it is left out. */
  private static final int ACTIVITY_ATTEMPTS = 4;

  private final NativeHandle owner;
  private final ByteBuffer stats;

  /** Views {@code stats}, which lives as long as {@code owner} is open. */
  QueueStatsView(NativeHandle owner, ByteBuffer stats) {
    this.owner = owner;
    this.stats = stats;
  }

  /** What was done of one kind. */
  public OperationStats operation(QueueOperation operation) {
    return owner.use(address -> readOperation(operation));
  }

  /** Up to {@code max} requests in progress, ordered by slot. */
  public List<RequestInProgress> inProgress(int max) {
    return owner.use(address -> readInProgress(max));
  }

  private OperationStats readOperation(QueueOperation operation) {
    int base = operation.code() * QueueStatsLayout.OPERATION_BYTES;
    long[] buckets = new long[QueueStatsLayout.LATENCY_BUCKET_COUNT];
    for (int bucket = 0; bucket < buckets.length; bucket++) {
      buckets[bucket] = read(base + QueueStatsLayout.LATENCY_BUCKETS + bucket * Long.BYTES);
    }
    return new OperationStats(
        read(base + QueueStatsLayout.OPS),
        read(base + QueueStatsLayout.BYTES),
        read(base + QueueStatsLayout.ERRORS),
        read(base + QueueStatsLayout.LATENCY_SUM_NS),
        new LatencyHistogram(buckets, read(base + QueueStatsLayout.LATENCY_MAX_NS)));
  }

  private List<RequestInProgress> readInProgress(int max) {
    List<RequestInProgress> requests = new ArrayList<>();
    for (int slot = QueueStatsLayout.ACTIVITY;
        slot < stats.capacity() && requests.size() < max;
        slot += QueueStatsLayout.ACTIVITY_BYTES) {
      readSlot(slot).ifPresent(requests::add);
    }
    return requests;
  }

  private Optional<RequestInProgress> readSlot(int slot) {
    for (int attempt = 0; attempt < ACTIVITY_ATTEMPTS; attempt++) {
      // Pairs with the writer's stores: it clears the kind first and sets it last, so the same
      // kind before and after means that the sector between them belongs to it.
      long kindSectors = (long) LONG.getAcquire(stats, slot + QueueStatsLayout.KIND_SECTORS);
      if (kindSectors == 0) {
        return Optional.empty();
      }
      long sector = (long) LONG.getAcquire(stats, slot + QueueStatsLayout.SECTOR);
      if ((long) LONG.getAcquire(stats, slot + QueueStatsLayout.KIND_SECTORS) == kindSectors) {
        return Optional.of(RequestInProgress.of(kindSectors, sector));
      }
    }
    return Optional.empty();
  }

  private long read(int offset) {
    return (long) LONG.getOpaque(stats, offset);
  }
}
