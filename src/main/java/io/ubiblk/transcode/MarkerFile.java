// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.transcode;

import java.io.IOException;
import java.nio.file.AccessDeniedException;
import java.nio.file.FileSystemException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.Optional;

/**
 * The marker of a disk as a file: beside a disk that is a file; for a block device in a directory
 * for all of them. It holds no secret, so that everybody who may serve the disk can read it.
 */
final class MarkerFile implements MarkerStore {
  /** Follows the name of a disk that is a file. */
  static final String SUFFIX = ".ubiblk-keys";

  /** Where markers of block devices are, unless this environment variable says otherwise. */
  static final String DIRECTORY_VARIABLE = "UBIBLK_KEYS_DIR";

  private static final Path DIRECTORY = Path.of("/var/lib/ubiblk/keys");
  private static final int BYTES_MAX = 1 << 16;

  private final Path file;

  private MarkerFile(Path file) {
    this.file = file;
  }

  /** The marker of the disk at {@code path}, which may be a symbolic link to it. */
  static MarkerFile of(String path) throws IOException {
    return of(
        path,
        Optional.ofNullable(System.getenv(DIRECTORY_VARIABLE)).map(Path::of).orElse(DIRECTORY));
  }

  static MarkerFile of(String path, Path directoryOfDevices) throws IOException {
    Path disk = Path.of(path).toRealPath();
    if (Files.isRegularFile(disk)) {
      return new MarkerFile(disk.resolveSibling(disk.getFileName() + SUFFIX));
    }
    return new MarkerFile(directoryOfDevices.resolve(DeviceIdentity.of(disk) + SUFFIX));
  }

  @Override
  public String path() {
    return file.toString();
  }

  @Override
  public Optional<KeyMarker> load() throws IOException {
    try (var in = Files.newInputStream(file)) {
      return Optional.of(KeyMarker.parse(path(), in.readNBytes(BYTES_MAX)));
    } catch (NoSuchFileException e) {
      return Optional.empty();
    } catch (FileSystemException e) {
      throw failed("read", e);
    }
  }

  @Override
  public void save(KeyMarker marker) throws IOException {
    try {
      Files.createDirectories(file.getParent());
      DurableFiles.replace(file, marker.toBytes());
    } catch (FileSystemException e) {
      throw failed("write", e);
    }
  }

  /** Of these the message is the path alone, or more than people want to read. */
  private IOException failed(String verb, FileSystemException e) {
    String reason = e instanceof AccessDeniedException ? "permission denied" : e.getReason();
    return new IOException("cannot %s %s: %s".formatted(verb, file, reason), e);
  }
}
