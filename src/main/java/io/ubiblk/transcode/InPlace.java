// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.transcode;

import io.ubiblk.nativelib.NativeBuffer;
import io.ubiblk.nativelib.NativeXts;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.security.SecureRandom;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.stream.Collectors;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Changes the keys of a disk in place. A power cut or kill at any point leaves a disk that the same
 * work, begun again, completes.
 *
 * <ol>
 *   <li>The journal is made, durable. From here on space cannot run out.
 *   <li>The marker says that the keys are being changed. From here on no back end serves the disk.
 *   <li>{@link SlotPipeline}: the disk, then its metadata.
 *   <li>The marker says that the disk has the new keys.
 *   <li>The journal is removed.
 * </ol>
 */
final class InPlace {
  /** Slots that are applied again cover all that was done if there were no more of them. */
  private static final int APPLIED_AGAIN_MAX = 2;

  private static final Logger LOG = LoggerFactory.getLogger(InPlace.class);

  private final DiskState disk;
  private final MarkerStore markers;
  private final JournalFiles journals;
  private final NativeXts from;
  private final NativeXts to;
  private final Settings settings;

  /**
   * How it is done.
   *
   * @param assumeOldKey whether the old keys are taken to be right where nothing proves them
   * @param command the command line that does the work, for people who find the disk half done
   * @param threads that read, convert and write
   * @param slotSectorsMax sectors of a slot of the journal at most
   */
  record Settings(
      boolean assumeOldKey, String command, int threads, int slotSectorsMax, SecureRandom random) {}

  InPlace(
      DiskState disk,
      MarkerStore markers,
      JournalFiles journals,
      NativeXts from,
      NativeXts to,
      Settings settings) {
    this.disk = disk;
    this.markers = markers;
    this.journals = journals;
    this.from = from;
    this.to = to;
    this.settings = settings;
  }

  /** Does the work, or what is left of it. */
  void run(Progress progress) throws IOException {
    Optional<KeyMarker> found = markers.load();
    if (found.isPresent()) {
      // Whoever wrote it may have been killed before it was durable, and now it is acted upon.
      markers.save(found.get());
    }
    try (NativeBuffer scratch =
        NativeBuffer.allocate("the journal's descriptions", SlotDescriptor.BYTES)) {
      if (found.isPresent() && found.get().state() == KeyMarker.State.REENCRYPTING) {
        resume(found.get(), scratch, progress);
      } else if (found.isPresent() && found.get().check().matches(found.get().newCheck(), to)) {
        LOG.info("{} has the new keys already", disk.path());
        journals.delete(found.get().journal(), found.get().journalId());
      } else {
        if (found.isPresent()) {
          // Whoever did that work may have been killed before its last step.
          journals.delete(found.get().journal(), found.get().journalId());
        }
        begin(found, scratch, progress);
      }
    }
  }

  private void begin(Optional<KeyMarker> found, NativeBuffer scratch, Progress progress)
      throws IOException {
    OldKeys.prove(
        disk,
        found.map(marker -> new MarkerStore.Found(markers.path(), marker)),
        from,
        settings.assumeOldKey());
    Coverage coverage = disk.coverage();
    WorkPlan plan = plan(coverage, Position.START);
    JournalLayout layout =
        JournalLayout.forSectors(Math.min(plan.sectorsLeft(), settings.slotSectorsMax()));
    Optional<Position> upcoming = plan.upcoming();
    Optional<Witness> first =
        upcoming.isPresent()
            ? Optional.of(Witness.read(disk.targets(), upcoming.get(), scratch.bytes()))
            : Optional.empty();
    JournalHeader header =
        new JournalHeader(JournalId.random(settings.random()), layout, markers.path(), first);
    Journal journal = create(header, scratch);
    KeyCheck check = KeyCheck.random(settings.random());
    KeyMarker marker =
        new KeyMarker(
            KeyMarker.State.REENCRYPTING,
            disk.path(),
            settings.command(),
            journals.path(),
            header.id(),
            lengths(),
            check.salt(),
            check.valueOf(from),
            check.valueOf(to));
    markers.save(marker); // if this fails, it may be there all the same: the journal stays
    complete(marker, journal, plan, Optional.empty(), scratch, progress);
  }

  private String lengths() {
    return disk.targets().stream()
        .map(target -> Long.toString(target.store().sectorCount()))
        .collect(Collectors.joining(" "));
  }

  private Journal create(JournalHeader header, NativeBuffer scratch) throws IOException {
    long sectorCount = header.layout().sectorCount();
    SectorStore store = journals.create(header);
    try {
      Journal journal = Journal.create(store, header, scratch.bytes());
      journals.publish();
      return journal;
    } catch (IOException e) {
      journals.discard();
      throw new IOException(
          "the journal, which takes %d bytes, cannot be made, and nothing was changed: %s"
              .formatted(sectorCount * SectorStore.SECTOR_BYTES, e.getMessage()),
          e);
    }
  }

  private void resume(KeyMarker marker, NativeBuffer scratch, Progress progress)
      throws IOException {
    requireKeys(marker, marker.oldCheck(), from, "decrypt");
    requireKeys(marker, marker.newCheck(), to, "encrypt");
    if (!marker.sectors().equals(lengths())) {
      throw new IOException(
          "%s is half re-encrypted, and was %s sectors long (disk, metadata), not %s: it is another"
                  .formatted(disk.path(), marker.sectors(), lengths())
              + " disk, or the configuration has another metadata_path");
    }
    Journal journal =
        Journal.open(journals.open(marker.journal()), marker.journalId(), scratch.bytes());
    List<Journal.CompleteSlot> slots = journal.newestSlots(scratch.bytes());
    Optional<SlotDescriptor> last =
        slots.isEmpty() ? Optional.empty() : Optional.of(slots.get(slots.size() - 1).descriptor());
    checkWitnesses(journal, last, scratch);
    for (Journal.CompleteSlot slot : slots) {
      forEachExtent(journal, slot, (extent, content) -> {});
    }
    journal.confirm(slots, scratch.bytes());
    for (Journal.CompleteSlot slot : slots) {
      applyAgain(journal, slot);
    }
    LOG.info("{}: going on with what was begun", disk.path());
    Position position = last.map(SlotDescriptor::end).orElse(Position.START);
    Coverage coverage = position.target() == 0 ? disk.coverage() : Coverage.everything();
    complete(marker, journal, plan(coverage, position), last, scratch, progress);
  }

  /** Before anything is written. The slots that are applied again say nothing of the rest. */
  private void checkWitnesses(Journal journal, Optional<SlotDescriptor> last, NativeBuffer scratch)
      throws IOException {
    Optional<Witness> behind = last.isPresent() ? last.get().behind() : journal.begin();
    boolean right = behind.isEmpty() || behind.get().holds(disk.targets(), scratch.bytes());
    if (last.isPresent() && last.get().sequence() > APPLIED_AGAIN_MAX) {
      right &= last.get().first().holds(disk.targets(), scratch.bytes());
    }
    if (!right) {
      throw new IOException(
          "%s is half re-encrypted, and is not what its journal has left: the journal is damaged or"
                  .formatted(disk.path())
              + " an older copy, or the disk was restored or written meanwhile");
    }
  }

  private void requireKeys(KeyMarker marker, String value, NativeXts keys, String verb)
      throws IOException {
    if (!marker.check().matches(value, keys)) {
      throw new IOException(
          "%s is half re-encrypted, and the keys to %s with are not those that it was begun with"
              .formatted(disk.path(), verb));
    }
  }

  /** Writes what may be half written. What is written already is written once more. */
  private void applyAgain(Journal journal, Journal.CompleteSlot slot) throws IOException {
    forEachExtent(
        journal,
        slot,
        (extent, content) ->
            disk.targets().get(extent.target()).store().write(extent.sector(), content));
    SlotPipeline.sync(disk.targets(), slot.descriptor().extents());
  }

  /** Reads and checks what a slot holds, and hands it on, piece by piece. */
  private void forEachExtent(Journal journal, Journal.CompleteSlot slot, ExtentUse use)
      throws IOException {
    List<Extent> extents = slot.descriptor().extents();
    checkExtents(extents);
    long bytes = (long) Extent.SECTORS_MAX * SectorStore.SECTOR_BYTES;
    try (NativeBuffer memory = NativeBuffer.allocate("sectors of the journal", bytes)) {
      for (int i = 0; i < extents.size(); i++) {
        Extent extent = extents.get(i);
        ByteBuffer content = memory.bytes().limit(extent.byteLength());
        journal.readData(slot.slot(), extent, slot.descriptor().digests().get(i), content);
        use.with(extent, content);
      }
    }
  }

  private interface ExtentUse {
    void with(Extent extent, ByteBuffer content) throws IOException;
  }

  private void checkExtents(List<Extent> extents) throws IOException {
    for (Extent extent : extents) {
      List<Target> targets = disk.targets();
      if (extent.target() >= targets.size()
          || extent.sector() + extent.sectorCount()
              > targets.get(extent.target()).store().sectorCount()) {
        throw new IOException(
            "the journal is for a longer disk than %s, or for one with metadata"
                .formatted(disk.path()));
      }
    }
  }

  private void complete(
      KeyMarker marker,
      Journal journal,
      WorkPlan plan,
      Optional<SlotDescriptor> last,
      NativeBuffer scratch,
      Progress progress)
      throws IOException {
    try (SlotPipeline pipeline =
        new SlotPipeline(
            disk.targets(), journal, plan, scratch.bytes(), last, settings.threads(), progress)) {
      pipeline.run();
    }
    markers.save(marker.done());
    journals.delete(marker.journal(), marker.journalId());
  }

  private WorkPlan plan(Coverage ofDisk, Position start) {
    List<Long> lengths = new ArrayList<>();
    List<Coverage> coverages = new ArrayList<>();
    for (Target target : disk.targets()) {
      long length = target.store().sectorCount();
      lengths.add(length);
      coverages.add(coverages.isEmpty() ? ofDisk : Coverage.everything());
    }
    return new WorkPlan(lengths, coverages, start);
  }
}
