// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.transcode;

import io.ubiblk.config.DeviceConfig;
import io.ubiblk.metadata.MetadataFile;
import io.ubiblk.nativelib.NativeBuffer;
import io.ubiblk.nativelib.NativeDiskFile;
import io.ubiblk.nativelib.NativeLog;
import io.ubiblk.nativelib.NativeSectorFile;
import io.ubiblk.nativelib.NativeXts;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/** A disk and its metadata file, locked so that no back end serves them meanwhile. */
final class OpenDisk implements DiskState, AutoCloseable {
  private final NativeDiskFile file;
  private final Optional<NativeSectorFile> metadata;
  private final NativeXts from;
  private final boolean skipHoles;
  private final NativeLog log;
  private final List<Target> targets = new ArrayList<>();
  private Optional<NativeBuffer> flags = Optional.empty();

  private OpenDisk(
      NativeDiskFile file,
      Optional<NativeSectorFile> metadata,
      NativeXts from,
      boolean skipHoles,
      NativeLog log) {
    this.file = file;
    this.metadata = metadata;
    this.from = from;
    this.skipHoles = skipHoles;
    this.log = log;
  }

  /**
   * Opens the disk that {@code config} describes.
   *
   * @param from the keys that it has
   * @param to the keys that it is to have
   * @param skipHoles whether holes of its file count as never written
   */
  static OpenDisk open(
      DeviceConfig config,
      NativeXts from,
      NativeXts to,
      boolean skipHoles,
      int lockTimeoutMs,
      NativeLog log)
      throws IOException {
    NativeDiskFile file =
        NativeDiskFile.open(
            config.path(),
            NativeDiskFile.Access.UPDATE,
            config.directIo(),
            config.logicalBlockSize(),
            lockTimeoutMs,
            log);
    Optional<NativeSectorFile> metadata = Optional.empty();
    try {
      if (config.metadataPath().isPresent()) {
        metadata =
            Optional.of(
                NativeSectorFile.open(
                    config.metadataPath().get(),
                    NativeSectorFile.Mode.UPDATE,
                    lockTimeoutMs,
                    Optional.empty(),
                    log));
      }
      OpenDisk disk = new OpenDisk(file, metadata, from, skipHoles, log);
      disk.addTargets((sector, bytes) -> from.recrypt(to, sector, bytes));
      return disk;
    } catch (IOException | RuntimeException e) {
      if (metadata.isPresent()) {
        metadata.get().close();
      }
      file.close();
      throw e;
    }
  }

  private void addTargets(Target.Converter converter) throws IOException {
    targets.add(new Target(NativeStore.of(file), converter));
    if (metadata.isPresent()) {
      targets.add(new Target(NativeStore.of(metadata.get()), converter));
    }
  }

  /** The disk itself. */
  NativeDiskFile file() {
    return file;
  }

  @Override
  public String path() {
    return file.path();
  }

  @Override
  public List<Target> targets() {
    return List.copyOf(targets);
  }

  @Override
  public Coverage coverage() throws IOException {
    Optional<DiskCoverage.Stripes> stripes =
        metadata.isPresent() ? Optional.of(stripes(from)) : Optional.empty();
    return new DiskCoverage(sectorCount(), stripes, new FileHoles(file), skipHoles);
  }

  /** Loads the metadata, which also proves the keys that it is enciphered with. */
  private DiskCoverage.Stripes stripes(NativeXts keys) throws IOException {
    try (MetadataFile loaded = load(keys)) {
      NativeBuffer copy = NativeBuffer.allocate("flags of stripes", loaded.stripeCount());
      flags = Optional.of(copy);
      copy.bytes().put(loaded.flags().clear());
      return new DiskCoverage.Stripes(copy.bytes(), loaded.stripeSectorCountShift());
    }
  }

  /** Fails unless the metadata, if there is any, is enciphered with these keys. */
  void checkMetadata(NativeXts keys) throws IOException {
    if (metadata.isPresent()) {
      load(keys).close();
    }
  }

  private MetadataFile load(NativeXts keys) throws IOException {
    String path = metadata.orElseThrow().path();
    return MetadataFile.openReadOnly(path, sectorCount(), Optional.of(keys), log);
  }

  private long sectorCount() {
    return file.byteLength() / SectorStore.SECTOR_BYTES;
  }

  @Override
  public void close() throws IOException {
    if (flags.isPresent()) {
      flags.get().close();
    }
    if (metadata.isPresent()) {
      metadata.get().close();
    }
    file.close();
  }

  private record FileHoles(NativeDiskFile file) implements DiskCoverage.Holes {
    @Override
    public long nextData(long offset) throws IOException {
      return file.nextData(offset);
    }

    @Override
    public long nextHole(long offset) throws IOException {
      return file.nextHole(offset);
    }
  }
}
