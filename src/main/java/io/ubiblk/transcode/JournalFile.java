// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.transcode;

import io.ubiblk.config.DirectIo;
import io.ubiblk.nativelib.NativeBuffer;
import io.ubiblk.nativelib.NativeDiskFile;
import io.ubiblk.nativelib.NativeLog;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Optional;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** The journal as a file that is locked while it is used. */
final class JournalFile implements JournalFiles, AutoCloseable {
  private static final Logger LOG = LoggerFactory.getLogger(JournalFile.class);

  /** Follows the name of a disk that is a file. */
  private static final String SUFFIX = ".ubiblk-journal";

  private static final int SECTOR_BYTES = SectorStore.SECTOR_BYTES;

  private final String disk;
  private final Optional<Path> wanted;
  private final Path path;
  private final int lockTimeoutMs;
  private final NativeLog log;
  private Optional<NativeDiskFile> file = Optional.empty();

  /**
   * The journal of a disk.
   *
   * @param wanted where it is to be; empty: beside the disk
   */
  JournalFile(NativeDiskFile disk, Optional<Path> wanted, int lockTimeoutMs, NativeLog log)
      throws IOException {
    if (wanted.isEmpty() && disk.isBlockDevice()) {
      throw new IOException(
          disk.path() + " is a block device: --journal must say where its journal is to be");
    }
    this.disk = disk.path();
    this.wanted = wanted.map(Path::toAbsolutePath);
    this.lockTimeoutMs = lockTimeoutMs;
    this.log = log;
    Path real = Path.of(disk.path()).toRealPath();
    path = this.wanted.orElse(real.resolveSibling(real.getFileName() + SUFFIX));
  }

  @Override
  public String path() {
    return path.toString();
  }

  @Override
  public SectorStore create(long sectorCount) throws IOException {
    refuseWhatIsThere();
    NativeDiskFile made =
        NativeDiskFile.create(
            unfinished().toString(), sectorCount * SECTOR_BYTES, DirectIo.AUTO, lockTimeoutMs, log);
    file = Optional.of(made);
    return NativeStore.of(made);
  }

  @Override
  public void publish() throws IOException {
    DurableFiles.rename(unfinished(), path);
  }

  @Override
  public void discard() throws IOException {
    close();
    DurableFiles.delete(unfinished());
  }

  /** What a crash leaves of a journal that is not complete has this name, and is replaced. */
  private Path unfinished() {
    return path.resolveSibling(path.getFileName() + ".new");
  }

  /** A file that is no journal may be anything; another disk's journal may be all that saves it. */
  private void refuseWhatIsThere() throws IOException {
    if (!Files.exists(path)) {
      return;
    } else if (!Files.isRegularFile(path)) {
      throw new IOException(path + " is not a regular file, and so cannot be the journal");
    }
    Optional<JournalHeader> header;
    try (NativeDiskFile there =
            NativeDiskFile.open(
                path(),
                NativeDiskFile.Access.READ,
                DirectIo.NEVER,
                SECTOR_BYTES,
                lockTimeoutMs,
                log);
        NativeBuffer scratch = NativeBuffer.allocate("a header", JournalHeader.BYTES)) {
      header = JournalHeader.of(NativeStore.of(there), scratch.bytes());
    }
    if (header.isEmpty()) {
      throw new IOException(
          path + " is there, and is no journal: remove it, or give another --journal");
    } else if (!header.get().disk().equals(disk)) {
      throw new IOException(
          "%s is the journal of %s: give another --journal".formatted(path, header.get().disk()));
    }
    LOG.info("{}: a journal that nothing came of is replaced", path);
  }

  @Override
  public SectorStore open(String begun) throws IOException {
    Path where = wanted.orElse(Path.of(begun));
    try {
      NativeDiskFile opened =
          NativeDiskFile.open(
              where.toString(),
              NativeDiskFile.Access.UPDATE,
              DirectIo.AUTO,
              SECTOR_BYTES,
              lockTimeoutMs,
              log);
      file = Optional.of(opened);
      return NativeStore.of(opened);
    } catch (IOException | IllegalArgumentException e) {
      throw new IOException(
          "%s is half re-encrypted, and its journal cannot be opened: %s"
              .formatted(disk, e.getMessage()),
          e);
    }
  }

  @Override
  public void delete(String begun) throws IOException {
    close();
    DurableFiles.delete(wanted.orElse(Path.of(begun)));
  }

  @Override
  public void close() throws IOException {
    if (file.isPresent()) {
      file.get().close();
      file = Optional.empty();
    }
  }
}
