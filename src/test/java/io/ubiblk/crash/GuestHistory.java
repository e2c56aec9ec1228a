// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.crash;

import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.List;

/**
 * The model: what the guest did, and so what it may find. Moments are numbers of marks in the
 * record, counted from 1 on. One thread writes; afterwards any thread reads.
 *
 * <p>A guest may find in a sector what the newest durable write put there, or any write that it
 * began later. As long as no write to the sector is durable, it may find what was there before. The
 * guest never has two requests at once to one sector unless both read.
 */
final class GuestHistory {
  private static final int NEVER = Integer.MAX_VALUE;

  /** A write of the guest; its stamp is its place in the list, plus the first stamp. */
  static final class Write {
    final int stamp;
    final int sector;
    final int count;
    final int begunAt;
    int succeededAt = NEVER;
    int durableAt = NEVER;

    private Write(int stamp, int sector, int count, int begunAt) {
      this.stamp = stamp;
      this.sector = sector;
      this.count = count;
      this.begunAt = begunAt;
    }
  }

  private final ByteBuffer before;
  private final int firstStamp;
  private final List<Write> writes = new ArrayList<>();
  private final List<List<Write>> bySector = new ArrayList<>();

  /**
   * Begins with what the guest could read before it did anything.
   *
   * @param firstStamp the first write has this one, which no earlier write had
   */
  GuestHistory(ByteBuffer before, int firstStamp) {
    this.before = before;
    this.firstStamp = firstStamp;
    for (int sector = 0; sector < before.capacity() / CrashSetup.SECTOR_BYTES; sector++) {
      bySector.add(new ArrayList<>());
    }
  }

  /** The guest begins a write at the moment {@code at}. */
  Write begin(int sector, int count, int at) {
    Write write = new Write(nextStamp(), sector, count, at);
    writes.add(write);
    for (int i = 0; i < count; i++) {
      bySector.get(sector + i).add(write);
    }
    return write;
  }

  int nextStamp() {
    return firstStamp + writes.size();
  }

  /** What had succeeded before {@code before} is durable from {@code at} on. */
  void flushed(int before, int at) {
    for (Write write : writes) {
      if (write.succeededAt < before && write.durableAt == NEVER) {
        write.durableAt = at;
      }
    }
  }

  /** Whether the sector's content in {@code bytes} is that of a write of this history. */
  boolean isWritten(ByteBuffer bytes, int position, int sector) {
    long stamp = Stamps.claimed(bytes, position);
    return stamp >= firstStamp
        && stamp < nextStamp()
        && Stamps.matches(bytes, position, sector, (int) stamp);
  }

  /** What the guest finds while it works: a write that has succeeded is there. */
  void checkRead(ByteBuffer bytes, int position, int sector) throws Violation {
    check(bytes, position, sector, NEVER - 1, false);
  }

  /** What it finds after a crash that came after the mark {@code at}: a durable write is there. */
  void checkRecovered(ByteBuffer bytes, int position, int sector, int at) throws Violation {
    check(bytes, position, sector, at, true);
  }

  private void check(ByteBuffer bytes, int position, int sector, int at, boolean durable)
      throws Violation {
    List<Write> candidates = bySector.get(sector);
    for (int i = candidates.size() - 1; i >= 0; i--) {
      Write write = candidates.get(i);
      if (write.begunAt > at) {
        continue;
      }
      if (Stamps.matches(bytes, position, sector, write.stamp)) {
        return;
      }
      if ((durable ? write.durableAt : write.succeededAt) <= at) {
        throw new Violation(
            Violation.Kind.LOST,
            "sector %d (stripe %d) has %s; write %d, %s at mark %d, is the oldest that it may have"
                .formatted(
                    sector,
                    CrashSetup.stripeOf(sector),
                    describe(bytes, position, sector),
                    write.stamp,
                    durable ? "durable" : "successful",
                    durable ? write.durableAt : write.succeededAt));
      }
    }
    if (!hasBefore(bytes, position, sector)) {
      throw new Violation(
          Violation.Kind.LOST,
          "sector %d (stripe %d) has %s, neither what was there before nor a write"
              .formatted(sector, CrashSetup.stripeOf(sector), describe(bytes, position, sector)));
    }
  }

  private boolean hasBefore(ByteBuffer bytes, int position, int sector) {
    return same(bytes, position, before, sector);
  }

  /** Whether a sector is that of another buffer, which has the whole disk. */
  static boolean same(ByteBuffer bytes, int position, ByteBuffer disk, int sector) {
    int length = CrashSetup.SECTOR_BYTES;
    return bytes.slice(position, length).equals(disk.slice(sector * length, length));
  }

  private String describe(ByteBuffer bytes, int position, int sector) {
    if (hasBefore(bytes, position, sector)) {
      return "what was there before";
    }
    long stamp = Stamps.claimed(bytes, position);
    if (stamp != (int) stamp || !Stamps.matches(bytes, position, sector, (int) stamp)) {
      return "no content of anybody";
    }
    return switch ((int) stamp) {
      case Stamps.INITIAL -> "what the base disk had in the beginning";
      case Stamps.IMAGE -> "the image's content";
      default -> "write " + stamp;
    };
  }
}
