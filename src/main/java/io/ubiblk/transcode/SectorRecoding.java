// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.transcode;

import io.ubiblk.config.DirectIo;
import io.ubiblk.nativelib.NativeDiskFile;
import io.ubiblk.nativelib.NativeLog;
import io.ubiblk.nativelib.NativeXts;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.OptionalLong;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Enciphers or deciphers a range of sectors of one file into another. Sectors have the numbers that
 * they have in the input.
 */
public final class SectorRecoding {
  private static final Logger LOG = LoggerFactory.getLogger(SectorRecoding.class);

  private static final int SECTOR_BYTES = SectorStore.SECTOR_BYTES;

  /** Long enough for the last writes of a process that was killed. */
  private static final int LOCK_TIMEOUT_MS = 1000;

  private SectorRecoding() {}

  /** Which way. */
  public enum Direction {
    /** Ciphertext becomes plain text, which is written from the beginning of the output on. */
    DECODE,
    /** Plain text becomes ciphertext, which is written to where it was in the input. */
    ENCODE
  }

  /**
   * A range of the input.
   *
   * @param start the first sector
   * @param length how many sectors; empty: to the end
   */
  public record Range(long start, OptionalLong length) {
    private long endIn(String path, long sectors) throws IOException {
      if (Long.compareUnsigned(start, sectors) >= 0) {
        throw new IOException(
            "--start %s is not below the %d sectors of %s"
                .formatted(Long.toUnsignedString(start), sectors, path));
      } else if (length.isEmpty()) {
        return sectors;
      } else if (Long.compareUnsigned(length.getAsLong(), sectors - start) > 0) {
        throw new IOException(
            "--len %s is more than the %d sectors of %s from %d on"
                .formatted(
                    Long.toUnsignedString(length.getAsLong()), sectors - start, path, start));
      }
      return start + length.getAsLong();
    }
  }

  /**
   * Does it, and makes the output durable.
   *
   * @param output made, for its owner alone, or emptied, unless it is a block device
   * @param threads that read, convert and write
   */
  public static void run(
      String input,
      String output,
      Direction direction,
      Range range,
      NativeXts keys,
      int threads,
      NativeLog log,
      Progress progress)
      throws IOException {
    NativeDiskFile.DiskLook look = NativeDiskFile.look(input);
    if (Files.exists(Path.of(output)) && Files.isSameFile(Path.of(input), Path.of(output))) {
      throw new IOException(input + " is input and output at once");
    }
    look.holder().ifPresent(holder -> LOG.warn("{} is in use by {} and may change", input, holder));
    try (NativeDiskFile in =
        NativeDiskFile.open(
            input, NativeDiskFile.Access.READ, DirectIo.AUTO, SECTOR_BYTES, 0, log)) {
      SectorStore source = NativeStore.of(in);
      long end = range.endIn(input, source.sectorCount());
      boolean decode = direction == Direction.DECODE;
      if (decode) {
        KeyGuard.refuseHalfDone(input);
      }
      if (Files.exists(Path.of(output))) {
        KeyGuard.refuseMarked(output);
      }
      long count = end - range.start();
      long outputSectors = decode || count == 0 ? count : end;
      try (NativeDiskFile out =
          NativeDiskFile.create(
              output, outputSectors * SECTOR_BYTES, DirectIo.AUTO, LOCK_TIMEOUT_MS, log)) {
        new SectorCopy(
                new Target(source, decode ? keys::decrypt : keys::encrypt),
                Coverage.everything(),
                range.start(),
                end,
                NativeStore.of(out),
                decode ? -range.start() : 0,
                progress)
            .run(threads);
        if (!out.isBlockDevice()) {
          DurableFiles.syncDirectoryOf(Path.of(output));
        }
      }
    }
  }
}
