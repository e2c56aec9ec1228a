// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.transcode;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;

/**
 * What a slot of a journal holds. That it is there says that its data is durable: it is written
 * once that was synced.
 *
 * @param sequence 1 for the first slot that was written, and so on
 * @param digests one for each extent
 * @param first the first sectors that were converted, as they became
 * @param behind the first sectors that are left to convert, as they are; empty: none are
 */
record SlotDescriptor(
    JournalId id,
    long sequence,
    List<Extent> extents,
    List<byte[]> digests,
    Witness first,
    Optional<Witness> behind) {
  static final int BYTES = JournalLayout.DESCRIPTOR_SECTORS * SectorStore.SECTOR_BYTES;

  private static final byte[] MAGIC = "UBIBLKS1".getBytes(StandardCharsets.US_ASCII);
  private static final int FIXED_BYTES =
      MAGIC.length + JournalId.BYTES + Long.BYTES + 2 * Integer.BYTES + 2 * Witness.STORED_BYTES;
  private static final int EXTENT_BYTES = 3 * Integer.BYTES + Long.BYTES + Digests.BYTES;
  private static final int DIGEST_OFFSET = BYTES - Digests.BYTES;

  /** Extents that a descriptor has room for. */
  static final int EXTENTS_MAX = (DIGEST_OFFSET - FIXED_BYTES) / EXTENT_BYTES;

  /** Fills {@code into}, {@link #BYTES} from its position on, which stays. */
  void write(ByteBuffer into) {
    ByteBuffer bytes = into.slice(into.position(), BYTES).order(ByteOrder.LITTLE_ENDIAN);
    bytes.put(new byte[BYTES]).rewind();
    bytes.put(MAGIC);
    id.write(bytes);
    bytes.putLong(sequence).putInt(extents.size()).putInt(0);
    Witness.write(Optional.of(first), bytes);
    Witness.write(behind, bytes);
    for (int i = 0; i < extents.size(); i++) {
      Extent extent = extents.get(i);
      bytes.putLong(extent.sector()).putInt(extent.target());
      bytes.putInt(extent.sectorCount()).putInt(extent.slotSector()).put(digests.get(i));
    }
    bytes.put(DIGEST_OFFSET, Digests.of(bytes.duplicate().clear().limit(DIGEST_OFFSET)));
  }

  /**
   * Reads from the position of {@code from} on.
   *
   * @param id of the journal; empty is returned for what is another's, torn, or nothing
   */
  static Optional<SlotDescriptor> read(ByteBuffer from, JournalId id) {
    ByteBuffer bytes = from.slice(from.position(), BYTES).order(ByteOrder.LITTLE_ENDIAN);
    byte[] magic = new byte[MAGIC.length];
    bytes.get(magic);
    byte[] digest = new byte[Digests.BYTES];
    bytes.get(DIGEST_OFFSET, digest);
    if (!Arrays.equals(magic, MAGIC)
        || !JournalId.read(bytes).equals(id)
        || !Arrays.equals(digest, Digests.of(bytes.duplicate().clear().limit(DIGEST_OFFSET)))) {
      return Optional.empty();
    }
    long sequence = bytes.getLong();
    int count = bytes.getInt();
    bytes.getInt();
    Witness first = Witness.read(bytes).orElseThrow();
    Optional<Witness> behind = Witness.read(bytes);
    List<Extent> extents = new ArrayList<>();
    List<byte[]> digests = new ArrayList<>();
    for (int i = 0; i < count; i++) {
      long sector = bytes.getLong();
      extents.add(new Extent(bytes.getInt(), sector, bytes.getInt(), bytes.getInt()));
      byte[] ofExtent = new byte[Digests.BYTES];
      bytes.get(ofExtent);
      digests.add(ofExtent);
    }
    return Optional.of(new SlotDescriptor(id, sequence, extents, digests, first, behind));
  }

  /** Where the work goes on behind it. */
  Position end() {
    Extent last = extents.get(extents.size() - 1);
    return new Position(last.target(), last.sector() + last.sectorCount());
  }
}
