// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.stripe;

import static org.assertj.core.api.Assertions.assertThat;

import io.ubiblk.metadata.MetadataFormat;
import java.util.Optional;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

@Timeout(60)
class CommitQueueTest {
  private static final int PER_SECTOR = 512;
  private final CommitQueue queue = new CommitQueue(MetadataFormat.V1_0);

  private CommitGroup take() throws InterruptedException {
    return queue.take().orElseThrow();
  }

  @Test
  void a_group_is_everything_that_has_gathered() throws InterruptedException {
    IntStream.of(9, 3, 5000).forEach(stripe -> queue.addFetched(stripe, 0, false, false));
    CommitGroup group = take();
    assertThat(group.fetched().stream()).containsExactly(3, 9, 5000);
    assertThat(group.written().isEmpty()).isTrue();
    assertThat(group.stale().isEmpty()).isTrue();
  }

  @Test
  void both_flags_of_a_stripe_share_a_group() throws InterruptedException {
    queue.addFetched(4, 0, true, true);
    CommitGroup group = take();
    assertThat(group.fetched().get(4)).isTrue();
    assertThat(group.written().get(4)).isTrue();
    assertThat(group.bits(4)).isEqualTo(3);
    assertThat(group.bits(5)).isZero();
  }

  @Test
  void stripes_that_writes_wait_for_take_only_those_along_that_cost_nothing()
      throws InterruptedException {
    queue.addFetched(1, 0, false, false);
    queue.addFetched(PER_SECTOR, 0, false, false);
    queue.addFetched(PER_SECTOR - 1, 0, false, false);
    queue.addFetched(2, 0, true, false);
    assertThat(take().fetched().stream()).containsExactly(1, 2, PER_SECTOR - 1);
    assertThat(take().fetched().stream()).containsExactly(PER_SECTOR);
  }

  @Test
  void a_mark_alone_takes_nothing_along_that_needs_a_sync_of_the_disk()
      throws InterruptedException {
    queue.addFetched(1, 0, false, false);
    queue.addWritten(2);
    CommitGroup group = take();
    assertThat(group.fetched().isEmpty()).isTrue();
    assertThat(group.written().stream()).containsExactly(2);
    assertThat(take().fetched().stream()).containsExactly(1);
  }

  @Test
  void what_was_left_behind_once_is_in_the_next_group() throws InterruptedException {
    queue.addFetched(PER_SECTOR, 0, false, false);
    queue.addWritten(2);
    assertThat(take().fetched().isEmpty()).isTrue();
    queue.addWritten(3);
    CommitGroup group = take();
    assertThat(group.written().stream()).containsExactly(3);
    assertThat(group.fetched().stream()).containsExactly(PER_SECTOR);
  }

  @Test
  void a_mark_hurries_its_stripe() throws InterruptedException {
    queue.addFetched(1, 0, false, false);
    queue.addFetched(PER_SECTOR, 0, false, false);
    queue.addWritten(1);
    CommitGroup group = take();
    assertThat(group.fetched().stream()).containsExactly(1);
    assertThat(group.written().stream()).containsExactly(1);
  }

  @Test
  void a_stripe_is_hurried_when_a_write_comes_to_wait_for_it() throws InterruptedException {
    queue.addFetched(1, 0, false, false);
    queue.addFetched(PER_SECTOR, 0, false, false);
    queue.hurry(PER_SECTOR);
    queue.hurry(7);
    assertThat(take().fetched().stream()).containsExactly(PER_SECTOR);
    assertThat(take().fetched().stream()).containsExactly(1);
  }

  @Test
  void what_was_written_before_a_failed_sync_is_stale() throws InterruptedException {
    queue.addFetched(1, 0, true, false);
    queue.addFetched(2, 3, false, false);
    queue.addFetched(3, 2, false, false);
    CommitGroup group = take();
    assertThat(group.stale().stream()).containsExactly(1, 3);
    assertThat(group.fetched().stream()).containsExactly(2);
    assertThat(group.baseSyncFailures()).isEqualTo(3);
  }

  @Test
  void sectors_are_each_named_once() {
    queue.addFetched(0, 0, false, false);
    assertThat(
            CommitGroup.sectors(
                IntStream.of(0, 1, 507, 508, 5000)
                    .collect(java.util.BitSet::new, java.util.BitSet::set, java.util.BitSet::or),
                MetadataFormat.V2_0)
                .stream())
        .containsExactly(1, 2, 10);
  }

  @Test
  void a_closed_queue_gives_out_the_rest_and_ends() throws InterruptedException {
    queue.addWritten(1);
    queue.close();
    assertThat(take().written().stream()).containsExactly(1);
    assertThat(queue.take()).isEqualTo(Optional.empty());
  }
}
