// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.transcode;

import static org.assertj.core.api.Assertions.assertThat;

import io.ubiblk.metadata.StripeFlags;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.List;
import java.util.Optional;
import java.util.Random;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Compared with a model that looks at each sector on its own. */
class DiskCoverageTest {
  private static final int SECTOR_BYTES = SectorStore.SECTOR_BYTES;

  /** A file's allocation, in blocks of some sectors. */
  private static final class Blocks implements DiskCoverage.Holes {
    private final boolean[] allocated;
    private final int blockSectors;
    private final long byteLength;

    Blocks(boolean[] allocated, int blockSectors) {
      this.allocated = allocated;
      this.blockSectors = blockSectors;
      this.byteLength = (long) allocated.length * SECTOR_BYTES;
    }

    private long next(long offset, boolean wanted) {
      long at = offset;
      while (at < byteLength && isAllocated(at / SECTOR_BYTES) != wanted) {
        at = (at / blockBytes() + 1) * blockBytes();
      }
      return Math.min(at, byteLength);
    }

    private int blockBytes() {
      return blockSectors * SECTOR_BYTES;
    }

    boolean isAllocated(long sector) {
      return allocated[(int) (sector / blockSectors)];
    }

    @Override
    public long nextData(long offset) {
      return next(offset, true);
    }

    @Override
    public long nextHole(long offset) {
      return next(offset, false);
    }
  }

  private static boolean[] wanted(
      int sectors, Optional<DiskCoverage.Stripes> stripes, Blocks blocks, boolean skipHoles) {
    boolean[] held = new boolean[sectors];
    for (int sector = 0; sector < sectors; sector++) {
      int flags = stripes.isEmpty() ? 0 : stripes.get().flags().get(sector >> 6);
      boolean toFetch = (flags & (StripeFlags.HAS_SOURCE | StripeFlags.FETCHED)) == 4;
      boolean known = stripes.isPresent() && (flags & 3) == 0;
      held[sector] = !toFetch && (blocks.isAllocated(sector) || !(skipHoles || known));
    }
    return held;
  }

  @ParameterizedTest
  @ValueSource(booleans = {false, true})
  void agrees_with_a_look_at_every_sector(boolean skipHoles) throws IOException {
    Random random = new Random(7);
    for (int round = 0; round < 400; round++) {
      int sectors = 1 + random.nextInt(1000);
      boolean[] allocated = new boolean[sectors];
      for (int i = 0; i < sectors; i++) {
        allocated[i] = random.nextInt(3) == 0 ? random.nextBoolean() : i > 0 && allocated[i - 1];
      }
      Blocks blocks = new Blocks(allocated, 1 + random.nextInt(9));
      Optional<DiskCoverage.Stripes> stripes = Optional.empty();
      if (random.nextBoolean()) {
        ByteBuffer flags = ByteBuffer.allocate((sectors + 63) / 64);
        for (int stripe = 0; stripe < flags.capacity(); stripe++) {
          flags.put(stripe, (byte) random.nextInt(8));
        }
        stripes = Optional.of(new DiskCoverage.Stripes(flags, 6));
      }
      DiskCoverage coverage = new DiskCoverage(sectors, stripes, blocks, skipHoles);
      assertThat(heldSectors(coverage, sectors))
          .as("round %d", round)
          .isEqualTo(wanted(sectors, stripes, blocks, skipHoles));
    }
  }

  private static boolean[] heldSectors(Coverage coverage, int sectors) throws IOException {
    boolean[] held = new boolean[sectors];
    long count = 0;
    long at = coverage.nextHeld(0);
    while (at < sectors) {
      long limit = Math.min(sectors, at + 1 + at % 90);
      long end = coverage.heldUntil(at, limit);
      assertThat(end).isGreaterThan(at).isLessThanOrEqualTo(limit);
      for (long sector = at; sector < end; sector++) {
        held[(int) sector] = true;
        count++;
      }
      at = end < sectors ? coverage.nextHeld(end) : sectors;
    }
    assertThat(coverage.heldFrom(0, sectors)).isEqualTo(count);
    return held;
  }

  @Test
  void a_long_run_is_looked_for_once() throws IOException {
    int stripes = 100_000;
    AtomicInteger asked = new AtomicInteger();
    DiskCoverage.Holes none =
        new DiskCoverage.Holes() {
          @Override
          public long nextData(long offset) {
            asked.incrementAndGet();
            return offset;
          }

          @Override
          public long nextHole(long offset) {
            asked.incrementAndGet();
            return (long) stripes * 64 * SECTOR_BYTES;
          }
        };
    var known = new DiskCoverage.Stripes(ByteBuffer.allocate(stripes), 6);
    long sectors = stripes * 64L;
    var coverage = new DiskCoverage(sectors, Optional.of(known), none, false);
    WorkPlan plan = new WorkPlan(List.of(sectors), List.of(coverage), Position.START);
    assertThat(plan.sectorsLeft()).isEqualTo(sectors);
    long handedOut = 0;
    for (Extent extent : plan.next(Integer.MAX_VALUE, 10_000)) {
      handedOut += extent.sectorCount();
    }
    assertThat(handedOut).isEqualTo(sectors);
    // Once for the end of the run, and for where each piece begins.
    assertThat(asked.get()).isLessThan(4000);
  }

  @Test
  void everything_is_everything() throws IOException {
    Coverage all = Coverage.everything();
    assertThat(all.nextHeld(3)).isEqualTo(3);
    assertThat(all.heldUntil(3, 10)).isEqualTo(10);
    assertThat(all.heldFrom(3, 10)).isEqualTo(7);
    assertThat(all.heldFrom(10, 10)).isZero();
  }
}
