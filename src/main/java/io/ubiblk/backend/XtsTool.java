// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.backend;

import io.ubiblk.config.DeviceConfig;
import io.ubiblk.nativelib.Terminal;
import io.ubiblk.transcode.DiskReencryption;
import io.ubiblk.transcode.SectorRecoding;
import java.io.IOException;
import java.io.PrintStream;
import java.nio.file.Path;
import java.util.Optional;
import java.util.OptionalLong;

/** The work of {@code xts}: files and disks under keys, while nobody serves them. */
public final class XtsTool {
  private XtsTool() {}

  /**
   * What is to be enciphered or deciphered.
   *
   * @param encode whether to encipher
   * @param start first sector of the input, an unsigned number
   * @param length sectors, an unsigned number; empty: to the end
   * @param threads that read, convert and write
   * @param quiet whether no progress is shown
   */
  public record Recoding(
      String input,
      String output,
      boolean encode,
      long start,
      OptionalLong length,
      int threads,
      boolean quiet) {}

  /**
   * What of re-encryption the configurations do not say.
   *
   * @param journal where the journal is to be; empty: beside the disk
   * @param assumeOldKey whether the old keys are right where nothing proves them
   * @param skipHoles whether holes of the disk's file count as never written
   * @param threads that read, convert and write
   * @param command the command line that this is, for people who find the disk half done
   * @param quiet whether no progress is shown
   */
  public record Reencryption(
      Optional<Path> journal,
      boolean assumeOldKey,
      boolean skipHoles,
      int threads,
      String command,
      boolean quiet) {}

  /**
   * Enciphers or deciphers a file by the keys of {@code config}, which has some, and which they are
   * taken out of.
   *
   * @param err standard error, where progress is shown
   */
  public static void recode(DeviceConfig config, Recoding recoding, PrintStream err)
      throws IOException {
    DiskTool.run(
        config,
        (xts, log) -> {
          try (ProgressPrinter progress = printer(recoding.quiet(), err)) {
            SectorRecoding.run(
                recoding.input(),
                recoding.output(),
                recoding.encode()
                    ? SectorRecoding.Direction.ENCODE
                    : SectorRecoding.Direction.DECODE,
                new SectorRecoding.Range(recoding.start(), recoding.length()),
                xts.orElseThrow(),
                recoding.threads(),
                log,
                progress);
          }
        });
  }

  /**
   * Gives the disk that {@code from} describes the keys of {@code to}. Both have keys, which are
   * taken out of them.
   *
   * @param err standard error, where progress is shown
   */
  public static void reencrypt(
      DeviceConfig from, DeviceConfig to, Reencryption reencryption, PrintStream err)
      throws IOException {
    if (to.encryptionKey().orElseThrow().halvesEqual()) {
      throw new IOException(
          "the two new keys of %s are the same, which weakens the encryption".formatted(to.path()));
    }
    DiskTool.run(
        from,
        to,
        (oldKeys, newKeys, log) -> {
          try (ProgressPrinter progress = printer(reencryption.quiet(), err)) {
            DiskReencryption.run(
                from,
                oldKeys,
                to,
                newKeys,
                new DiskReencryption.Options(
                    reencryption.journal(),
                    reencryption.assumeOldKey(),
                    reencryption.skipHoles(),
                    reencryption.threads(),
                    reencryption.command()),
                log,
                progress);
          }
        });
  }

  private static ProgressPrinter printer(boolean quiet, PrintStream err) {
    return quiet
        ? ProgressPrinter.silent()
        : new ProgressPrinter(err, Terminal.isStandardError(), System::nanoTime);
  }
}
