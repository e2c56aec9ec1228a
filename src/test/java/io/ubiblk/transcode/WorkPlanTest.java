// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.transcode;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.Test;

class WorkPlanTest {
  @Test
  void hands_out_every_held_sector_once_and_in_order() throws IOException {
    Random random = new Random(3);
    for (int round = 0; round < 300; round++) {
      boolean[] disk = random(random, 1 + random.nextInt(300));
      boolean[] metadata = random(random, 1 + random.nextInt(30));
      List<Long> lengths = List.of((long) disk.length, (long) metadata.length);
      List<Coverage> coverages = List.of(new Runs(disk), new Runs(metadata));
      Position start = new Position(0, random.nextInt(disk.length));
      List<String> wanted = new ArrayList<>();
      add(wanted, 0, disk, (int) start.sector());
      add(wanted, 1, metadata, 0);
      WorkPlan plan = new WorkPlan(lengths, coverages, start);
      assertThat(plan.sectorsLeft()).isEqualTo(wanted.size());
      int slotSectors = 8 * (1 + random.nextInt(20));
      int extentsMax = 1 + random.nextInt(5);
      assertThat(drain(plan, slotSectors, extentsMax)).isEqualTo(wanted);
      assertThat(plan.sectorsLeft()).isZero();
    }
  }

  private static boolean[] random(Random random, int length) {
    boolean[] held = new boolean[length];
    for (int i = 0; i < length; i++) {
      held[i] = random.nextInt(4) == 0 ? random.nextBoolean() : i == 0 || held[i - 1];
    }
    return held;
  }

  private static void add(List<String> wanted, int target, boolean[] held, int from) {
    for (int sector = from; sector < held.length; sector++) {
      if (held[sector]) {
        wanted.add(target + ":" + sector);
      }
    }
  }

  private static List<String> drain(WorkPlan plan, int slotSectors, int extentsMax)
      throws IOException {
    List<String> sectors = new ArrayList<>();
    while (true) {
      List<Extent> extents = plan.next(slotSectors, extentsMax);
      if (extents.isEmpty()) {
        return sectors;
      }
      int used = 0;
      assertThat(extents.size()).isLessThanOrEqualTo(extentsMax);
      for (Extent extent : extents) {
        assertThat(extent.slotSector()).isGreaterThanOrEqualTo(used);
        assertThat(extent.slotSector() % Extent.SLOT_ALIGN_SECTORS).isZero();
        used = extent.slotSector() + extent.sectorCount();
        assertThat(used).isLessThanOrEqualTo(slotSectors);
        for (int i = 0; i < extent.sectorCount(); i++) {
          sectors.add(extent.target() + ":" + (extent.sector() + i));
        }
      }
    }
  }

  @Test
  void pieces_are_short_enough_to_be_shared_among_threads() throws IOException {
    WorkPlan plan = new WorkPlan(List.of(10_000L), List.of(Coverage.everything()), Position.START);
    List<Extent> extents = plan.next(1 << 16, 100);
    assertThat(extents).hasSize(5);
    assertThat(extents.get(0)).isEqualTo(new Extent(0, 0, 2048, 0));
    assertThat(extents.get(4)).isEqualTo(new Extent(0, 8192, 1808, 8192));
  }
}
