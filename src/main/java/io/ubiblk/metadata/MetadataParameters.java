// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.metadata;

import java.io.IOException;
import java.util.function.IntPredicate;

/**
 * What a metadata file is created from.
 *
 * @param format the format to write
 * @param shift a stripe has 2 to the power of this sectors; 6 to 16
 * @param diskSectors length of the base disk
 * @param hasSource whether the source has content for a stripe
 */
public record MetadataParameters(
    MetadataFormat format, int shift, long diskSectors, IntPredicate hasSource) {

  /** Checks what callers have to have checked. */
  public MetadataParameters {
    if (shift < MetadataHeader.SHIFT_MIN || shift > MetadataHeader.SHIFT_MAX) {
      throw new IllegalArgumentException("shift " + shift + " is none that can be created");
    } else if (diskSectors < 1) {
      throw new IllegalArgumentException("a disk of " + diskSectors + " sectors");
    }
  }

  /**
   * Stripes of the disk; a partial last one counts.
   *
   * @throws IOException if these are more than can be kept track of
   */
  int stripeCount() throws IOException {
    long count = stripesOf(diskSectors, shift);
    if (count > MetadataFormat.STRIPES_MAX) {
      throw new IOException(
          "a disk of %d sectors has %d stripes of 2^%d sectors, at most %d: use longer stripes"
              .formatted(diskSectors, count, shift, MetadataFormat.STRIPES_MAX));
    }
    return (int) count;
  }

  /** Stripes of 2^shift sectors that {@code diskSectors} sectors make. */
  static long stripesOf(long diskSectors, int shift) {
    return ((diskSectors - 1) >>> shift) + 1;
  }
}
