// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.transcode;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.ubiblk.transcode.PowerWorld.Content;
import io.ubiblk.transcode.PowerWorld.FileName;
import io.ubiblk.transcode.PowerWorld.LeftOut;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.security.SecureRandom;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.Optional;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

class JournalTest {
  private static final JournalLayout LAYOUT = JournalLayout.forSectors(10);

  private static final Witness FIRST = Witness.of(new Position(0, 7), sectors(8, 1));
  private static final Witness BEHIND = Witness.of(new Position(1, 1L << 40), sectors(3, 2));

  private final ByteBuffer scratch = ByteBuffer.allocateDirect(SlotDescriptor.BYTES);
  private final JournalId id = JournalId.random(new SecureRandom());
  private final PowerWorld world = new PowerWorld(new Content(), LeftOut.NOTHING);
  private SectorStore store;
  private Journal journal;

  @BeforeEach
  void create() throws IOException {
    JournalHeader header = new JournalHeader(id, LAYOUT, "/disk", Optional.of(FIRST));
    store = world.journals().create(header);
    journal = Journal.create(store, header, scratch);
    world.journals().publish();
  }

  private static ByteBuffer sectors(int count, int fill) {
    ByteBuffer bytes = ByteBuffer.allocateDirect(count * SectorStore.SECTOR_BYTES);
    while (bytes.hasRemaining()) {
      bytes.put((byte) fill);
    }
    return bytes.flip();
  }

  private SlotDescriptor fill(int slot, long sequence) throws IOException {
    List<Extent> extents = List.of(new Extent(0, 100 * sequence, 3, 0), new Extent(1, 5, 2, 8));
    List<byte[]> digests = new ArrayList<>();
    for (Extent extent : extents) {
      ByteBuffer content = sectors(extent.sectorCount(), (int) sequence + extent.target());
      journal.writeData(slot, extent, content);
      digests.add(Digests.of(content));
    }
    SlotDescriptor descriptor =
        new SlotDescriptor(id, sequence, extents, digests, FIRST, Optional.of(BEHIND));
    journal.complete(slot, descriptor, scratch);
    return descriptor;
  }

  private void damage(long sector, int byteInSector) throws IOException {
    ByteBuffer bytes = sectors(1, 0);
    store.read(sector, bytes);
    bytes.put(byteInSector, (byte) ~bytes.get(byteInSector));
    store.write(sector, bytes);
  }

  @Test
  void what_was_completed_is_there_after_it_was_opened_again() throws IOException {
    assertThat(journal.newestSlots(scratch)).isEmpty();
    fill(1, 1);
    fill(2, 2);
    Journal again = Journal.open(store, id, scratch);
    List<Journal.CompleteSlot> slots = again.newestSlots(scratch);
    assertThat(slots).hasSize(2);
    assertThat(slots.get(0).slot()).isEqualTo(1);
    SlotDescriptor newest = slots.get(1).descriptor();
    assertThat(newest.sequence()).isEqualTo(2);
    assertThat(newest.end()).isEqualTo(new Position(1, 7));
    assertThat(newest.first()).isEqualTo(FIRST);
    assertThat(newest.behind()).contains(BEHIND);
    assertThat(again.begin()).contains(FIRST);
    ByteBuffer content = sectors(3, 0);
    again.readData(2, newest.extents().get(0), newest.digests().get(0), content);
    assertThat(content).isEqualTo(sectors(3, 2));
  }

  @Test
  void a_torn_description_is_none_and_torn_data_is_damage() throws IOException {
    fill(1, 1);
    SlotDescriptor second = fill(2, 2);
    damage(LAYOUT.descriptorSector(2) + 100, 17);
    assertThat(journal.newestSlots(scratch)).hasSize(1);
    damage(LAYOUT.descriptorSector(2) + 100, 17);
    assertThat(journal.newestSlots(scratch)).hasSize(2);
    damage(LAYOUT.dataSector(2) + 2, 511);
    assertThatThrownBy(
            () ->
                journal.readData(
                    2, second.extents().get(0), second.digests().get(0), sectors(3, 0)))
        .isInstanceOf(IOException.class)
        .hasMessageContaining("is damaged");
  }

  @Test
  void the_two_newest_slots_are_what_may_be_half_applied() throws IOException {
    fill(1, 1);
    fill(2, 2);
    fill(0, 3);
    fill(1, 4);
    assertThat(journal.newestSlots(scratch))
        .extracting(slot -> slot.descriptor().sequence())
        .containsExactly(3L, 4L);
    // The one that is filled next may be torn in any way.
    damage(LAYOUT.descriptorSector(2), 0);
    assertThat(journal.newestSlots(scratch)).hasSize(2);
    // One of the two newest may not.
    damage(LAYOUT.descriptorSector(0), 0);
    assertThatThrownBy(() -> journal.newestSlots(scratch)).hasMessageContaining("is damaged");
  }

  @Test
  void slots_that_cannot_both_be_of_one_work_are_damage() throws IOException {
    fill(1, 1);
    fill(0, 4);
    assertThatThrownBy(() -> journal.newestSlots(scratch)).hasMessageContaining("is damaged");
  }

  @Test
  void another_journal_is_told_from_this_one() throws IOException {
    JournalId other = JournalId.random(new SecureRandom());
    assertThatThrownBy(() -> Journal.open(store, other, scratch))
        .hasMessageContaining("is another journal (" + id + ", of the marker /disk)")
        .hasMessageContaining(other.toString());
    damage(3, 0);
    assertThatThrownBy(() -> Journal.open(store, id, scratch))
        .hasMessageContaining("is no journal, or damaged");
  }

  @Test
  void a_journal_that_was_cut_short_is_damaged() throws IOException {
    byte[] whole = world.content().files.get(FileName.JOURNAL);
    Content content = new Content();
    content.files.put(FileName.JOURNAL, Arrays.copyOf(whole, whole.length - 512));
    SectorStore shorter = new PowerWorld(content, LeftOut.NOTHING).journals().open("wherever");
    assertThatThrownBy(() -> Journal.open(shorter, id, scratch))
        .hasMessageContaining("was cut short");
  }

  @Test
  void a_descriptor_has_room_for_as_many_extents_as_it_says() {
    List<Extent> extents =
        Collections.nCopies(SlotDescriptor.EXTENTS_MAX, new Extent(1, Long.MAX_VALUE, 8, 16));
    List<byte[]> digests = Collections.nCopies(SlotDescriptor.EXTENTS_MAX, new byte[Digests.BYTES]);
    new SlotDescriptor(id, 9, extents, digests, FIRST, Optional.empty()).write(scratch.clear());
    SlotDescriptor read = SlotDescriptor.read(scratch, id).orElseThrow();
    assertThat(read.extents()).isEqualTo(extents);
    assertThat(read.sequence()).isEqualTo(9);
  }

  @Test
  void a_path_that_is_longer_than_the_header_is_cut() {
    String path = "/é".repeat(4000);
    new JournalHeader(id, LAYOUT, path, Optional.empty()).write(scratch.clear());
    JournalHeader read = JournalHeader.read(scratch).orElseThrow();
    assertThat(read.layout()).isEqualTo(LAYOUT);
    assertThat(path).startsWith(read.marker().substring(0, 1000));
  }

  @Test
  void a_journal_is_no_longer_than_what_there_is_to_do() {
    assertThat(JournalLayout.forSectors(0).slotSectors()).isEqualTo(8);
    assertThat(JournalLayout.forSectors(9).slotSectors()).isEqualTo(16);
    assertThat(JournalLayout.forSectors(1L << 40).sectorCount() * 512)
        .isEqualTo(4096 + 3 * (65536 + (24 << 20)));
  }
}
