// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.transcode;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.Optional;

/**
 * The first sectors of a journal: which one it is, of which disk, and its layout.
 *
 * @param marker where the disk's marker is, which tells the disk from others however it is called
 * @param begin the first sectors that are to be converted, as they are; empty: there are none
 */
record JournalHeader(JournalId id, JournalLayout layout, String marker, Optional<Witness> begin) {
  static final int BYTES = JournalLayout.HEADER_SECTORS * SectorStore.SECTOR_BYTES;

  private static final byte[] MAGIC = "UBIBLKJ1".getBytes(StandardCharsets.US_ASCII);
  private static final int DIGEST_OFFSET = BYTES - Digests.BYTES;
  private static final int PATH_OFFSET =
      MAGIC.length + JournalId.BYTES + 2 * Integer.BYTES + Witness.STORED_BYTES;

  /** A path that is longer is cut, and no disk's any more. */
  private static final int PATH_BYTES_MAX = DIGEST_OFFSET - PATH_OFFSET;

  /** Fills {@code into}, {@link #BYTES} from its position on, which stays. */
  void write(ByteBuffer into) {
    ByteBuffer header = into.slice(into.position(), BYTES).order(ByteOrder.LITTLE_ENDIAN);
    byte[] path = marker.getBytes(StandardCharsets.UTF_8);
    int pathBytes = Math.min(path.length, PATH_BYTES_MAX);
    header.put(new byte[BYTES]).rewind();
    header.put(MAGIC);
    id.write(header);
    header.putInt(layout.slotSectors()).putInt(pathBytes);
    Witness.write(begin, header);
    header.put(path, 0, pathBytes);
    header.put(DIGEST_OFFSET, Digests.of(header.duplicate().clear().limit(DIGEST_OFFSET)));
  }

  /** Puts what only begins like a header: of a file that is to become a journal. */
  static void writeUnfinished(ByteBuffer into) {
    into.slice(into.position(), BYTES).put(new byte[BYTES]).rewind().put(MAGIC);
  }

  /** Whether the bytes at the position begin like a header, finished or not. */
  static boolean hasMagic(ByteBuffer from) {
    return from.slice(from.position(), MAGIC.length).equals(ByteBuffer.wrap(MAGIC));
  }

  /** Reads from the position of {@code from} on; empty: it is no journal's header, or torn. */
  static Optional<JournalHeader> read(ByteBuffer from) {
    ByteBuffer header = from.slice(from.position(), BYTES).order(ByteOrder.LITTLE_ENDIAN);
    byte[] magic = new byte[MAGIC.length];
    header.get(magic);
    byte[] digest = new byte[Digests.BYTES];
    header.get(DIGEST_OFFSET, digest);
    if (!Arrays.equals(magic, MAGIC)
        || !Arrays.equals(digest, Digests.of(header.duplicate().clear().limit(DIGEST_OFFSET)))) {
      return Optional.empty();
    }
    JournalId id = JournalId.read(header);
    int slotSectors = header.getInt();
    byte[] path = new byte[header.getInt()];
    Optional<Witness> begin = Witness.read(header);
    header.get(path);
    return Optional.of(
        new JournalHeader(
            id, new JournalLayout(slotSectors), new String(path, StandardCharsets.UTF_8), begin));
  }

  /** The header of the journal in {@code store}; empty if that is no journal. */
  static Optional<JournalHeader> of(SectorStore store, ByteBuffer scratch) throws IOException {
    if (store.sectorCount() < JournalLayout.HEADER_SECTORS) {
      return Optional.empty();
    }
    store.read(0, scratch.clear().limit(BYTES));
    return read(scratch);
  }
}
