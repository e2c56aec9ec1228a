// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.stripe;

import static io.ubiblk.stripe.LazyFixture.FETCHED;
import static io.ubiblk.stripe.LazyFixture.SOURCE;
import static io.ubiblk.stripe.LazyFixture.WRITTEN;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.ubiblk.metadata.StripeFlags;
import java.io.IOException;
import java.util.List;
import java.util.Optional;
import java.util.OptionalLong;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** What is done in which order, and what is told. */
@Timeout(120)
class LazyDiskTest extends LazyDiskHarness {
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

  // --- the source --------------------------------------------------------------------------------

  @Test
  void the_source_is_closed_once_when_everything_is_durable() throws IOException {
    begin(lazy, IN_BACKGROUND, "syncMetadata");
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
}
