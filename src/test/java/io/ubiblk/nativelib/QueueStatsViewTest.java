// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.nativelib;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

class QueueStatsViewTest {
  private static final int SLOT_COUNT = 4;

  private final ByteBuffer memory =
      ByteBuffer.allocateDirect(
              QueueStatsLayout.ACTIVITY + SLOT_COUNT * QueueStatsLayout.ACTIVITY_BYTES)
          .order(ByteOrder.nativeOrder());

  private final NativeHandle owner =
      new NativeHandle("the disk", 4096) {
        @Override
        void destroy(long address) {}
      };

  private final QueueStatsView view = new QueueStatsView(owner, memory);

  @AfterEach
  void closeOwner() throws IOException {
    owner.close();
  }

  private void setSlot(int slot, int kind, long sectorCount, long sector) {
    int base = QueueStatsLayout.ACTIVITY + slot * QueueStatsLayout.ACTIVITY_BYTES;
    memory.putLong(base + QueueStatsLayout.SECTOR, sector);
    memory.putLong(base + QueueStatsLayout.KIND_SECTORS, (long) kind << 32 | sectorCount);
  }

  @Test
  void reads_each_operation_at_its_place() {
    for (QueueOperation operation : QueueOperation.values()) {
      int base = operation.code() * QueueStatsLayout.OPERATION_BYTES;
      memory.putLong(base + QueueStatsLayout.OPS, 10 + operation.code());
      memory.putLong(base + QueueStatsLayout.BYTES, 20 + operation.code());
      memory.putLong(base + QueueStatsLayout.ERRORS, 30 + operation.code());
      memory.putLong(base + QueueStatsLayout.LATENCY_SUM_NS, 40 + operation.code());
      memory.putLong(base + QueueStatsLayout.LATENCY_MAX_NS, 50 + operation.code());
      memory.putLong(base + QueueStatsLayout.LATENCY_BUCKETS + 8 * 7, 60 + operation.code());
    }
    for (QueueOperation operation : QueueOperation.values()) {
      OperationStats stats = view.operation(operation);
      assertThat(stats.ops()).isEqualTo(10 + operation.code());
      assertThat(stats.bytes()).isEqualTo(20 + operation.code());
      assertThat(stats.errors()).isEqualTo(30 + operation.code());
      assertThat(stats.latencySumNs()).isEqualTo(40 + operation.code());
      assertThat(stats.latency().maxNs()).isEqualTo(50 + operation.code());
      assertThat(stats.latency().total()).isEqualTo(60 + operation.code());
      assertThat(stats.latency().percentileNs(500)).isEqualTo(7);
    }
  }

  @Test
  void lists_requests_in_progress_by_slot_and_skips_free_slots() {
    setSlot(1, 1, 8, 2048);
    setSlot(3, 3, 0, 0);
    assertThat(view.inProgress(10))
        .containsExactly(
            new RequestInProgress(QueueOperation.READ, 2048, 8),
            new RequestInProgress(QueueOperation.FLUSH, 0, 0));
  }

  @Test
  void lists_no_more_requests_than_asked_for() {
    for (int slot = 0; slot < SLOT_COUNT; slot++) {
      setSlot(slot, 2, 0xffff_ffffL, slot);
    }
    assertThat(view.inProgress(2))
        .containsExactly(
            new RequestInProgress(QueueOperation.WRITE, 0, 0xffff_ffffL),
            new RequestInProgress(QueueOperation.WRITE, 1, 0xffff_ffffL));
  }

  @Test
  void is_not_read_once_its_owner_is_closed() throws IOException {
    owner.close();
    assertThatThrownBy(() -> view.operation(QueueOperation.READ))
        .isInstanceOf(IllegalStateException.class);
    assertThatThrownBy(() -> view.inProgress(1)).isInstanceOf(IllegalStateException.class);
  }
}
