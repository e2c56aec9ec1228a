// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.transcode;

import io.ubiblk.nativelib.NativeBuffer;
import io.ubiblk.nativelib.NativeXts;
import java.io.IOException;
import java.security.SecureRandom;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
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
    try (NativeBuffer scratch =
        NativeBuffer.allocate("the journal's descriptions", SlotDescriptor.BYTES)) {
      if (found.isPresent() && found.get().state() == KeyMarker.State.REENCRYPTING) {
        resume(found.get(), scratch, progress);
      } else if (found.isPresent() && found.get().check().matches(found.get().newCheck(), to)) {
        LOG.info("{} has the new keys already", disk.path());
        journals.delete(found.get().journal());
      } else {
        begin(scratch, progress);
      }
    }
  }

  private void begin(NativeBuffer scratch, Progress progress) throws IOException {
    OldKeys.prove(disk, markers, from, settings.assumeOldKey());
    Coverage coverage = disk.coverage();
    WorkPlan plan = plan(coverage, Position.START);
    JournalLayout layout =
        JournalLayout.forSectors(Math.min(plan.sectorsLeft(), settings.slotSectorsMax()));
    JournalHeader header =
        new JournalHeader(JournalId.random(settings.random()), layout, disk.path());
    Journal journal = create(header, scratch);
    KeyCheck check = KeyCheck.random(settings.random());
    KeyMarker marker =
        new KeyMarker(
            KeyMarker.State.REENCRYPTING,
            disk.path(),
            settings.command(),
            journals.path(),
            header.id(),
            check.salt(),
            check.valueOf(from),
            check.valueOf(to));
    markers.save(marker);
    complete(marker, journal, plan, 1, scratch, progress);
  }

  private Journal create(JournalHeader header, NativeBuffer scratch) throws IOException {
    long sectorCount = header.layout().sectorCount();
    SectorStore store = journals.create(sectorCount);
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
    Journal journal =
        Journal.open(journals.open(marker.journal()), marker.journalId(), scratch.bytes());
    List<Journal.CompleteSlot> slots = journal.newestSlots(scratch.bytes());
    Position position = Position.START;
    long sequence = 1;
    for (Journal.CompleteSlot slot : slots) {
      applyAgain(journal, slot);
      position = slot.descriptor().end();
      sequence = slot.descriptor().sequence() + 1;
    }
    LOG.info("{}: going on with what was begun", disk.path());
    Coverage coverage =
        position.target() == 0
            ? disk.coverage()
            : Coverage.everything(disk.targets().get(0).store().sectorCount());
    complete(marker, journal, plan(coverage, position), sequence, scratch, progress);
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
    List<Extent> extents = slot.descriptor().extents();
    checkExtents(extents);
    long bytes = (long) Extent.SECTORS_MAX * SectorStore.SECTOR_BYTES;
    try (NativeBuffer memory = NativeBuffer.allocate("sectors of the journal", bytes)) {
      for (int i = 0; i < extents.size(); i++) {
        Extent extent = extents.get(i);
        var content = memory.bytes().limit(extent.byteLength());
        journal.readData(slot.slot(), extent, slot.descriptor().digests().get(i), content);
        disk.targets().get(extent.target()).store().write(extent.sector(), content);
      }
    }
    SlotPipeline.sync(disk.targets(), extents);
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
      long sequence,
      NativeBuffer scratch,
      Progress progress)
      throws IOException {
    try (SlotPipeline pipeline =
        new SlotPipeline(
            disk.targets(),
            journal,
            plan,
            scratch.bytes(),
            sequence,
            settings.threads(),
            progress)) {
      pipeline.run();
    }
    markers.save(marker.done());
    journals.delete(marker.journal());
  }

  private WorkPlan plan(Coverage ofDisk, Position start) {
    List<Long> lengths = new ArrayList<>();
    List<Coverage> coverages = new ArrayList<>();
    for (Target target : disk.targets()) {
      long length = target.store().sectorCount();
      lengths.add(length);
      coverages.add(coverages.isEmpty() ? ofDisk : Coverage.everything(length));
    }
    return new WorkPlan(lengths, coverages, start);
  }
}
