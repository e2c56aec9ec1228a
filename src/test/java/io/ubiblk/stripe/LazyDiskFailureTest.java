// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.stripe;

import static io.ubiblk.stripe.LazyFixture.FETCHED;
import static io.ubiblk.stripe.LazyFixture.SOURCE;
import static io.ubiblk.stripe.LazyFixture.WRITTEN;
import static org.assertj.core.api.Assertions.assertThat;

import io.ubiblk.metadata.StripeFlags;
import java.io.IOException;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** Whatever fails is tried again, and holds up nothing else. */
@Timeout(120)
class LazyDiskFailureTest extends LazyDiskHarness {
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
    begin(lazy, IN_BACKGROUND, "read 3");
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
}
