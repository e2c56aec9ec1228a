// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.transcode;

import io.ubiblk.nativelib.NativeBuffer;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.Callable;
import java.util.concurrent.Future;
import java.util.stream.IntStream;

/**
 * Converts what is left of the work, slot by slot.
 *
 * <p>A slot is prepared (read, converted, made durable in the journal), then applied (written to
 * its targets, made durable there). While one is applied the next is prepared. A slot of the
 * journal is used again only once what it held was applied; {@link Journal} says why.
 */
final class SlotPipeline implements AutoCloseable {
  /** One that is applied, and one that is prepared. */
  private static final int IN_WORK = 2;

  private final List<Target> targets;
  private final Journal journal;
  private final WorkPlan plan;
  private final Progress progress;
  private final long total;
  private final Work pieces;
  private final Work applier = new Work("reencrypt-apply", 1);
  private final List<NativeBuffer> memory = new ArrayList<>();
  private final ByteBuffer scratch;
  private Optional<Witness> first;
  private long sequence;
  private long done;

  /**
   * A pipeline that is ready to run.
   *
   * @param scratch memory for a description of a slot
   * @param last what was completed before; empty: this is the beginning
   * @param threads that read, convert and write
   */
  SlotPipeline(
      List<Target> targets,
      Journal journal,
      WorkPlan plan,
      ByteBuffer scratch,
      Optional<SlotDescriptor> last,
      int threads,
      Progress progress)
      throws IOException {
    this.targets = targets;
    this.journal = journal;
    this.plan = plan;
    this.scratch = scratch;
    sequence = last.map(descriptor -> descriptor.sequence() + 1).orElse(1L);
    first = last.map(SlotDescriptor::first);
    this.progress = progress;
    total = plan.sectorsLeft();
    pieces = new Work("reencrypt", threads);
    try {
      for (int i = 0; i < IN_WORK; i++) {
        long bytes = (long) journal.layout().slotSectors() * SectorStore.SECTOR_BYTES;
        memory.add(NativeBuffer.allocate("sectors to re-encrypt", bytes));
      }
    } catch (OutOfMemoryError e) {
      close();
      throw e;
    }
  }

  /** What is between the two stages. */
  private record Prepared(List<Extent> extents, ByteBuffer memory) {
    ByteBuffer content(Extent extent) {
      return memory.slice(extent.slotOffset(), extent.byteLength());
    }
  }

  /** Does all the work. When this fails, what was begun has ended. */
  void run() throws IOException {
    Deque<Future<Void>> applied = new ArrayDeque<>(IN_WORK);
    progress.reached(0, total);
    try {
      while (true) {
        if (applied.size() == IN_WORK) {
          Work.ended(applied.remove());
        }
        Prepared prepared = prepare();
        if (prepared == null) {
          break;
        }
        applied.add(applier.begin(() -> apply(prepared)));
      }
    } finally {
      Work.ended(List.copyOf(applied));
    }
  }

  /** Null once there is nothing left. */
  private Prepared prepare() throws IOException {
    int slot = JournalLayout.slotOf(sequence);
    List<Extent> extents = plan.next(journal.layout().slotSectors(), SlotDescriptor.EXTENTS_MAX);
    if (extents.isEmpty()) {
      return null;
    }
    Prepared prepared = new Prepared(extents, memory.get((int) (sequence % IN_WORK)).bytes());
    List<byte[]> digests =
        pieces.all(extents.stream().map(extent -> convert(slot, extent, prepared)).toList());
    if (first.isEmpty()) {
      first = Optional.of(firstOf(prepared));
    }
    Optional<Position> upcoming = plan.upcoming();
    Optional<Witness> behind =
        upcoming.isPresent()
            ? Optional.of(Witness.read(targets, upcoming.get(), scratch))
            : Optional.empty();
    journal.complete(
        slot,
        new SlotDescriptor(journal.id(), sequence, extents, digests, first.get(), behind),
        scratch);
    sequence++;
    return prepared;
  }

  /** The first sectors of all, as they become. */
  private static Witness firstOf(Prepared prepared) {
    Extent extent = prepared.extents().get(0);
    ByteBuffer content = prepared.content(extent);
    int bytes = Math.min(content.limit(), Witness.SECTORS_MAX * SectorStore.SECTOR_BYTES);
    return Witness.of(new Position(extent.target(), extent.sector()), content.limit(bytes));
  }

  private Callable<byte[]> convert(int slot, Extent extent, Prepared prepared) {
    return () -> {
      Target target = targets.get(extent.target());
      ByteBuffer bytes = prepared.content(extent);
      target.store().read(extent.sector(), bytes);
      target.converter().convert(extent.sector(), bytes);
      byte[] digest = Digests.of(bytes);
      journal.writeData(slot, extent, bytes);
      return digest;
    };
  }

  private Void apply(Prepared prepared) throws IOException {
    pieces.all(prepared.extents().stream().map(extent -> write(extent, prepared)).toList());
    sync(targets, prepared.extents());
    done += prepared.extents().stream().mapToLong(Extent::sectorCount).sum();
    progress.reached(done, total);
    return null;
  }

  private Callable<Void> write(Extent extent, Prepared prepared) {
    return () -> {
      targets.get(extent.target()).store().write(extent.sector(), prepared.content(extent));
      return null;
    };
  }

  /** Makes durable what was written to the targets of the extents. */
  static void sync(List<Target> targets, List<Extent> extents) throws IOException {
    for (int target : IntStream.range(0, targets.size()).toArray()) {
      if (extents.stream().anyMatch(extent -> extent.target() == target)) {
        targets.get(target).store().sync();
      }
    }
  }

  @Override
  public void close() throws IOException {
    pieces.close();
    applier.close();
    for (NativeBuffer buffer : memory) {
      buffer.close();
    }
  }
}
