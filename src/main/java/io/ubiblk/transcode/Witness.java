// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.transcode;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.HexFormat;
import java.util.List;
import java.util.Optional;

/**
 * Sectors of a target as they must be where work goes on: a disk that is not the one that it was
 * begun on, or a journal that is older than the disk, shows here before anything is written.
 *
 * @param at the first of the sectors
 * @param sectorCount how many, at most {@link #SECTORS_MAX}
 * @param digest of the sectors, in hex
 */
record Witness(Position at, int sectorCount, String digest) {
  /** A page, since direct I/O may read no less. */
  static final int SECTORS_MAX = 8;

  /** What is stored of one, there or not. */
  static final int STORED_BYTES = 2 * Integer.BYTES + Long.BYTES + Digests.BYTES;

  private static final int NONE = -1;

  /** The sectors as they are now. {@code scratch} is page aligned and has room for a page. */
  static Witness read(List<Target> targets, Position at, ByteBuffer scratch) throws IOException {
    long left = targets.get(at.target()).store().sectorCount() - at.sector();
    return read(targets, at, (int) Math.min(SECTORS_MAX, left), scratch);
  }

  private static Witness read(
      List<Target> targets, Position at, int sectorCount, ByteBuffer scratch) throws IOException {
    ByteBuffer bytes = scratch.duplicate().clear().limit(sectorCount * SectorStore.SECTOR_BYTES);
    targets.get(at.target()).store().read(at.sector(), bytes);
    return of(at, bytes);
  }

  /** Sectors with the content between position and limit. */
  static Witness of(Position at, ByteBuffer content) {
    int sectorCount = content.remaining() / SectorStore.SECTOR_BYTES;
    return new Witness(at, sectorCount, HexFormat.of().formatHex(Digests.of(content)));
  }

  /** Whether the sectors still are what they were. */
  boolean holds(List<Target> targets, ByteBuffer scratch) throws IOException {
    return at.target() < targets.size()
        && at.sector() + sectorCount <= targets.get(at.target()).store().sectorCount()
        && read(targets, at, sectorCount, scratch).equals(this);
  }

  /** Appends {@link #STORED_BYTES} to {@code into}. */
  static void write(Optional<Witness> witness, ByteBuffer into) {
    into.putInt(witness.map(there -> there.at().target()).orElse(NONE));
    into.putInt(witness.map(Witness::sectorCount).orElse(0));
    into.putLong(witness.map(there -> there.at().sector()).orElse(0L));
    into.put(
        witness
            .map(there -> HexFormat.of().parseHex(there.digest()))
            .orElse(new byte[Digests.BYTES]));
  }

  /** Takes what {@link #write} appended. */
  static Optional<Witness> read(ByteBuffer from) {
    int target = from.getInt();
    int sectorCount = from.getInt();
    long sector = from.getLong();
    byte[] digest = new byte[Digests.BYTES];
    from.get(digest);
    return target == NONE
        ? Optional.empty()
        : Optional.of(
            new Witness(
                new Position(target, sector), sectorCount, HexFormat.of().formatHex(digest)));
  }
}
