// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.stripe;

import static io.ubiblk.stripe.LazyFixture.FETCHED;
import static io.ubiblk.stripe.LazyFixture.SOURCE;
import static io.ubiblk.stripe.LazyFixture.WRITTEN;
import static io.ubiblk.stripe.LazyFixture.settings;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.ubiblk.metadata.StripeFlags;
import java.io.IOException;
import java.util.List;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.stream.IntStream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

@Timeout(120)
class LazyDiskTest {
  private static final LazyDiskSettings ON_DEMAND = settings(false, false, 4);
  private static final LazyDiskSettings IN_BACKGROUND = settings(false, true, 4);
  private static final LazyDiskSettings TRACKED = settings(true, false, 4);
  private static final int READABLE = SOURCE | StripeFlags.READABLE;

  private LazyFixture lazy = LazyFixture.unfetched(8);

  @AfterEach
  void endAndLookForComplaints() {
    lazy.close();
    assertThat(lazy.disk.complaints()).isEmpty();
    assertThat(lazy.faults.events("close")).hasSizeLessThanOrEqualTo(1);
    Eventually.until("every buffer given back", () -> lazy.buffers.get() == 0);
  }

  private void begin(LazyFixture fixture, LazyDiskSettings settings) throws IOException {
    lazy = fixture;
    lazy.start(settings);
  }

  private StripeProgress progress() {
    return lazy.lazy().progress();
  }

  private void untilDone() {
    Eventually.until("everything fetched", () -> lazy.completed.get() == 1);
  }

  // --- order -------------------------------------------------------------------------------------

  @Test
  void a_read_miss_is_read_written_made_readable_and_then_committed() throws IOException {
    begin(lazy, ON_DEMAND);
    lazy.read(3);
    lazy.untilFlags(3, FETCHED);
    Eventually.until("the last wake", () -> lazy.faults.events("wake").size() == 2);
    List<String> events = lazy.faults.events();
    List<String> inOrder =
        List.of(
            "read 3",
            "write 3",
            "publish 3 +08 -10",
            "syncBase",
            "metadata 1",
            "syncMetadata",
            "publish 3 +01 -38");
    assertThat(events).containsSubsequence(inOrder);
    // The wake of READABLE may come at any time after it, the other one only at the end.
    assertThat(events.indexOf("wake")).isGreaterThan(events.indexOf("publish 3 +08 -10"));
    assertThat(events.get(events.size() - 1)).isIn("wake");
    assertThat(lazy.faults.events("read")).containsExactly("read 3");
  }

  @Test
  void a_write_waits_until_its_stripe_is_durable() throws IOException {
    begin(lazy, ON_DEMAND);
    lazy.faults.hold("syncMetadata");
    lazy.write(3);
    lazy.untilHeld("syncMetadata");
    assertThat(lazy.disk.flags(3)).isEqualTo(READABLE | StripeFlags.WRITE_ASKED);
    lazy.faults.release("syncMetadata");
    lazy.untilFlags(3, FETCHED);
  }

  @Test
  void written_tracking_marks_a_stripe_in_the_commit_that_fetches_it() throws IOException {
    begin(lazy, TRACKED);
    lazy.write(3);
    lazy.untilFlags(3, WRITTEN);
    assertThat(lazy.faults.events("syncMetadata")).hasSize(1);
    assertThat(lazy.faults.events("publish"))
        .containsExactly("publish 3 +08 -10", "publish 3 +03 -38");
  }

  @Test
  void written_tracking_marks_what_is_fetched_or_has_no_source_without_touching_the_disk()
      throws IOException {
    begin(new LazyFixture(FETCHED, 0, SOURCE, 0), TRACKED);
    lazy.write(0);
    lazy.untilFlags(0, WRITTEN);
    lazy.write(1);
    lazy.untilFlags(1, StripeFlags.WRITTEN);
    assertThat(lazy.faults.events("read", "write", "syncBase")).isEmpty();
    Eventually.until("both counted", () -> progress().counts().written() == 2);
  }

  @Test
  void a_stripe_that_was_marked_but_not_fetched_is_fetched_and_keeps_its_mark() throws IOException {
    begin(new LazyFixture(SOURCE | StripeFlags.WRITTEN, 0), TRACKED);
    lazy.write(0);
    lazy.untilFlags(0, WRITTEN);
    assertThat(lazy.faults.events("publish"))
        .containsExactly("publish 0 +08 -10", "publish 0 +01 -38");
    assertThat(lazy.disk.durableFlags(0)).isEqualTo(WRITTEN);
  }

  @Test
  void a_write_that_comes_while_its_stripe_is_committed_gets_its_mark_in_the_next_commit()
      throws IOException {
    begin(lazy, TRACKED);
    lazy.faults.hold("syncBase");
    lazy.read(3);
    lazy.untilHeld("syncBase");
    lazy.write(3);
    lazy.write(8);
    lazy.faults.release("syncBase");
    lazy.untilFlags(3, WRITTEN);
    lazy.untilFlags(8, StripeFlags.WRITTEN);
    assertThat(lazy.faults.events("read")).containsExactly("read 3");
  }

  @Test
  void a_last_stripe_that_is_shorter_is_copied_as_far_as_it_goes() throws IOException {
    begin(new LazyFixture(SOURCE, SOURCE), IN_BACKGROUND);
    untilDone();
    assertThat(lazy.disk.isDurable(1)).isTrue();
    assertThat(progress().counts().bytesTotal()).isEqualTo(712);
  }

  // --- misses that are answered already ----------------------------------------------------------

  @Test
  void a_miss_that_was_answered_before_it_arrived_can_be_asked_again() throws IOException {
    begin(new LazyFixture(FETCHED, WRITTEN, SOURCE, 0), TRACKED);
    lazy.read(0);
    lazy.untilFlags(0, FETCHED);
    lazy.write(1);
    lazy.untilFlags(1, WRITTEN);
    lazy.faults.hold("syncBase");
    lazy.read(2);
    lazy.untilHeld("syncBase");
    lazy.untilFlags(2, READABLE);
    lazy.read(2);
    lazy.untilFlags(2, READABLE);
    lazy.faults.release("syncBase");
    lazy.untilFlags(2, FETCHED);
    assertThat(lazy.faults.events("read")).containsExactly("read 2");
  }

  @Test
  void without_written_tracking_a_write_to_what_is_fetched_waits_for_nothing() throws IOException {
    begin(new LazyFixture(FETCHED, SOURCE, 0), ON_DEMAND);
    lazy.write(0);
    lazy.untilFlags(0, FETCHED);
    assertThat(lazy.faults.events("metadata")).isEmpty();
  }

  // --- failures ----------------------------------------------------------------------------------

  @Test
  void a_failed_read_is_repeated_after_a_pause() throws IOException {
    begin(lazy, ON_DEMAND);
    lazy.faults.fail("read", 2);
    lazy.read(3);
    lazy.untilFailed(1);
    lazy.ticker.advanceMs(99);
    assertThat(lazy.faults.events("read")).hasSize(1);
    lazy.ticker.advanceMs(1);
    Eventually.until("a second attempt", () -> lazy.faults.events("read").size() == 2);
    assertThat(progress().waiting()).isEqualTo(1);
    lazy.passTimeUntil("fetched", () -> lazy.disk.flags(3) == FETCHED);
    assertThat(lazy.faults.events("read")).hasSize(3);
    assertThat(progress().lastFailure().orElseThrow().text()).isEqualTo("stripe 3: read 3 fails");
    assertThat(progress().lastFailure().orElseThrow().ageMs()).isPositive();
  }

  @Test
  void a_failed_write_to_the_base_disk_reads_the_stripe_again() throws IOException {
    begin(lazy, ON_DEMAND);
    lazy.faults.fail("write", 1);
    lazy.read(3);
    lazy.untilFailed(1);
    assertThat(lazy.disk.flags(3) & StripeFlags.READABLE).isZero();
    lazy.passTimeUntil("fetched", () -> lazy.disk.flags(3) == FETCHED);
    assertThat(lazy.faults.events("read", "write"))
        .containsExactly("read 3", "write 3", "read 3", "write 3");
  }

  @Test
  void no_stripe_is_dead_after_an_outage_however_long() throws IOException {
    begin(lazy, ON_DEMAND);
    lazy.faults.failAlways("read");
    IntStream.range(0, 8).forEach(lazy::read);
    lazy.passTimeUntil("many attempts", () -> lazy.faults.events("read").size() > 100);
    assertThat(progress().retrying()).isEqualTo(8);
    lazy.faults.heal("read");
    lazy.passTimeUntil("everything fetched", () -> lazy.completed.get() == 1);
    assertThat(progress().retrying()).isZero();
  }

  @Test
  void a_failed_sync_of_the_disk_takes_back_what_was_readable_and_writes_it_again()
      throws IOException {
    begin(lazy, TRACKED);
    lazy.faults.fail("syncBase", 1);
    lazy.write(3);
    lazy.untilFailed(1);
    Eventually.until("one wake each", () -> lazy.faults.events("wake").size() == 2);
    assertThat(lazy.disk.flags(3)).isEqualTo(SOURCE | StripeFlags.WRITE_ASKED);
    assertThat(progress().waiting()).isEqualTo(1);
    assertThat(lazy.faults.events("publish"))
        .containsExactly("publish 3 +08 -10", "publish 3 +00 -08");
    lazy.passTimeUntil("fetched", () -> lazy.disk.flags(3) == WRITTEN);
    assertThat(lazy.faults.events("read", "write", "syncBase", "metadata"))
        .containsExactly(
            "read 3", "write 3", "syncBase", "read 3", "write 3", "syncBase", "metadata 1");
  }

  @Test
  void a_sync_of_a_guest_that_fails_during_the_write_sends_the_stripe_back() throws IOException {
    begin(lazy, ON_DEMAND);
    lazy.faults.hold("write 3");
    lazy.read(3);
    lazy.untilHeld("write 3");
    lazy.disk.failGuestSync();
    lazy.faults.release("write 3");
    lazy.untilFailed(1);
    assertThat(lazy.faults.events("metadata")).isEmpty();
    lazy.passTimeUntil("fetched", () -> lazy.disk.flags(3) == FETCHED);
    assertThat(lazy.disk.isDurable(3)).isTrue();
  }

  @Test
  void reads_go_on_while_the_metadata_file_cannot_be_written() throws IOException {
    begin(lazy, ON_DEMAND);
    lazy.faults.failAlways("metadata");
    lazy.write(0);
    Eventually.until("an error", () -> progress().metadataError().isPresent());
    lazy.read(1);
    lazy.untilFlags(1, READABLE);
    assertThat(lazy.disk.flags(0)).isEqualTo(READABLE | StripeFlags.WRITE_ASKED);
    lazy.faults.heal("metadata");
    lazy.passTimeUntil("both durable", () -> lazy.disk.flags(1) == FETCHED);
    assertThat(lazy.disk.flags(0)).isEqualTo(FETCHED);
    assertThat(progress().metadataError()).isEmpty();
  }

  @Test
  void a_lack_of_memory_is_a_failure_like_others() throws IOException {
    begin(lazy, ON_DEMAND);
    lazy.outOfMemory(true);
    lazy.read(3);
    lazy.untilFailed(1);
    assertThat(progress().lastFailure().orElseThrow().text())
        .isEqualTo("stripe 3: no memory for a buffer of 512 bytes");
    lazy.outOfMemory(false);
    lazy.passTimeUntil("fetched", () -> lazy.disk.flags(3) == FETCHED);
  }

  @Test
  void a_source_that_throws_what_it_should_not_is_tried_again() throws IOException {
    begin(lazy, ON_DEMAND);
    lazy.source.breakNext(new IllegalStateException("bug"));
    lazy.read(3);
    lazy.untilFailed(1);
    assertThat(progress().lastFailure().orElseThrow().text()).contains("bug");
    lazy.source.breakNext(new InterruptedException("bug"));
    lazy.passTimeUntil("fetched", () -> lazy.disk.flags(3) == FETCHED);
    assertThat(lazy.faults.events("read")).hasSize(3);
  }

  @Test
  void a_source_that_stalls_for_one_stripe_holds_up_no_other() throws IOException {
    begin(lazy, IN_BACKGROUND);
    lazy.faults.hold("read 3");
    for (int stripe : new int[] {0, 1, 2, 4, 5, 6, 7}) {
      lazy.untilFlags(stripe, FETCHED);
    }
    assertThat(lazy.completed.get()).isZero();
    lazy.faults.release("read 3");
    untilDone();
  }

  @Test
  void an_operator_does_not_have_to_wait_for_the_pause() throws IOException {
    begin(lazy, ON_DEMAND);
    lazy.faults.failAlways("read");
    lazy.read(3);
    lazy.untilFailed(1);
    lazy.faults.heal("read");
    assertThat(lazy.lazy().retryNow()).isEqualTo(1);
    lazy.untilFlags(3, FETCHED);
    assertThat(lazy.lazy().retryNow()).isZero();
  }

  @Test
  void an_operator_does_not_have_to_wait_for_the_metadata_file_either() throws IOException {
    begin(lazy, ON_DEMAND);
    lazy.faults.failAlways("syncMetadata");
    lazy.read(3);
    Eventually.until("a pause", () -> lazy.ticker.timedWaits() == 2);
    lazy.faults.heal("syncMetadata");
    lazy.lazy().retryNow();
    lazy.untilFlags(3, FETCHED);
  }

  // --- who comes first, and how much at once -----------------------------------------------------

  @Test
  void a_demand_overtakes_the_background_when_all_its_reads_stall() throws IOException {
    begin(LazyFixture.unfetched(100), IN_BACKGROUND);
    lazy.faults.hold("read 0");
    lazy.faults.hold("read 1");
    lazy.faults.hold("read 2");
    lazy.untilHeld("read 0");
    lazy.untilHeld("read 1");
    lazy.untilHeld("read 2");
    lazy.read(90);
    lazy.untilFlags(90, FETCHED);
    assertThat(lazy.faults.events("read")).hasSize(4);
    lazy.faults.release("read 0");
    lazy.faults.release("read 1");
    lazy.faults.release("read 2");
    untilDone();
  }

  @Test
  void no_more_stripes_are_read_at_once_than_there_may_be() throws IOException {
    begin(LazyFixture.unfetched(64), settings(false, false, 6));
    lazy.faults.hold("read");
    IntStream.range(0, 64).forEach(lazy::read);
    Eventually.until("six readers", () -> lazy.source.readers() == 6);
    Eventually.until("all asked", () -> progress().waiting() == 64);
    assertThat(lazy.buffers.get()).isEqualTo(7);
    lazy.faults.release("read");
    untilDone();
    assertThat(lazy.source.readersMax()).isEqualTo(6);
    assertThat(lazy.buffersMax.get()).as("one is the committer's").isEqualTo(7);
  }

  @Test
  void memory_bounds_what_is_read_at_once() throws IOException {
    begin(LazyFixture.unfetched(64), new LazyDiskSettings(false, false, 32, 4 * 512 - 1, 10_000));
    lazy.faults.hold("read");
    IntStream.range(0, 64).forEach(lazy::read);
    Eventually.until("three readers", () -> lazy.source.readers() == 3);
    Eventually.until("all asked", () -> progress().waiting() == 64);
    assertThat(lazy.buffers.get()).isEqualTo(4);
    lazy.faults.release("read");
    untilDone();
    assertThat(lazy.source.readersMax()).isEqualTo(3);
  }

  @Test
  void a_stripe_is_fetched_once_however_often_it_is_asked_for() throws IOException {
    begin(lazy, IN_BACKGROUND);
    for (int i = 0; i < 50; i++) {
      lazy.read(5);
      lazy.write(5);
    }
    untilDone();
    assertThat(lazy.faults.events("read")).hasSize(8).doesNotHaveDuplicates();
  }

  @Test
  void the_background_goes_through_the_disk_in_order() throws IOException {
    begin(LazyFixture.unfetched(50), settings(false, true, 1));
    untilDone();
    assertThat(lazy.faults.events("read"))
        .containsExactlyElementsOf(
            IntStream.range(0, 50).mapToObj(stripe -> "read " + stripe).toList());
  }

  @Test
  void the_background_waits_until_commits_keep_up() throws IOException {
    begin(LazyFixture.unfetched(100), new LazyDiskSettings(false, true, 2, 1024, 10_000));
    lazy.faults.hold("syncBase");
    lazy.untilHeld("syncBase");
    Eventually.until("four written", () -> lazy.faults.events("write").size() == 4);
    Eventually.until("nobody reads", () -> lazy.source.readers() == 0);
    assertThat(lazy.faults.events("read")).hasSize(4);
    lazy.faults.release("syncBase");
    untilDone();
  }

  @Test
  void the_background_can_be_paused_and_resumed() throws IOException {
    begin(LazyFixture.unfetched(100), IN_BACKGROUND);
    lazy.faults.hold("read 10");
    lazy.untilHeld("read 10");
    assertThat(progress().autofetch()).isEqualTo(AutofetchState.RUNNING);
    assertThat(lazy.lazy().pauseAutofetch()).isEqualTo(AutofetchState.PAUSED);
    lazy.faults.release("read 10");
    lazy.read(99);
    lazy.untilFlags(99, FETCHED);
    Eventually.until("nobody reads", () -> lazy.source.readers() == 0);
    assertThat(lazy.completed.get()).isZero();
    assertThat(lazy.lazy().resumeAutofetch()).isEqualTo(AutofetchState.RUNNING);
    untilDone();
    assertThat(progress().autofetch()).isEqualTo(AutofetchState.DONE);
    assertThat(lazy.lazy().pauseAutofetch()).isEqualTo(AutofetchState.DONE);
  }

  @Test
  void a_background_that_is_not_configured_can_be_started() throws IOException {
    begin(lazy, ON_DEMAND);
    assertThat(progress().autofetch()).isEqualTo(AutofetchState.OFF);
    assertThat(lazy.lazy().pauseAutofetch()).isEqualTo(AutofetchState.OFF);
    assertThat(lazy.faults.events("read")).isEmpty();
    lazy.lazy().resumeAutofetch();
    untilDone();
  }

  @Test
  void nobody_waits_for_a_time_while_there_is_nothing_to_do() throws IOException {
    begin(lazy, ON_DEMAND);
    lazy.read(3);
    lazy.untilFlags(3, FETCHED);
    assertThat(lazy.buffers.get()).isEqualTo(2);
    Eventually.until("the worker waits to end", () -> lazy.ticker.timedWaits() == 1);
    lazy.ticker.advanceMs(10_000);
    Eventually.until("it has ended", () -> lazy.ticker.timedWaits() == 0);
    Eventually.until("its buffer is given back", () -> lazy.buffers.get() == 1);
    lazy.read(4);
    lazy.untilFlags(4, FETCHED);
  }

  @Test
  void somebody_stays_for_a_stripe_that_failed() throws IOException {
    begin(lazy, settings(false, false, 2));
    lazy.faults.failAlways("read 3");
    lazy.read(3);
    lazy.passTimeUntil("long pauses", () -> lazy.faults.events("read").size() == 9);
    lazy.faults.heal("read 3");
    lazy.ticker.advanceMs(29_000);
    lazy.passTimeUntil("fetched", () -> lazy.disk.flags(3) == FETCHED);
  }

  // --- the source --------------------------------------------------------------------------------

  @Test
  void the_source_is_closed_once_when_everything_is_durable() throws IOException {
    begin(lazy, IN_BACKGROUND);
    lazy.faults.hold("syncMetadata");
    lazy.untilHeld("syncMetadata");
    assertThat(lazy.faults.events("close")).isEmpty();
    assertThat(progress().source()).contains("memory");
    lazy.faults.release("syncMetadata");
    untilDone();
    List<String> events = lazy.faults.events();
    assertThat(events.subList(events.indexOf("close"), events.size()))
        .noneMatch(event -> event.startsWith("publish"));
    assertThat(progress().source()).isEmpty();
    lazy.close();
    assertThat(lazy.faults.events("close")).hasSize(1);
    assertThat(lazy.completed.get()).isEqualTo(1);
  }

  @Test
  void a_disk_that_is_complete_needs_no_source() throws IOException {
    lazy = new LazyFixture(FETCHED, WRITTEN, 0);
    lazy.start(TRACKED, Optional.empty());
    untilDone();
    assertThat(progress().autofetch()).isEqualTo(AutofetchState.DONE);
    assertThat(progress().source()).isEmpty();
    lazy.write(0);
    lazy.untilFlags(0, WRITTEN);
  }

  @Test
  void a_source_that_nobody_needs_is_closed_at_the_start() throws IOException {
    begin(new LazyFixture(FETCHED, 0), ON_DEMAND);
    untilDone();
    assertThat(lazy.faults.events()).containsOnly("close", "allocate sectors of the metadata file");
  }

  @Test
  void a_source_that_cannot_be_closed_is_let_go() throws IOException {
    begin(new LazyFixture(FETCHED, 0), ON_DEMAND);
    lazy.close();
    lazy = LazyFixture.unfetched(1);
    lazy.faults.failAlways("close");
    lazy.start(IN_BACKGROUND);
    untilDone();
    assertThat(lazy.disk.flags(0)).isEqualTo(FETCHED);
  }

  @Test
  void a_source_that_does_not_fit_refuses_the_start() {
    assertThatThrownBy(() -> lazy.start(ON_DEMAND, Optional.empty()))
        .isInstanceOf(IOException.class)
        .hasMessage("8 stripes are not fetched yet, and there is no stripe source");
    StripeSource shorter = new MemorySource(lazy.faults, 7, false);
    assertThatThrownBy(() -> lazy.start(ON_DEMAND, Optional.of(shorter)))
        .isInstanceOf(IOException.class)
        .hasMessageContaining("stripe 7 has a source, but memory does not have it");
    StripeSource longer = new MemorySource(lazy.faults, 9, false);
    assertThatThrownBy(() -> lazy.start(ON_DEMAND, Optional.of(longer)))
        .isInstanceOf(IOException.class)
        .hasMessage("memory has 4608 bytes, more than the disk, which has 4296");
    assertThat(lazy.faults.events()).isEmpty();
  }

  // --- progress ----------------------------------------------------------------------------------

  @Test
  void progress_counts_what_is_durable() throws IOException {
    begin(new LazyFixture(SOURCE, FETCHED, WRITTEN, SOURCE, StripeFlags.FETCHED, 0), ON_DEMAND);
    assertThat(progress().counts())
        .isEqualTo(new StripeProgress.Counts(6, 4, 3, 1, 1024, 2048, 0, OptionalLong.empty()));
    assertThat(progress().counts().noSource()).isEqualTo(2);
    lazy.faults.hold("syncMetadata");
    lazy.read(0);
    lazy.untilHeld("syncMetadata");
    assertThat(progress().counts().fetched()).isEqualTo(3);
    lazy.faults.release("syncMetadata");
    Eventually.until("counted", () -> progress().counts().fetched() == 4);
    assertThat(progress().counts().bytesPerSecond()).isEqualTo(512);
    assertThat(progress().counts().etaSeconds()).hasValue(1);
    lazy.read(3);
    untilDone();
    assertThat(progress().counts().bytesDone()).isEqualTo(2048);
    assertThat(progress().counts().etaSeconds()).hasValue(0);
  }

  // --- the end -----------------------------------------------------------------------------------

  @Test
  void closing_makes_durable_what_was_fetched() throws IOException {
    begin(lazy, ON_DEMAND);
    lazy.faults.hold("syncBase");
    lazy.read(0);
    lazy.untilHeld("syncBase");
    lazy.read(1);
    lazy.untilFlags(1, READABLE);
    lazy.faults.release("syncBase");
    lazy.close();
    assertThat(lazy.disk.durableFlags(0)).isEqualTo(FETCHED);
    assertThat(lazy.disk.durableFlags(1)).isEqualTo(FETCHED);
    assertThat(lazy.completed.get()).isZero();
  }

  @Test
  void closing_ends_reads_that_stall() throws IOException {
    begin(lazy, IN_BACKGROUND);
    lazy.faults.hold("read");
    Eventually.until("three stalled", () -> lazy.source.readers() == 3);
    lazy.close();
    assertThat(lazy.source.readers()).isZero();
    assertThat(lazy.faults.events("write")).isEmpty();
    assertThat(lazy.faults.events("close")).hasSize(1);
  }

  @Test
  void closing_waits_no_longer_than_it_may_for_a_read_that_hears_nothing() throws IOException {
    lazy.source.ignoreInterrupts();
    lazy.start(new LazyDiskSettings(false, true, 2, 1 << 20, 50));
    lazy.faults.hold("read 0");
    lazy.untilHeld("read 0");
    lazy.close();
    assertThat(lazy.faults.isHolding("read 0")).isTrue();
    lazy.faults.release("read 0");
    Eventually.until("the worker ends", () -> lazy.buffers.get() == 0);
    assertThat(lazy.faults.events("write")).doesNotContain("write 0");
  }

  @Test
  void closing_waits_no_longer_than_it_may_for_a_sync_that_hangs() throws IOException {
    lazy.start(new LazyDiskSettings(false, false, 2, 1 << 20, 50));
    lazy.faults.hold("syncBase");
    lazy.read(0);
    lazy.untilHeld("syncBase");
    lazy.close();
    assertThat(lazy.faults.isHolding("syncBase")).isTrue();
    lazy.faults.release("syncBase");
  }

  @Test
  void a_read_that_hangs_leaves_time_to_make_durable_what_was_fetched() throws IOException {
    lazy.source.ignoreInterrupts();
    lazy.start(new LazyDiskSettings(false, false, 4, 1 << 20, 500));
    lazy.faults.hold("read 0");
    lazy.read(0);
    lazy.faults.hold("syncBase");
    lazy.read(1);
    lazy.untilHeld("read 0");
    lazy.untilHeld("syncBase");
    lazy.read(2);
    lazy.untilFlags(2, READABLE);
    lazy.faults.release("syncBase");
    lazy.close();
    assertThat(lazy.disk.durableFlags(2)).isEqualTo(FETCHED);
    lazy.faults.release("read 0");
  }

  @Test
  void a_commit_that_was_left_to_itself_touches_the_disk_no_more() throws IOException {
    lazy.start(new LazyDiskSettings(false, false, 2, 1 << 20, 50));
    lazy.faults.hold("syncMetadata");
    lazy.read(0);
    lazy.untilHeld("syncMetadata");
    lazy.close();
    lazy.faults.forget();
    lazy.faults.release("syncMetadata");
    Eventually.until("the committer ends", () -> lazy.buffers.get() == 0);
    assertThat(lazy.faults.events()).isEmpty();
  }

  @Test
  void closing_gives_up_a_metadata_file_that_cannot_be_written() throws IOException {
    begin(lazy, ON_DEMAND);
    lazy.faults.failAlways("syncMetadata");
    lazy.read(0);
    Eventually.until("an error", () -> progress().metadataError().isPresent());
    lazy.close();
    assertThat(lazy.disk.durableFlags(0)).isEqualTo(SOURCE);
  }

  @Test
  void whoever_closes_may_be_interrupted() throws IOException {
    begin(lazy, ON_DEMAND);
    lazy.faults.hold("syncBase");
    lazy.read(0);
    lazy.untilHeld("syncBase");
    Thread.currentThread().interrupt();
    lazy.close();
    assertThat(Thread.interrupted()).isTrue();
    lazy.faults.release("syncBase");
  }
}
