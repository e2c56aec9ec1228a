// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.stripe;

import static org.assertj.core.api.Assertions.assertThat;

import io.ubiblk.TestScale;
import io.ubiblk.metadata.StripeFlags;
import java.io.IOException;
import java.util.Random;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/**
 * Anything fails at any time, and then no more: in the end everything is fetched, and {@link
 * MemoryDisk} has never seen a flag that a crash could have made a lie.
 */
class LazyDiskRandomTest {
  private static final int RUNS = TestScale.count(200, 3000);

  @Test
  @Timeout(600)
  void what_fails_for_a_while_ends_with_everything_fetched() throws IOException {
    TestScale.report(RUNS + " disks that fail at random");
    for (int run = 0; run < RUNS; run++) {
      disk(new Random(TestScale.seed() + run));
    }
  }

  private static void disk(Random random) throws IOException {
    int count = 2 + random.nextInt(600);
    int[] states = {0, 1, 2, 4, 4, 4, 4, 5, 6, 7};
    int[] flags =
        IntStream.range(0, count).map(i -> states[random.nextInt(states.length)]).toArray();
    boolean track = random.nextBoolean();
    LazyDiskSettings settings =
        new LazyDiskSettings(
            track,
            random.nextBoolean(),
            1 + random.nextInt(8),
            512 * (1L + random.nextInt(64)),
            10_000);
    try (LazyFixture lazy = new LazyFixture(flags)) {
      lazy.faults.failAtRandom(random.nextDouble() * 0.6, new Random(random.nextLong()));
      startUntilItDoes(lazy, settings);
      boolean[] written = new boolean[count];
      for (int i = 0; i < 300; i++) {
        step(lazy, random, written);
      }
      lazy.faults.failAtRandom(0, random);
      lazy.lazy().resumeAutofetch();
      lazy.passTimeUntil("everything fetched", () -> lazy.completed.get() == 1);
      lazy.passTimeUntil("everything marked", () -> allMarked(lazy, written, track));
      check(lazy, flags);
    }
  }

  /** The committer's buffer may be refused as well. */
  private static void startUntilItDoes(LazyFixture lazy, LazyDiskSettings settings) {
    Eventually.until(
        "a start",
        () -> {
          try {
            lazy.start(settings);
            return true;
          } catch (IOException e) {
            return false;
          }
        });
  }

  private static void step(LazyFixture lazy, Random random, boolean[] written) {
    int stripe = random.nextInt(written.length);
    switch (random.nextInt(8)) {
      case 0, 1, 2 -> lazy.read(stripe);
      case 3, 4 -> {
        written[stripe] = true;
        lazy.write(stripe);
      }
      case 5 -> lazy.ticker.advanceMs(random.nextInt(500));
      case 6 -> lazy.disk.failGuestSync();
      default -> {
        lazy.lazy().retryNow();
        if (random.nextBoolean()) {
          lazy.lazy().pauseAutofetch();
        } else {
          lazy.lazy().resumeAutofetch();
        }
      }
    }
  }

  private static boolean allMarked(LazyFixture lazy, boolean[] written, boolean track) {
    int mark = track ? StripeFlags.WRITTEN : 0;
    return IntStream.range(0, written.length)
        .filter(stripe -> written[stripe])
        .allMatch(stripe -> (lazy.disk.flags(stripe) & (mark | StripeFlags.WRITE_ASKED)) == mark);
  }

  private static void check(LazyFixture lazy, int... before) {
    assertThat(lazy.disk.complaints()).isEmpty();
    int fetched = 0;
    for (int stripe = 0; stripe < before.length; stripe++) {
      int flags = lazy.disk.flags(stripe);
      assertThat(StripeFlags.mustBeFetched(flags)).isFalse();
      assertThat(flags & StripeFlags.READABLE).isZero();
      assertThat(lazy.disk.durableFlags(stripe)).isEqualTo(flags & StripeFlags.DURABLE);
      assertThat(flags & before[stripe] & StripeFlags.DURABLE).isEqualTo(before[stripe]);
      if (StripeFlags.mustBeFetched(before[stripe])) {
        assertThat(lazy.disk.isDurable(stripe)).isTrue();
      }
      fetched += flags & StripeFlags.FETCHED;
    }
    StripeProgress progress = lazy.lazy().progress();
    assertThat(progress.counts().fetched()).isEqualTo(fetched);
    assertThat(progress.counts().bytesDone()).isEqualTo(progress.counts().bytesTotal());
    assertThat(progress.retrying()).isZero();
    assertThat(progress.waiting()).isZero();
    assertThat(lazy.faults.events("close")).hasSizeLessThanOrEqualTo(1);
  }
}
