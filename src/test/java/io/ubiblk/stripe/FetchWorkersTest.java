// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.stripe;

import static io.ubiblk.stripe.LazyFixture.FETCHED;
import static io.ubiblk.stripe.LazyFixture.settings;
import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** Who comes first, how much is done at once, and who sleeps. */
@Timeout(120)
class FetchWorkersTest extends LazyDiskHarness {
  @Test
  void a_demand_overtakes_the_background_when_all_its_reads_stall() throws IOException {
    begin(LazyFixture.unfetched(100), IN_BACKGROUND, "read 0", "read 1", "read 2");
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
    begin(
        LazyFixture.unfetched(64),
        new LazyDiskSettings(false, false, 32, 4 * 512 - 1, 10_000),
        "read");
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
    begin(
        LazyFixture.unfetched(100), new LazyDiskSettings(false, true, 2, 1024, 10_000), "syncBase");
    lazy.untilHeld("syncBase");
    Eventually.until("four written", () -> lazy.faults.events("write").size() == 4);
    Eventually.until("nobody reads", () -> lazy.source.readers() == 0);
    assertThat(lazy.faults.events("read")).hasSize(4);
    lazy.faults.release("syncBase");
    untilDone();
  }

  @Test
  void the_background_can_be_paused_and_resumed() throws IOException {
    begin(LazyFixture.unfetched(100), settings(false, true, 1), "read 10");
    lazy.untilHeld("read 10");
    assertThat(progress().autofetch()).isEqualTo(AutofetchState.RUNNING);
    assertThat(lazy.lazy().pauseAutofetch()).isEqualTo(AutofetchState.PAUSED);
    lazy.read(99);
    Eventually.until("asked", () -> progress().waiting() == 1);
    lazy.faults.release("read 10");
    lazy.untilFlags(99, FETCHED);
    lazy.untilFlags(10, FETCHED);
    assertThat(lazy.faults.events("read")).hasSize(12).endsWith("read 10", "read 99");
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

  @Test
  void a_stripe_that_failed_is_tried_again_while_another_read_hangs() throws IOException {
    begin(lazy, settings(false, false, 2));
    lazy.faults.failAlways("read 3");
    lazy.read(3);
    lazy.untilFailed(1);
    // The first worker is the only one that is left, and is kept busy.
    lazy.passTimeUntil("long pauses", () -> lazy.faults.events("read").size() >= 9);
    lazy.faults.hold("read 4");
    lazy.read(4);
    lazy.untilHeld("read 4");
    lazy.faults.heal("read 3");
    lazy.passTimeUntil("fetched", () -> lazy.disk.flags(3) == FETCHED);
    lazy.faults.release("read 4");
    lazy.untilFlags(4, FETCHED);
  }
}
