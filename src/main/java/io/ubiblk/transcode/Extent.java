// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.transcode;

/**
 * Sectors of a target that are converted in one piece, and where the journal has them meanwhile.
 *
 * @param target index of the target
 * @param sector the first
 * @param sectorCount how many, at most {@link #SECTORS_MAX}
 * @param slotSector where in the slot they are, a multiple of {@link #SLOT_ALIGN_SECTORS}
 */
record Extent(int target, long sector, int sectorCount, int slotSector) {
  /** 1 MiB: long enough for a disk, short enough to share a slot among threads. */
  static final int SECTORS_MAX = 2048;

  /** Direct I/O wants memory, and sometimes offsets, aligned to a page. */
  static final int SLOT_ALIGN_SECTORS = 8;

  /** The first place in the slot behind it. */
  int slotEnd() {
    return alignUp(slotSector + sectorCount);
  }

  static int alignUp(int sectors) {
    return (sectors + SLOT_ALIGN_SECTORS - 1) / SLOT_ALIGN_SECTORS * SLOT_ALIGN_SECTORS;
  }

  int slotOffset() {
    return slotSector * SectorStore.SECTOR_BYTES;
  }

  int byteLength() {
    return sectorCount * SectorStore.SECTOR_BYTES;
  }
}
