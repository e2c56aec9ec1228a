// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.transcode;

import io.ubiblk.config.DirectIo;
import io.ubiblk.config.FailureReason;
import io.ubiblk.nativelib.NativeBuffer;
import io.ubiblk.nativelib.NativeDiskFile;
import io.ubiblk.nativelib.NativeLog;
import java.io.IOException;
import java.nio.file.FileSystemException;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.nio.file.attribute.FileAttribute;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.List;
import java.util.Optional;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** The journal as a file that is locked while it is used. */
final class JournalFile implements JournalFiles, AutoCloseable {
  private static final Logger LOG = LoggerFactory.getLogger(JournalFile.class);

  /** Follows the name of a disk that is a file. */
  private static final String SUFFIX = ".ubiblk-journal";

  private static final FileAttribute<?> OWNER_ONLY =
      PosixFilePermissions.asFileAttribute(PosixFilePermissions.fromString("rw-------"));

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
  public SectorStore create(JournalHeader header) throws IOException {
    long sectorCount = header.layout().sectorCount();
    removeLeftOver(path, header);
    removeLeftOver(unfinished(), header);
    try {
      Files.createFile(unfinished(), OWNER_ONLY);
    } catch (FileSystemException e) {
      throw new IOException(
          "cannot make the journal %s: %s".formatted(unfinished(), FailureReason.ofMaking(e)), e);
    }
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

  /** What a crash leaves of a journal that is not complete has this name. */
  private Path unfinished() {
    return path.resolveSibling(path.getFileName() + ".new");
  }

  /**
   * Removes a journal of this disk that nothing came of. What is no journal may be anything, and
   * one that has something in it may be all that saves some disk; another disk's is needed even if
   * it is empty. Names go from disk to disk, so the disk must be as that journal found it, too.
   */
  private void removeLeftOver(Path there, JournalHeader header) throws IOException {
    if (!Files.exists(there, LinkOption.NOFOLLOW_LINKS)) {
      return;
    } else if (!Files.isRegularFile(there, LinkOption.NOFOLLOW_LINKS)) {
      throw new IOException(there + " is not a regular file, and so cannot be the journal");
    } else if (Files.size(there) > 0) {
      refuseWhatIsNeeded(there, header);
    }
    LOG.info("{}: a journal that nothing came of is removed", there);
    DurableFiles.delete(there);
  }

  private void refuseWhatIsNeeded(Path there, JournalHeader mine) throws IOException {
    try (NativeDiskFile left = open(there);
        NativeBuffer scratch = NativeBuffer.allocate("a header", SlotDescriptor.BYTES)) {
      if (left.nextData(0) == left.byteLength()) {
        return; // not a byte was written
      }
      SectorStore store = NativeStore.of(left);
      if (store.sectorCount() >= JournalLayout.HEADER_SECTORS) {
        store.read(0, scratch.bytes().limit(JournalHeader.BYTES));
      }
      if (!JournalHeader.hasMagic(scratch.bytes())) {
        throw new IOException(there + " is there, and is no journal: give another --journal");
      }
      Optional<JournalHeader> header = JournalHeader.read(scratch.bytes());
      if (header.isPresent()
          && (!header.get().marker().equals(mine.marker())
              || !header.get().begin().equals(mine.begin())
              || !Journal.open(store, header.get().id(), scratch.bytes())
                  .newestSlots(scratch.bytes())
                  .isEmpty())) {
        throw new IOException(
            "%s is the journal of a disk that may be half re-encrypted (its marker is %s): give"
                    .formatted(there, header.get().marker())
                + " another --journal, or remove it if no disk's marker names it");
      }
    }
  }

  private NativeDiskFile open(Path where) throws IOException {
    return NativeDiskFile.open(
        where.toString(),
        NativeDiskFile.Access.UPDATE,
        DirectIo.AUTO,
        SECTOR_BYTES,
        lockTimeoutMs,
        log);
  }

  @Override
  public SectorStore open(String begun) throws IOException {
    try {
      NativeDiskFile opened = open(where(begun));
      file = Optional.of(opened);
      return NativeStore.of(opened);
    } catch (IOException | IllegalArgumentException e) {
      throw new IOException(
          "%s is half re-encrypted, and its journal cannot be opened (--journal says where it is):"
                  .formatted(disk)
              + " "
              + e.getMessage(),
          e);
    }
  }

  /** Where it is wanted; else where it was begun; else, if all was moved, where it would be now. */
  private Path where(String begun) {
    return wanted.orElse(Files.exists(Path.of(begun)) ? Path.of(begun) : path);
  }

  @Override
  public void delete(String begun, JournalId id) throws IOException {
    close();
    for (Path there : List.of(where(begun), Path.of(begun))) {
      if (Files.isRegularFile(there, LinkOption.NOFOLLOW_LINKS) && isJournal(there, id)) {
        DurableFiles.delete(there);
      }
    }
  }

  private boolean isJournal(Path there, JournalId id) throws IOException {
    try (NativeDiskFile left = open(there);
        NativeBuffer scratch = NativeBuffer.allocate("a header", JournalHeader.BYTES)) {
      return JournalHeader.of(NativeStore.of(left), scratch.bytes())
          .filter(header -> header.id().equals(id))
          .isPresent();
    } catch (IOException | IllegalArgumentException e) {
      LOG.debug("{} is not the journal of {}", there, disk, e);
      return false; // in use, or no whole sectors: not the one that was begun here
    }
  }

  @Override
  public void close() throws IOException {
    if (file.isPresent()) {
      file.get().close();
      file = Optional.empty();
    }
  }
}
