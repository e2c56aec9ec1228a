// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.transcode;

/**
 * Where things lie in a journal. docs/reencryption.md draws it.
 *
 * @param slotSectors sectors of data in each slot
 */
record JournalLayout(int slotSectors) {
  static final int SLOTS = 3;

  /** Of the header, and so that what follows is page aligned. */
  static final int HEADER_SECTORS = 8;

  /** Of a slot's description. */
  static final int DESCRIPTOR_SECTORS = 128;

  /** 24 MiB: three syncs cost little beside writing so much twice. */
  static final int SLOT_SECTORS_MAX = 49152;

  /** A journal that is long enough for a slot of so many sectors. */
  static JournalLayout forSectors(long sectors) {
    long wanted = Math.max(1, Math.min(sectors, SLOT_SECTORS_MAX));
    return new JournalLayout(Extent.alignUp((int) wanted));
  }

  /** The slot that has this number in the order in which they are filled. */
  static int slotOf(long sequence) {
    return (int) (sequence % SLOTS);
  }

  /** How long the journal is. */
  long sectorCount() {
    return HEADER_SECTORS + (long) SLOTS * (DESCRIPTOR_SECTORS + slotSectors);
  }

  long descriptorSector(int slot) {
    return HEADER_SECTORS + (long) slot * (DESCRIPTOR_SECTORS + slotSectors);
  }

  long dataSector(int slot) {
    return descriptorSector(slot) + DESCRIPTOR_SECTORS;
  }
}
