// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.transcode;

import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/** What is left to do, handed out in pieces, in order. Used by one thread. */
final class WorkPlan {
  private final List<Long> lengths;
  private final List<Coverage> coverages;
  private Position position;

  /**
   * The work on stores of these lengths from {@code start} on; both lists have an element for each
   * target.
   */
  WorkPlan(List<Long> lengths, List<Coverage> coverages, Position start) {
    this.lengths = lengths;
    this.coverages = coverages;
    this.position = start;
  }

  /** Sectors that are left to convert. */
  long sectorsLeft() throws IOException {
    long left = 0;
    for (int target = position.target(); target < lengths.size(); target++) {
      long from = target == position.target() ? position.sector() : 0;
      left += coverages.get(target).heldFrom(from, lengths.get(target));
    }
    return left;
  }

  /** The sector that {@link #next} begins with; empty: all was handed out. */
  Optional<Position> upcoming() throws IOException {
    return moveToWork() ? Optional.of(position) : Optional.empty();
  }

  /**
   * The next pieces, in order, as many as fit into a slot of that size; none: all was handed out.
   */
  List<Extent> next(int slotSectors, int extentsMax) throws IOException {
    List<Extent> extents = new ArrayList<>();
    int used = 0;
    while (used < slotSectors && extents.size() < extentsMax && moveToWork()) {
      Extent extent = nextExtent(used, slotSectors - used);
      extents.add(extent);
      used = extent.slotEnd();
      position = new Position(position.target(), extent.sector() + extent.sectorCount());
    }
    return extents;
  }

  private Extent nextExtent(int slotSector, int room) throws IOException {
    long sector = position.sector();
    long limit =
        Math.min(lengths.get(position.target()), sector + Math.min(room, Extent.SECTORS_MAX));
    long end = coverages.get(position.target()).heldUntil(sector, limit);
    return new Extent(position.target(), sector, (int) (end - sector), slotSector);
  }

  private boolean moveToWork() throws IOException {
    while (position.target() < lengths.size()) {
      long length = lengths.get(position.target());
      long held =
          position.sector() < length
              ? coverages.get(position.target()).nextHeld(position.sector())
              : length;
      if (held < length) {
        position = new Position(position.target(), held);
        return true;
      }
      position = new Position(position.target() + 1, 0);
    }
    return false;
  }
}
