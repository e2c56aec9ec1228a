// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.transcode;

import io.ubiblk.config.DeviceConfig;
import io.ubiblk.config.DirectIo;
import io.ubiblk.nativelib.NativeDiskFile;
import io.ubiblk.nativelib.NativeLog;
import io.ubiblk.nativelib.NativeXts;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.security.SecureRandom;
import java.util.Optional;

/** Gives a disk other keys: in place, or a copy of it. */
public final class DiskReencryption {
  /** Long enough for the last writes of a process that was killed; nobody waits out a back end. */
  private static final int LOCK_TIMEOUT_MS = 1000;

  /** Follows the name of a file that is not complete. */
  private static final String PARTIAL = ".partial";

  private DiskReencryption() {}

  /**
   * How it is done.
   *
   * @param journal where the journal is to be; empty: beside the disk
   * @param assumeOldKey whether the old keys are taken to be right where nothing proves them
   * @param skipHoles whether holes of a file count as never written
   * @param threads that read, convert and write
   * @param command the command line that does the work, for people who find the disk half done
   */
  public record Options(
      Optional<Path> journal,
      boolean assumeOldKey,
      boolean skipHoles,
      int threads,
      String command) {}

  /**
   * Makes the disk that {@code from} describes the one that {@code to} does: in place if both have
   * the same path, else as new files. Does what is left of it if it was begun before.
   *
   * @param oldKeys the keys that the disk has
   * @param newKeys the keys that it gets; others
   */
  public static void run(
      DeviceConfig from,
      NativeXts oldKeys,
      DeviceConfig to,
      NativeXts newKeys,
      Options options,
      NativeLog log,
      Progress progress)
      throws IOException {
    requireOtherKeys(oldKeys, newKeys);
    if (from.metadataPath().isPresent() != to.metadataPath().isPresent()) {
      throw new IOException(
          "only one of the two configurations of %s has a metadata_path".formatted(from.path()));
    }
    boolean inPlace = isSame(from.path(), to.path());
    if (from.metadataPath().isPresent()
        && isSame(from.metadataPath().get(), to.metadataPath().get()) != inPlace) {
      throw new IOException(
          "path and metadata_path must both be the same in the two configurations, or both differ");
    }
    try (OpenDisk disk =
        OpenDisk.open(from, oldKeys, newKeys, options.skipHoles(), LOCK_TIMEOUT_MS, log)) {
      if (inPlace) {
        changeInPlace(disk, oldKeys, newKeys, options, log, progress);
      } else {
        copy(disk, oldKeys, to, options, log, progress);
      }
    }
  }

  private static void requireOtherKeys(NativeXts oldKeys, NativeXts newKeys) throws IOException {
    KeyCheck check = KeyCheck.random(new SecureRandom());
    if (check.matches(check.valueOf(oldKeys), newKeys)) {
      throw new IOException("both configurations have the same keys: there is nothing to change");
    }
  }

  private static boolean isSame(String path, String other) throws IOException {
    return path.equals(other)
        || (Files.exists(Path.of(path))
            && Files.exists(Path.of(other))
            && Files.isSameFile(Path.of(path), Path.of(other)));
  }

  private static void changeInPlace(
      OpenDisk disk,
      NativeXts oldKeys,
      NativeXts newKeys,
      Options options,
      NativeLog log,
      Progress progress)
      throws IOException {
    InPlace.Settings settings =
        new InPlace.Settings(
            options.assumeOldKey(),
            options.command(),
            options.threads(),
            JournalLayout.SLOT_SECTORS_MAX,
            new SecureRandom());
    MarkerFile markers =
        MarkerFile.of(disk.path())
            .orElseThrow(
                () ->
                    new IOException(
                        disk.path()
                            + " has no serial number or the like by which it could be known again"
                            + " after a boot: it cannot be re-encrypted in place, only copied"));
    refuseOtherNames(disk);
    try (JournalFile journal =
        new JournalFile(disk.file(), options.journal(), LOCK_TIMEOUT_MS, log)) {
      new InPlace(disk, markers, journal, oldKeys, newKeys, settings).run(progress);
    }
    disk.checkMetadata(newKeys);
  }

  /** Under another name it could be served with the old keys. */
  private static void refuseOtherNames(OpenDisk disk) throws IOException {
    Path path = Path.of(disk.path());
    if (Files.isRegularFile(path)) {
      int links = ((Number) Files.getAttribute(path, "unix:nlink")).intValue();
      if (links > 1) {
        throw new IOException(
            "%s has %d names (hard links), must have 1: under the others its marker is not found"
                .formatted(path, links));
      }
    }
  }

  /**
   * Each of the files has its name once it is complete, the disk last: when it is there, all of the
   * copy is, whatever ends this before.
   */
  private static void copy(
      OpenDisk disk,
      NativeXts oldKeys,
      DeviceConfig to,
      Options options,
      NativeLog log,
      Progress progress)
      throws IOException {
    Optional<MarkerStore.Found> found = MarkerFile.find(disk.path());
    KeyGuard.refuseHalfDone(disk.path(), found);
    refuseWhatIsThere(to.path());
    refuseWhatIsThere(to.path() + MarkerFile.SUFFIX);
    if (to.metadataPath().isPresent()) {
      refuseWhatIsThere(to.metadataPath().get());
    }
    OldKeys.prove(disk, found, oldKeys, options.assumeOldKey());
    Coverage coverage = disk.coverage();
    if (to.metadataPath().isPresent()) {
      Target metadata = disk.targets().get(1);
      Coverage all = Coverage.everything();
      copyTo(to.metadataPath().get(), metadata, all, DirectIo.NEVER, 1, log, Progress.NONE);
    }
    Target content = disk.targets().get(0);
    try {
      copyTo(to.path(), content, coverage, to.directIo(), options.threads(), log, progress);
    } catch (IOException | RuntimeException e) {
      removeMetadataOfNothing(to, e);
      throw e;
    }
  }

  /** The disk may have its name although that is not durable: then it needs its metadata. */
  private static void removeMetadataOfNothing(DeviceConfig to, Exception cause) {
    if (to.metadataPath().isPresent()
        && !Files.exists(Path.of(to.path()), LinkOption.NOFOLLOW_LINKS)) {
      try {
        DurableFiles.delete(Path.of(to.metadataPath().get()));
      } catch (IOException e) {
        cause.addSuppressed(e);
      }
    }
  }

  private static void copyTo(
      String path,
      Target content,
      Coverage coverage,
      DirectIo directIo,
      int threads,
      NativeLog log,
      Progress progress)
      throws IOException {
    Path partial = Path.of(path + PARTIAL);
    refuseWhatIsThere(partial.toString());
    long sectorCount = content.store().sectorCount();
    try (NativeDiskFile made =
        NativeDiskFile.create(
            partial.toString(),
            sectorCount * SectorStore.SECTOR_BYTES,
            directIo,
            LOCK_TIMEOUT_MS,
            log)) {
      new SectorCopy(content, coverage, 0, sectorCount, NativeStore.of(made), 0, progress)
          .run(threads);
      DurableFiles.rename(partial, Path.of(path));
    } catch (IOException | RuntimeException e) {
      DurableFiles.delete(partial);
      throw e;
    }
  }

  private static void refuseWhatIsThere(String path) throws IOException {
    if (Files.exists(Path.of(path), LinkOption.NOFOLLOW_LINKS)) {
      throw new IOException(path + " is there already; a copy makes new files only");
    }
  }
}
