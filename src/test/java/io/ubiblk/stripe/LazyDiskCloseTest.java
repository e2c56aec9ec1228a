// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.stripe;

import static io.ubiblk.stripe.LazyFixture.FETCHED;
import static io.ubiblk.stripe.LazyFixture.SOURCE;
import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** The end: in order, and within its time. */
@Timeout(120)
class LazyDiskCloseTest extends LazyDiskHarness {
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
    begin(lazy, IN_BACKGROUND, "read");
    Eventually.until("three stalled", () -> lazy.source.readers() == 3);
    lazy.close();
    assertThat(lazy.source.readers()).isZero();
    assertThat(lazy.faults.events("write")).isEmpty();
    assertThat(lazy.faults.events("close")).hasSize(1);
  }

  @Test
  void closing_waits_no_longer_than_it_may_for_a_read_that_hears_nothing() throws IOException {
    lazy.source.ignoreInterrupts();
    lazy.faults.hold("read 0");
    lazy.start(new LazyDiskSettings(false, true, 2, 1 << 20, 50));
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
  void a_read_that_hangs_leaves_the_committer_time_to_end() throws IOException {
    lazy.source.ignoreInterrupts();
    lazy.start(new LazyDiskSettings(false, false, 4, 1 << 20, 500));
    lazy.faults.failAlways("syncMetadata");
    lazy.faults.hold("read 0");
    lazy.read(0);
    lazy.read(1);
    lazy.untilHeld("read 0");
    Eventually.until("an error", () -> progress().metadataError().isPresent());
    lazy.close();
    assertThat(lazy.buffers.get()).as("the one of the read").isEqualTo(1);
    lazy.faults.release("read 0");
  }

  /** A step of the work on stripe 0 ends when the disk was closed without waiting for it. */
  private void outlastsTheClose(String step) throws IOException {
    lazy.faults.hold(step);
    lazy.start(new LazyDiskSettings(false, false, 2, 1 << 20, 50));
    lazy.read(0);
    lazy.untilHeld(step);
    lazy.close();
    lazy.faults.forget();
    lazy.faults.release(step);
    Eventually.until("its thread ends", () -> lazy.buffers.get() == 0);
  }

  @ParameterizedTest
  @ValueSource(strings = {"syncMetadata", "syncBase", "write 0"})
  void work_that_was_left_to_itself_touches_the_disk_no_more(String step) throws IOException {
    outlastsTheClose(step);
    assertThat(lazy.faults.events()).isEmpty();
  }

  @ParameterizedTest
  @ValueSource(strings = {"syncMetadata", "syncBase", "write 0"})
  void nor_does_it_when_it_fails(String step) throws IOException {
    lazy.faults.fail(step, 1);
    outlastsTheClose(step);
    assertThat(lazy.faults.events()).isEmpty();
    assertThat(progress().lastFailure()).isEmpty();
  }

  @Test
  void a_source_that_hangs_while_it_is_closed_completes_nothing_afterwards() throws IOException {
    lazy.faults.hold("close");
    lazy.start(new LazyDiskSettings(false, true, 2, 1 << 20, 50));
    lazy.untilHeld("close");
    lazy.close();
    lazy.faults.release("close");
    Eventually.until("the worker ends", () -> lazy.buffers.get() == 0);
    assertThat(lazy.completed.get()).isZero();
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
