// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.stripe;

import static io.ubiblk.stripe.LazyFixture.FETCHED;
import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.util.List;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

@Timeout(120)
class StepTimesTest {
  private final LazyFixture lazy = LazyFixture.unfetched(4);

  @AfterEach
  void end() {
    lazy.close();
    assertThat(lazy.disk.complaints()).isEmpty();
  }

  private StripeProgress.Timing timing() {
    return lazy.lazy().progress().timing();
  }

  /** Time stands still but while the event is held up. */
  private void takes(String event, long ms) {
    lazy.untilHeld(event);
    lazy.ticker.advanceMs(ms);
    lazy.faults.release(event);
  }

  @Test
  void each_step_has_the_time_that_it_took() throws IOException {
    List<String> steps = List.of("read 2", "write 2", "syncBase", "metadata 1", "syncMetadata");
    steps.forEach(lazy.faults::hold);
    lazy.start(LazyFixture.settings(false, false, 4));
    lazy.read(2);
    for (int i = 0; i < steps.size(); i++) {
      takes(steps.get(i), i + 1L);
    }
    lazy.untilFlags(2, FETCHED);
    assertThat(timing())
        .isEqualTo(
            new StripeProgress.Timing(
                new StripeProgress.Step(1, 1000),
                new StripeProgress.Step(1, 2000),
                new StripeProgress.Step(1, 3000),
                new StripeProgress.Step(1, 4000),
                new StripeProgress.Step(1, 5000)));
  }

  @Test
  void steps_add_up() throws IOException {
    lazy.faults.hold("read");
    lazy.start(LazyFixture.settings(false, false, 4));
    lazy.read(0);
    lazy.read(1);
    lazy.untilHeld("read 0");
    takes("read 1", 7);
    lazy.faults.release("read");
    lazy.untilFlags(0, FETCHED);
    lazy.untilFlags(1, FETCHED);
    assertThat(timing().sourceRead()).isEqualTo(new StripeProgress.Step(2, 14_000));
  }

  @Test
  void what_failed_is_not_counted() throws IOException {
    for (String step : List.of("read", "write", "syncBase", "metadata", "syncMetadata")) {
      lazy.faults.fail(step, 1);
    }
    lazy.start(LazyFixture.settings(false, false, 4));
    lazy.read(0);
    lazy.passTimeUntil("it is fetched", () -> lazy.disk.flags(0) == FETCHED);
    assertThat(timing().sourceRead().count()).isEqualTo(3);
    assertThat(timing().baseWrite().count()).isEqualTo(2);
    assertThat(timing().baseSync().count()).isEqualTo(1);
    // Written again before it is synced again.
    assertThat(timing().metadataWrite().count()).isEqualTo(2);
    assertThat(timing().metadataSync().count()).isEqualTo(1);
  }
}
