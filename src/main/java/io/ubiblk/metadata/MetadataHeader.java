// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.metadata;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;

/**
 * The first sector of a metadata file: that it is one, its format, and how long stripes are.
 *
 * @param format how the sectors behind it are to be read
 * @param shift a stripe has 2 to the power of this sectors
 * @param stripeCount stripes of the disk, an unsigned 32-bit number; not stored by 1.0, and 0 then
 */
record MetadataHeader(MetadataFormat format, int shift, long stripeCount) {
  /** What creation accepts. */
  static final int SHIFT_MIN = 6;

  /** What creation accepts. */
  static final int SHIFT_MAX = 16;

  /** What others may have created. */
  static final int SHIFT_READABLE_MAX = 17;

  private static final byte[] MAGIC = "BDEV_UBI\0".getBytes(StandardCharsets.US_ASCII);

  private static final int MAGIC_OFFSET = 0;
  private static final int MAJOR_OFFSET = 9;
  private static final int MINOR_OFFSET = 11;
  private static final int SHIFT_OFFSET = 13;
  private static final int STRIPE_COUNT_OFFSET = 14;
  private static final int CRC_OFFSET = 508;

  /** Fills the sector in {@code into}, 512 bytes from its position on, which stays. */
  void write(ByteBuffer into) {
    ByteBuffer sector = sector(into);
    sector.put(MAGIC_OFFSET, new byte[MetadataFormat.SECTOR_BYTES]);
    sector.put(MAGIC_OFFSET, MAGIC);
    sector.putShort(MAJOR_OFFSET, (short) format.major());
    sector.put(SHIFT_OFFSET, (byte) shift);
    if (format == MetadataFormat.V2_0) {
      sector.putInt(STRIPE_COUNT_OFFSET, (int) stripeCount);
      sector.putInt(CRC_OFFSET, MetadataFormat.crcOf(sector, 0));
    }
  }

  /** Whether the sector at the position of {@code from} is a header of any version. */
  static boolean hasMagic(ByteBuffer from) {
    return sector(from).slice(MAGIC_OFFSET, MAGIC.length).equals(ByteBuffer.wrap(MAGIC));
  }

  /** The version in a sector that has the magic, for people. */
  static String versionText(ByteBuffer from) {
    ByteBuffer sector = sector(from);
    return Short.toUnsignedInt(sector.getShort(MAJOR_OFFSET))
        + "."
        + Short.toUnsignedInt(sector.getShort(MINOR_OFFSET));
  }

  /** Reads the sector at the position of {@code from}, which {@code path} begins with. */
  static MetadataHeader read(String path, ByteBuffer from) throws MetadataException {
    ByteBuffer sector = sector(from);
    if (!hasMagic(sector)) {
      throw new MetadataException(path, withoutMagic(sector));
    }
    MetadataFormat format = format(path, sector);
    long stripeCount = 0;
    if (format == MetadataFormat.V2_0) {
      checkCrc(path, 0, sector);
      stripeCount = Integer.toUnsignedLong(sector.getInt(STRIPE_COUNT_OFFSET));
    }
    int shift = Byte.toUnsignedInt(sector.get(SHIFT_OFFSET));
    if (shift > SHIFT_READABLE_MAX) {
      throw new MetadataException(
          path, "has stripes of 2^%d sectors, at most 2^%d".formatted(shift, SHIFT_READABLE_MAX));
    }
    return new MetadataHeader(format, shift, stripeCount);
  }

  private static MetadataFormat format(String path, ByteBuffer sector) throws MetadataException {
    String version = versionText(sector);
    for (MetadataFormat format : MetadataFormat.values()) {
      if (format.text().equals(version)) {
        return format;
      }
    }
    throw new MetadataException(
        path, "has version " + version + "; this program reads 1.0 and 2.0");
  }

  /** Compares the checksum of a 2.0 sector that {@code from} has at its position. */
  static void checkCrc(String path, long sector, ByteBuffer from) throws MetadataException {
    int stored = sector(from).getInt(CRC_OFFSET);
    int computed = MetadataFormat.crcOf(from, from.position());
    if (stored != computed) {
      throw new MetadataException(
          path,
          "sector %d is damaged: its checksum is %08x, and that of its bytes is %08x"
              .formatted(sector, stored, computed));
    }
  }

  private static String withoutMagic(ByteBuffer sector) {
    byte[] bytes = new byte[MetadataFormat.SECTOR_BYTES];
    if (sector.equals(ByteBuffer.wrap(bytes))) {
      return "begins with an empty sector: init-metadata was not run on it, or was cut short";
    }
    return "does not begin as metadata does: it is some other file, or enciphered with other keys"
        + " than encryption_key has, or with none";
  }

  private static ByteBuffer sector(ByteBuffer bytes) {
    return bytes
        .slice(bytes.position(), MetadataFormat.SECTOR_BYTES)
        .order(ByteOrder.LITTLE_ENDIAN);
  }
}
