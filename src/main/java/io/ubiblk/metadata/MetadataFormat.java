// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.metadata;

import java.nio.ByteBuffer;
import java.util.function.IntUnaryOperator;
import java.util.zip.CRC32;

/**
 * The two formats of a metadata file: where the flags of a stripe lie, and what a sector of flags
 * looks like. docs/metadata.md draws both.
 */
public enum MetadataFormat {
  /** One byte per stripe from sector 1 on; no checksum, and the count of stripes is not stored. */
  V1_0(1, "1.0", MetadataFormat.SECTOR_BYTES),

  /** Every sector ends with a CRC-32 of the bytes before it; the count of stripes is stored. */
  V2_0(2, "2.0", MetadataFormat.SECTOR_BYTES - Integer.BYTES);

  /**
   * The most stripes of a disk: what is remembered of them while they are fetched fits into the
   * heap that the launcher gives (a few bits each, several times over).
   */
  public static final int STRIPES_MAX = 1 << 24;

  /** The unit of the file, and of what a crash leaves whole. */
  public static final int SECTOR_BYTES = 512;

  private final int major;
  private final String text;
  private final int stripesPerSector;

  MetadataFormat(int major, String text, int stripesPerSector) {
    this.major = major;
    this.text = text;
    this.stripesPerSector = stripesPerSector;
  }

  /** How the format is written on a command line and in reports: {@code 2.0}. */
  public String text() {
    return text;
  }

  /** The major version as stored; the minor one is 0. */
  int major() {
    return major;
  }

  /** Stripes whose flags lie in one sector. */
  public int stripesPerSector() {
    return stripesPerSector;
  }

  /** The sector of the file that holds the stripe's flags. */
  public long sectorOf(int stripe) {
    return 1L + stripe / stripesPerSector;
  }

  /** The first stripe whose flags lie in {@code sector}, which is 1 or more. */
  public int firstStripeOf(long sector) {
    return Math.toIntExact((sector - 1) * stripesPerSector);
  }

  /** Sectors of the header and of the flags of {@code stripeCount} stripes. */
  public long sectorCount(int stripeCount) {
    return stripeCount == 0 ? 1 : sectorOf(stripeCount - 1) + 1;
  }

  /**
   * Puts one sector of flags into {@code into}, 512 bytes from its position on, which moves behind
   * them. Stripes from {@code stripeCount} on have no flags.
   *
   * @param sector 1 or more
   * @param flags gives the bits of a stripe; those that only live in memory are left out
   */
  public void encodeFlags(long sector, int stripeCount, IntUnaryOperator flags, ByteBuffer into) {
    int start = into.position();
    int first = firstStripeOf(sector);
    int used = Math.max(0, Math.min(stripesPerSector, stripeCount - first));
    for (int i = 0; i < used; i++) {
      into.put((byte) (flags.applyAsInt(first + i) & StripeFlags.DURABLE));
    }
    for (int i = used; i < stripesPerSector; i++) {
      into.put((byte) 0);
    }
    if (this == V2_0) {
      putLittleEndian(into, crcOf(into, start));
    }
  }

  /** CRC-32 of a 2.0 sector's bytes before the checksum; the sector starts at {@code start}. */
  static int crcOf(ByteBuffer bytes, int start) {
    CRC32 crc = new CRC32();
    crc.update(bytes.duplicate().clear().position(start).limit(start + V2_0.stripesPerSector));
    return (int) crc.getValue();
  }

  private static void putLittleEndian(ByteBuffer into, int value) {
    for (int shift = 0; shift < Integer.SIZE; shift += Byte.SIZE) {
      into.put((byte) (value >>> shift));
    }
  }
}
