// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.transcode;

import io.ubiblk.nativelib.NativeBuffer;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.Collections;
import java.util.List;
import java.util.concurrent.Callable;

/**
 * Copies sectors of one store to another and converts them on the way. Several threads, each with a
 * buffer of its own, take the next piece from the plan.
 */
final class SectorCopy {
  private final Target source;
  private final SectorStore destination;
  private final long shift;
  private final WorkPlan plan;
  private final Progress progress;
  private final long total;
  private long done;
  private boolean failed;

  /**
   * A copy that is ready to run.
   *
   * @param source where from, and what becomes of it; numbers for the converter are the source's
   * @param end the sector of the source before which it ends
   * @param shift what a sector's number in the destination has more than in the source
   */
  SectorCopy(
      Target source,
      Coverage coverage,
      long start,
      long end,
      SectorStore destination,
      long shift,
      Progress progress)
      throws IOException {
    this.source = source;
    this.destination = destination;
    this.shift = shift;
    this.progress = progress;
    plan = new WorkPlan(List.of(end), List.of(coverage), new Position(0, start));
    total = plan.sectorsLeft();
  }

  /** Does all the work and makes it durable. When this fails, what was begun has ended. */
  void run(int threads) throws IOException {
    progress.reached(0, total);
    try (Work work = new Work("copy", threads)) {
      Callable<Void> piecemeal = this::copyPieces;
      work.all(Collections.nCopies(threads, piecemeal));
    }
    destination.sync();
  }

  private Void copyPieces() throws IOException {
    boolean completed = false;
    long bytes = (long) Extent.SECTORS_MAX * SectorStore.SECTOR_BYTES;
    try (NativeBuffer memory = NativeBuffer.allocate("sectors to copy", bytes)) {
      for (List<Extent> next = next(); !next.isEmpty(); next = next()) {
        Extent extent = next.get(0);
        ByteBuffer content = memory.bytes().limit(extent.byteLength());
        source.store().read(extent.sector(), content);
        source.converter().convert(extent.sector(), content);
        destination.write(extent.sector() + shift, content);
        ended(extent);
      }
      completed = true;
      return null;
    } finally {
      if (!completed) {
        fail();
      }
    }
  }

  /** Nothing more once some thread has failed: its failure is to be told at once. */
  private synchronized List<Extent> next() throws IOException {
    return failed ? List.of() : plan.next(Extent.SECTORS_MAX, 1);
  }

  private synchronized void fail() {
    failed = true;
  }

  private synchronized void ended(Extent extent) {
    done += extent.sectorCount();
    progress.reached(done, total);
  }
}
