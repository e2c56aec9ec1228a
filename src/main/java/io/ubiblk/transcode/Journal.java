// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.transcode;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import java.util.Optional;

/**
 * New ciphertext that is durable here before it replaces the old one, so that what a power cut left
 * half written can be written again.
 *
 * <p>There are three slots, used in turn. While what one holds is applied to the disk the next is
 * filled, and it is completed only when what the one before the applied one held is durable on the
 * disk. So the two newest complete slots cover all that may be half written, and the third is the
 * one that is filled next: those two are never touched while they are needed.
 *
 * <p>Data may be written by several threads at once, all else by one. Holds no keys.
 */
final class Journal {
  private final SectorStore store;
  private final JournalHeader header;

  private Journal(SectorStore store, JournalHeader header) {
    this.store = store;
    this.header = header;
  }

  /**
   * Makes a journal of all of {@code store}, which is as long as the layout wants it. Every sector
   * is written, so that space cannot run out later, and durable on return.
   *
   * @param scratch memory for {@link SlotDescriptor#BYTES}
   */
  static Journal create(SectorStore store, JournalHeader header, ByteBuffer scratch)
      throws IOException {
    // First of all, so that what a kill leaves of it is known to be of a journal.
    JournalHeader.writeUnfinished(scratch.clear());
    store.write(0, scratch.limit(JournalHeader.BYTES));
    scratch.clear().put(new byte[scratch.capacity()]);
    long sectorCount = header.layout().sectorCount();
    int chunkSectors = scratch.capacity() / SectorStore.SECTOR_BYTES;
    for (long sector = JournalLayout.HEADER_SECTORS; sector < sectorCount; sector += chunkSectors) {
      int count = (int) Math.min(chunkSectors, sectorCount - sector);
      store.write(sector, scratch.clear().limit(count * SectorStore.SECTOR_BYTES));
    }
    store.sync();
    header.write(scratch.clear());
    store.write(0, scratch.limit(JournalHeader.BYTES));
    store.sync();
    return new Journal(store, header);
  }

  /**
   * Opens the journal that a marker names.
   *
   * @throws IOException if it is not that one
   */
  static Journal open(SectorStore store, JournalId id, ByteBuffer scratch) throws IOException {
    JournalHeader header =
        JournalHeader.of(store, scratch)
            .orElseThrow(() -> new IOException(store.path() + " is no journal, or damaged"));
    if (!header.id().equals(id)) {
      throw new IOException(
          "%s is another journal (%s, of the marker %s) than was begun for this disk (%s)"
              .formatted(store.path(), header.id(), header.marker(), id));
    } else if (store.sectorCount() < header.layout().sectorCount()) {
      throw new IOException(store.path() + " was cut short: the journal is damaged");
    }
    return new Journal(store, header);
  }

  JournalLayout layout() {
    return header.layout();
  }

  JournalId id() {
    return header.id();
  }

  /** The first sectors that are to be converted, as they were at the beginning. */
  Optional<Witness> begin() {
    return header.begin();
  }

  /**
   * Makes complete slots durable that were found. Whoever wrote them may have been killed before he
   * knew that they are; only what is written again can be trusted after a sync.
   */
  void confirm(List<CompleteSlot> slots, ByteBuffer scratch) throws IOException {
    for (CompleteSlot slot : slots) {
      slot.descriptor().write(scratch.clear());
      store.write(layout().descriptorSector(slot.slot()), scratch.limit(SlotDescriptor.BYTES));
    }
    store.sync();
  }

  /** Writes an extent's new content into a slot. */
  void writeData(int slot, Extent extent, ByteBuffer content) throws IOException {
    store.write(layout().dataSector(slot) + extent.slotSector(), content);
  }

  /**
   * Completes a slot, all data of which was written. On return it is durable.
   *
   * @param scratch memory for {@link SlotDescriptor#BYTES}
   */
  void complete(int slot, SlotDescriptor descriptor, ByteBuffer scratch) throws IOException {
    store.sync();
    descriptor.write(scratch.clear());
    store.write(layout().descriptorSector(slot), scratch.limit(SlotDescriptor.BYTES));
    store.sync();
  }

  /** A complete slot. */
  record CompleteSlot(int slot, SlotDescriptor descriptor) {}

  /**
   * The slots that may not be applied, in the order in which they were completed: the two newest.
   *
   * @throws IOException if one of them is not there
   */
  List<CompleteSlot> newestSlots(ByteBuffer scratch) throws IOException {
    List<CompleteSlot> slots = new ArrayList<>();
    for (int slot = 0; slot < JournalLayout.SLOTS; slot++) {
      store.read(layout().descriptorSector(slot), scratch.clear().limit(SlotDescriptor.BYTES));
      Optional<SlotDescriptor> descriptor = SlotDescriptor.read(scratch, id());
      if (descriptor.isPresent()) {
        slots.add(new CompleteSlot(slot, descriptor.get()));
      }
    }
    slots.sort(Comparator.comparingLong(slot -> slot.descriptor().sequence()));
    List<CompleteSlot> newest = slots.subList(Math.max(0, slots.size() - 2), slots.size());
    long last = newest.isEmpty() ? 0 : newest.get(newest.size() - 1).descriptor().sequence();
    for (int i = 0; i < newest.size(); i++) {
      if (newest.get(i).descriptor().sequence() != last - newest.size() + 1 + i) {
        throw damaged();
      }
    }
    if (newest.size() < Math.min(last, 2)) {
      throw damaged();
    }
    return newest;
  }

  /**
   * Reads an extent's content out of a slot.
   *
   * @throws IOException also if it is not what was written
   */
  void readData(int slot, Extent extent, byte[] digest, ByteBuffer into) throws IOException {
    store.read(layout().dataSector(slot) + extent.slotSector(), into);
    if (!Arrays.equals(Digests.of(into), digest)) {
      throw damaged();
    }
  }

  private IOException damaged() {
    return new IOException(
        store.path() + " is damaged: what was durable in it has changed since it was written");
  }
}
