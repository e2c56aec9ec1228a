// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.metadata;

import io.ubiblk.nativelib.NativeLog;
import io.ubiblk.nativelib.NativeSectorFile;
import io.ubiblk.nativelib.NativeXts;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Optional;

/**
 * Makes metadata files. The header comes last: whatever a crash leaves of a file that is not
 * complete begins with an empty sector, or with none, and does not load.
 */
public final class MetadataCreator {
  private static final int CHUNK_SECTORS = 128;

  private MetadataCreator() {}

  /**
   * Makes the file at {@code path}, or fills the one that is there from its beginning to its end; a
   * shorter one than is needed grows.
   *
   * @param lockTimeoutMs how long to try when somebody else has it locked
   * @param force whether what is there already may be lost
   * @param xts what to encipher it with, if anything
   * @throws MetadataException if the file does not begin with an empty sector and {@code force} is
   *     not set
   */
  public static void create(
      String path,
      MetadataParameters parameters,
      int lockTimeoutMs,
      boolean force,
      Optional<NativeXts> xts,
      NativeLog log)
      throws IOException {
    parameters.stripeCount(); // refused before anything is made
    NativeSectorFile.Mode mode = NativeSectorFile.Mode.CREATE;
    try (var store =
        new NativeMetadataStore(NativeSectorFile.open(path, mode, lockTimeoutMs, xts, log))) {
      if (!force) {
        refuseContent(store, xts.isPresent());
      }
      write(store, parameters);
    }
  }

  /** The steps of creation, each durable before the next begins. */
  public static void write(MetadataStore store, MetadataParameters parameters) throws IOException {
    MetadataFormat format = parameters.format();
    int stripeCount = parameters.stripeCount();
    long sectorCount = Math.max(format.sectorCount(stripeCount), sectorsOf(store.byteLength()));
    ByteBuffer chunk = ByteBuffer.allocateDirect(CHUNK_SECTORS * MetadataFormat.SECTOR_BYTES);
    store.write(0, chunk.limit(MetadataFormat.SECTOR_BYTES));
    store.sync();
    long sector = 1;
    while (sector < sectorCount) {
      long end = Math.min(sector + CHUNK_SECTORS, sectorCount);
      fill(chunk.clear(), sector, end, parameters, stripeCount);
      store.write(sector, chunk.flip());
      sector = end;
    }
    store.sync();
    chunk.clear().limit(MetadataFormat.SECTOR_BYTES);
    new MetadataHeader(format, parameters.shift(), stripeCount).write(chunk);
    store.write(0, chunk);
    store.sync();
    store.syncDirectory();
  }

  private static void fill(
      ByteBuffer chunk, long sector, long end, MetadataParameters parameters, int stripeCount) {
    MetadataFormat format = parameters.format();
    long flagSectors = format.sectorCount(stripeCount);
    for (long at = sector; at < end; at++) {
      if (at < flagSectors) {
        format.encodeFlags(
            at,
            stripeCount,
            stripe -> parameters.hasSource().test(stripe) ? StripeFlags.HAS_SOURCE : 0,
            chunk);
      } else {
        chunk.put(new byte[MetadataFormat.SECTOR_BYTES]);
      }
    }
  }

  /** Sectors that cover so many bytes: a file of another length is made whole. */
  private static long sectorsOf(long byteLength) {
    return (byteLength + MetadataFormat.SECTOR_BYTES - 1) / MetadataFormat.SECTOR_BYTES;
  }

  /**
   * Looks at the first sector alone. A file whose other sectors are damaged does not load, but
   * knows more of its disk than a new one would; and so does one that is enciphered with other
   * keys, which looks like anything. Empty is a file that was made for this, and, in clear or
   * enciphered, what a creation that was cut short leaves.
   */
  private static void refuseContent(MetadataStore store, boolean enciphered) throws IOException {
    ByteBuffer sector = sectorInClear(store.path());
    boolean empty = isEmpty(sector);
    refuseMetadata(store.path(), sector);
    if (enciphered && store.byteLength() >= MetadataFormat.SECTOR_BYTES) {
      store.read(0, sector);
      empty |= isEmpty(sector);
      refuseMetadata(store.path(), sector);
    }
    if (!empty) {
      throw new MetadataException(
          store.path(),
          "holds something already, which is no metadata, or enciphered with other keys than"
              + " encryption_key has, or with none: --force would replace it, and what it has would"
              + " be lost");
    }
  }

  /** What the file begins with, whatever keys there are; zeros behind a shorter one's end. */
  private static ByteBuffer sectorInClear(String path) throws IOException {
    ByteBuffer sector = ByteBuffer.allocateDirect(MetadataFormat.SECTOR_BYTES);
    try (var in = Files.newInputStream(Path.of(path))) {
      return sector.put(in.readNBytes(MetadataFormat.SECTOR_BYTES)).clear();
    }
  }

  private static boolean isEmpty(ByteBuffer sector) {
    return sector.equals(ByteBuffer.allocate(MetadataFormat.SECTOR_BYTES));
  }

  private static void refuseMetadata(String path, ByteBuffer sector) throws MetadataException {
    if (MetadataHeader.hasMagic(sector)) {
      throw new MetadataException(
          path,
          "holds metadata already (version %s): --force would replace it, and what it knows of the"
                  .formatted(MetadataHeader.versionText(sector))
              + " disk would be lost");
    }
  }
}
