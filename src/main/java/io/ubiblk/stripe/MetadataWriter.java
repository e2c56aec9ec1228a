// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.stripe;

import io.ubiblk.metadata.MetadataFormat;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.BitSet;
import java.util.function.IntUnaryOperator;

/** Makes the flags of a group durable in the metadata file. One thread. */
final class MetadataWriter {
  /** Neighbouring sectors of one write. */
  static final int SECTORS_MAX = 128;

  private final StripeDisk disk;
  private final MetadataFormat format;
  private final ByteBuffer buffer;

  /**
   * @param buffer direct, whole sectors; kept
   */
  MetadataWriter(StripeDisk disk, MetadataFormat format, ByteBuffer buffer) {
    this.disk = disk;
    this.format = format;
    this.buffer = buffer;
  }

  /**
   * Writes every sector that the group changes, then syncs once. What is written of other stripes
   * is what was published of them, which is durable already: so a sector carries no flag out that
   * is not this group's. After a failure all of it is to be done again.
   */
  void write(CommitGroup group) throws IOException {
    IntUnaryOperator flags = stripe -> disk.flags(stripe) | group.bits(stripe);
    BitSet sectors = CommitGroup.sectors(group.stripes(), format);
    int capacity = buffer.capacity() / MetadataFormat.SECTOR_BYTES;
    for (int first = sectors.nextSetBit(0); first >= 0; ) {
      int end = Math.min(sectors.nextClearBit(first), first + capacity);
      writeRun(first, end, flags);
      first = sectors.nextSetBit(end);
    }
    disk.syncMetadata();
  }

  private void writeRun(int first, int end, IntUnaryOperator flags) throws IOException {
    buffer.clear();
    for (int sector = first; sector < end; sector++) {
      format.encodeFlags(sector, disk.stripeCount(), flags, buffer);
    }
    disk.writeMetadata(first, buffer.flip());
  }
}
