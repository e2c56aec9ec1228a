// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.stripe;

import static org.assertj.core.api.Assertions.assertThat;

import io.ubiblk.metadata.StripeFlags;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.BitSet;
import java.util.List;
import java.util.stream.IntStream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** Everything that is added before {@link #run} becomes durable on the test's own thread. */
@Timeout(60)
class StripeCommitterTest {
  private final Faults faults = new Faults();
  private final MemoryDisk disk = new MemoryDisk(faults, stripes());
  private final CommitQueue queue = new CommitQueue(MemoryDisk.FORMAT);
  private final ManualTicker ticker = new ManualTicker();
  private final StripeCommitter committer = committer(false);
  private final List<String> told = new ArrayList<>();
  private final StripeCommitter.Listener listener =
      new StripeCommitter.Listener() {
        @Override
        public void committed(CommitGroup group) {
          told.add("committed " + group.fetched() + group.written());
        }

        @Override
        public void handedBack(BitSet stripes, Throwable cause) {
          told.add("back " + stripes + " " + cause.getMessage());
        }
      };

  /** 2,000 that have a source, and then one that has none. */
  private static int[] stripes() {
    int[] flags = new int[2001];
    java.util.Arrays.fill(flags, 0, 2000, StripeFlags.HAS_SOURCE);
    return flags;
  }

  private StripeCommitter committer(boolean trackWritten) {
    MetadataWriter writer =
        new MetadataWriter(disk, MemoryDisk.FORMAT, ByteBuffer.allocateDirect(2 * 512));
    return new StripeCommitter(
        disk, queue, writer, trackWritten, new Surroundings(ticker, () -> 0));
  }

  private void write(int... stripes) throws IOException {
    for (int stripe : stripes) {
      long failures = disk.baseSyncFailures();
      disk.writeStripe(
          stripe, ByteBuffer.allocateDirect(512).put(MemoryDisk.content(stripe)).flip());
      queue.addFetched(stripe, failures, false, false);
    }
    faults.forget();
  }

  private void run() {
    run(committer);
  }

  private void run(StripeCommitter runner) {
    queue.close();
    runner.run(listener);
  }

  private Thread runAside(StripeCommitter runner) {
    Thread thread = new Thread(() -> runner.run(listener));
    thread.start();
    return thread;
  }

  @AfterEach
  void nothingWasWrong() {
    assertThat(disk.complaints()).isEmpty();
  }

  @Test
  void a_group_is_synced_then_written_then_synced_then_published_then_woken_for()
      throws IOException {
    write(0, 1);
    run();
    assertThat(faults.events())
        .containsExactly(
            "syncBase",
            "metadata 1",
            "syncMetadata",
            "publish 0 +01 -38",
            "publish 1 +01 -38",
            "wake");
    assertThat(told).containsExactly("committed {0, 1}{}");
    assertThat(disk.durableFlags(1)).isEqualTo(5);
  }

  @Test
  void a_mark_alone_needs_no_sync_of_the_disk() {
    queue.addWritten(2000);
    run(committer(true));
    assertThat(faults.events())
        .containsExactly("metadata 4", "syncMetadata", "publish 2000 +02 -38", "wake");
  }

  @Test
  void fetched_and_written_of_a_stripe_share_one_commit() throws IOException {
    write(3);
    queue.addWritten(3);
    run(committer(true));
    assertThat(faults.events())
        .containsExactly("syncBase", "metadata 1", "syncMetadata", "publish 3 +03 -38", "wake");
  }

  @Test
  void sectors_side_by_side_are_one_write_as_far_as_the_buffer_goes() throws IOException {
    write(0, 600, 1100, 1999);
    run();
    assertThat(faults.events("syncBase", "metadata", "syncMetadata", "wake"))
        .containsExactly("syncBase", "metadata 1-2", "metadata 3-4", "syncMetadata", "wake");
  }

  @Test
  void a_write_goes_on_waiting_for_a_mark_that_is_not_durable() throws IOException {
    write(3);
    run(committer(true));
    assertThat(faults.events("publish")).containsExactly("publish 3 +01 -18");
  }

  @Test
  void a_mark_does_not_answer_a_write_whose_stripe_is_not_fetched() {
    queue.addWritten(3);
    run(committer(true));
    assertThat(faults.events("publish")).containsExactly("publish 3 +02 -00");
    assertThat(disk.durableFlags(3)).isEqualTo(6);
  }

  @Test
  void a_mark_does_not_carry_out_a_stripe_that_is_only_readable() throws Exception {
    write(0);
    disk.publish(0, StripeFlags.READABLE, 0);
    faults.forget();
    faults.hold("syncMetadata");
    queue.addWritten(1);
    Thread thread = runAside(committer(true));
    Eventually.until("a commit", () -> faults.isHolding("syncMetadata"));
    assertThat(faults.events()).containsExactly("metadata 1", "syncMetadata");
    faults.release("syncMetadata");
    queue.close();
    thread.join();
    // MemoryDisk complains about an image with FETCHED of a stripe that is not durable.
    assertThat(disk.durableFlags(0)).isEqualTo(5);
  }

  @Test
  void what_comes_while_a_group_is_made_durable_is_one_group_after_it() throws Exception {
    write(0);
    faults.hold("syncBase");
    Thread thread = runAside(committer);
    Eventually.until("a commit", () -> faults.isHolding("syncBase"));
    for (int stripe = 1; stripe < 100; stripe++) {
      disk.writeStripe(
          stripe, ByteBuffer.allocateDirect(512).put(MemoryDisk.content(stripe)).flip());
      queue.addFetched(stripe, 0, false, false);
    }
    faults.release("syncBase");
    queue.close();
    thread.join();
    assertThat(faults.events("syncBase", "syncMetadata", "wake"))
        .containsExactly("syncBase", "syncMetadata", "wake", "syncBase", "syncMetadata", "wake");
    assertThat(told).hasSize(2);
  }

  @Test
  void a_failed_sync_of_the_disk_gives_stripes_back_and_lets_marks_proceed() throws IOException {
    write(0, 1);
    queue.addWritten(1);
    queue.addWritten(2000);
    faults.fail("syncBase", 1);
    run(committer(true));
    assertThat(told).containsExactly("back {0, 1} syncBase fails", "committed {}{2000}");
    assertThat(faults.events())
        .containsExactly("syncBase", "metadata 4", "syncMetadata", "publish 2000 +02 -38", "wake");
    assertThat(disk.durableFlags(0)).isEqualTo(StripeFlags.HAS_SOURCE);
    assertThat(disk.durableFlags(1)).isEqualTo(StripeFlags.HAS_SOURCE);
  }

  @Test
  void a_sync_that_failed_elsewhere_gives_stripes_back_though_ours_succeeds() throws Exception {
    write(0);
    faults.hold("syncBase");
    Thread thread = runAside(committer);
    Eventually.until("a commit", () -> faults.isHolding("syncBase"));
    disk.failGuestSync();
    faults.release("syncBase");
    queue.close();
    thread.join();
    assertThat(told).containsExactly("back {0} another sync has failed");
    assertThat(faults.events()).containsExactly("syncBase");
  }

  @Test
  void what_is_known_to_be_lost_is_not_synced() throws IOException {
    write(0);
    disk.failGuestSync();
    write(1);
    disk.failGuestSync();
    run();
    assertThat(told)
        .containsExactly("back {0} a sync has failed since", "back {1} another sync has failed");
    assertThat(faults.events()).isEmpty();
  }

  @Test
  void sectors_that_failed_are_written_again_before_they_are_synced_again() throws Exception {
    write(0, 600);
    faults.fail("metadata", 1);
    Thread thread = runAside(committer);
    Eventually.until("a pause", () -> ticker.timedWaits() == 1);
    assertThat(faults.events()).containsExactly("syncBase", "metadata 1-2");
    assertThat(committer.error()).contains("metadata: metadata 1-2 fails");
    faults.fail("syncMetadata", 2);
    ticker.advanceMs(100);
    Eventually.until("a failed sync", () -> faults.events("syncMetadata").size() == 1);
    Eventually.until("a pause", () -> ticker.timedWaits() == 1);
    ticker.advanceMs(199);
    assertThat(faults.events("syncMetadata")).hasSize(1);
    ticker.advanceMs(1);
    Eventually.until("a failed sync", () -> faults.events("syncMetadata").size() == 2);
    Eventually.until("a pause", () -> ticker.timedWaits() == 1);
    assertThat(faults.events("publish", "wake")).isEmpty();
    assertThat(told).isEmpty();
    ticker.advanceMs(400);
    queue.close();
    thread.join();
    assertThat(faults.events())
        .containsExactly(
            "syncBase",
            "metadata 1-2",
            "metadata 1-2",
            "syncMetadata",
            "metadata 1-2",
            "syncMetadata",
            "metadata 1-2",
            "syncMetadata",
            "publish 0 +01 -38",
            "publish 600 +01 -38",
            "wake");
    assertThat(committer.error()).isEmpty();
  }

  @Test
  void closing_gives_up_what_keeps_failing() throws Exception {
    write(0);
    faults.failAlways("syncMetadata");
    Thread thread = runAside(committer);
    Eventually.until("a pause", () -> ticker.timedWaits() == 1);
    committer.close();
    thread.join();
    assertThat(faults.events("syncMetadata")).hasSize(1);
    assertThat(faults.events("publish")).isEmpty();
  }

  @Test
  void closing_makes_durable_what_was_added() throws Exception {
    write(0);
    queue.addWritten(2000);
    committer.close();
    committer.run(listener);
    assertThat(disk.durableFlags(0)).isEqualTo(5);
    assertThat(disk.durableFlags(2000)).isEqualTo(2);
  }

  @Test
  void an_interrupt_ends_the_waiting() throws Exception {
    Thread idle = runAside(committer);
    idle.interrupt();
    idle.join();
    write(0);
    faults.failAlways("metadata");
    Thread failing = runAside(committer);
    Eventually.until("a pause", () -> ticker.timedWaits() == 1);
    failing.interrupt();
    failing.join();
    assertThat(told).isEmpty();
  }

  @Test
  void a_mark_that_was_asked_for_twice_is_written_once() throws Exception {
    faults.hold("syncMetadata");
    queue.addWritten(2000);
    Thread thread = runAside(committer(true));
    Eventually.until("a commit", () -> faults.isHolding("syncMetadata"));
    queue.addWritten(2000);
    faults.release("syncMetadata");
    queue.close();
    thread.join();
    assertThat(told).containsExactly("committed {}{2000}");
    assertThat(faults.events("metadata")).hasSize(1);
  }

  @Test
  void many_stripes_are_few_writes() throws IOException {
    write(IntStream.range(0, 2000).toArray());
    run();
    assertThat(faults.events("syncBase", "metadata", "syncMetadata", "wake"))
        .containsExactly("syncBase", "metadata 1-2", "metadata 3-4", "syncMetadata", "wake");
  }
}
