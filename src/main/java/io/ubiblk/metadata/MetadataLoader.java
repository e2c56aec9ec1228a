// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.metadata;

import io.ubiblk.nativelib.NativeBuffer;
import java.io.IOException;
import java.nio.ByteBuffer;

/**
 * Reads a whole metadata file and refuses what does not fit: to the disk, to its format, or to
 * itself. A file that passes is one that was created completely for a disk of this length.
 */
final class MetadataLoader {
  private static final int CHUNK_SECTORS = 128;

  private final MetadataStore store;
  private final ByteBuffer chunk =
      ByteBuffer.allocateDirect(CHUNK_SECTORS * MetadataFormat.SECTOR_BYTES);

  private MetadataHeader header;
  private int stripeCount;
  private long flagSectors;
  private ByteBuffer flags;

  private MetadataLoader(MetadataStore store) {
    this.store = store;
  }

  /**
   * What was read.
   *
   * @param flags one byte per stripe, bits of {@link StripeFlags#DURABLE}
   */
  record Loaded(MetadataFormat format, int shift, int stripeCount, NativeBuffer flags) {}

  /** Loads the metadata of a disk of {@code diskSectors} sectors. */
  static Loaded load(MetadataStore store, long diskSectors) throws IOException {
    return new MetadataLoader(store).load(diskSectors);
  }

  private Loaded load(long diskSectors) throws IOException {
    long sectorCount = sectorCount();
    store.read(0, chunk.clear().limit(MetadataFormat.SECTOR_BYTES));
    header = MetadataHeader.read(store.path(), chunk);
    stripeCount = stripeCount(diskSectors);
    flagSectors = header.format().sectorCount(stripeCount);
    if (sectorCount < flagSectors) {
      throw refused(
          "has %d bytes, too few for the %d stripes of the disk, which take %d"
              .formatted(bytes(sectorCount), stripeCount, bytes(flagSectors)));
    }
    NativeBuffer memory = NativeBuffer.allocate("the flags of stripes", stripeCount);
    try {
      flags = memory.bytes();
      readFlags(sectorCount);
      return new Loaded(header.format(), header.shift(), stripeCount, memory);
    } catch (IOException | RuntimeException e) {
      memory.close();
      throw e;
    }
  }

  private long sectorCount() throws IOException {
    long byteLength = store.byteLength();
    if (byteLength < MetadataFormat.SECTOR_BYTES || byteLength % MetadataFormat.SECTOR_BYTES != 0) {
      throw refused(
          "has %d bytes; metadata has a multiple of %d"
              .formatted(byteLength, MetadataFormat.SECTOR_BYTES));
    }
    return byteLength / MetadataFormat.SECTOR_BYTES;
  }

  private int stripeCount(long diskSectors) throws MetadataException {
    long ofDisk = MetadataParameters.stripesOf(diskSectors, header.shift());
    if (header.format() == MetadataFormat.V2_0 && header.stripeCount() != ofDisk) {
      throw refused(
          "is for %d stripes of 2^%d sectors, but the disk has %d"
              .formatted(header.stripeCount(), header.shift(), ofDisk));
    } else if (ofDisk > MetadataFormat.STRIPES_MAX) {
      throw refused(
          "has stripes of 2^%d sectors, of which the disk has %d, at most %d"
              .formatted(header.shift(), ofDisk, MetadataFormat.STRIPES_MAX));
    }
    return (int) ofDisk;
  }

  private void readFlags(long sectorCount) throws IOException {
    long sector = 1;
    while (sector < sectorCount) {
      int count = (int) Math.min(CHUNK_SECTORS, sectorCount - sector);
      store.read(sector, chunk.clear().limit(count * MetadataFormat.SECTOR_BYTES));
      for (int i = 0; i < count; i++) {
        readSector(sector + i, chunk.position(i * MetadataFormat.SECTOR_BYTES));
      }
      sector += count;
    }
  }

  /** Takes the flags out of the sector at the position of {@code bytes}. */
  private void readSector(long sector, ByteBuffer bytes) throws MetadataException {
    int start = bytes.position();
    int stripesPerSector = header.format().stripesPerSector();
    int used = 0;
    int end = start + MetadataFormat.SECTOR_BYTES;
    if (sector < flagSectors) {
      if (header.format() == MetadataFormat.V2_0) {
        MetadataHeader.checkCrc(store.path(), sector, bytes);
      }
      int first = header.format().firstStripeOf(sector);
      used = Math.min(stripesPerSector, stripeCount - first);
      readStripes(first, bytes, used);
      end = start + stripesPerSector;
    }
    for (int at = start + used; at < end; at++) {
      if (bytes.get(at) != 0) {
        throw refused(
            "is not empty behind the flags of the disk's %d stripes (sector %d, byte %d): it is for"
                    .formatted(stripeCount, sector, at - start)
                + " a longer disk, or damaged");
      }
    }
  }

  private void readStripes(int first, ByteBuffer bytes, int count) throws MetadataException {
    for (int i = 0; i < count; i++) {
      byte value = bytes.get(bytes.position() + i);
      if ((value & ~StripeFlags.DURABLE) != 0) {
        throw refused(
            "stripe %d has flags 0x%02x, of which 0x%02x are known"
                .formatted(first + i, value, StripeFlags.DURABLE));
      }
      flags.put(first + i, value);
    }
  }

  private static long bytes(long sectors) {
    return sectors * MetadataFormat.SECTOR_BYTES;
  }

  private MetadataException refused(String sentence) {
    return new MetadataException(store.path(), sentence);
  }
}
