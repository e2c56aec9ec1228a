// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.transcode;

import io.ubiblk.config.FailureReason;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.FileSystemException;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.attribute.UserDefinedFileAttributeView;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * The marker of a disk as a file: beside a disk that is a file; for a block device in a directory
 * for all of them. It holds no secret, so that everybody who may serve the disk can read it.
 *
 * <p>A disk that is a file has a copy of it as an extended attribute, where its file system keeps
 * some: that one goes with the disk when it gets another name.
 */
final class MarkerFile implements MarkerStore {
  private static final Logger LOG = LoggerFactory.getLogger(MarkerFile.class);

  /** Follows the name of a disk that is a file. */
  static final String SUFFIX = ".ubiblk-keys";

  /** Where markers of block devices are, unless this environment variable says otherwise. */
  static final String DIRECTORY_VARIABLE = "UBIBLK_KEYS_DIR";

  private static final String ATTRIBUTE = "ubiblk.keys";
  private static final Path DIRECTORY = Path.of("/var/lib/ubiblk/keys");
  private static final int BYTES_MAX = 1 << 16;

  private final Path file;
  private final Optional<Path> tagged;

  private MarkerFile(Path file, Optional<Path> tagged) {
    this.file = file;
    this.tagged = tagged;
  }

  /**
   * The marker of the disk at {@code path}, which may be a symbolic link to it; empty for a block
   * device that cannot be known again, and so never had one.
   */
  static Optional<MarkerFile> of(String path) throws IOException {
    return of(path, directoryOfDevices());
  }

  static Path directoryOfDevices() {
    return Optional.ofNullable(System.getenv(DIRECTORY_VARIABLE)).map(Path::of).orElse(DIRECTORY);
  }

  static Optional<MarkerFile> of(String path, Path directoryOfDevices) throws IOException {
    Path disk = Path.of(path).toRealPath();
    if (Files.isRegularFile(disk)) {
      Path beside = disk.resolveSibling(disk.getFileName() + SUFFIX);
      return Optional.of(new MarkerFile(beside, Optional.of(disk)));
    }
    return DeviceIdentity.of(disk)
        .map(name -> new MarkerFile(directoryOfDevices.resolve(name + SUFFIX), Optional.empty()));
  }

  /** Loads the marker of the disk at {@code path}; empty: it has none, or cannot have one. */
  static Optional<Found> find(String path) throws IOException {
    Optional<MarkerFile> file = of(path);
    return file.isPresent()
        ? file.get().load().map(marker -> new Found(file.get().path(), marker))
        : Optional.empty();
  }

  @Override
  public String path() {
    return file.toString();
  }

  @Override
  public Optional<KeyMarker> load() throws IOException {
    try (var in = Files.newInputStream(file)) {
      KeyMarker marker = KeyMarker.parse(path(), in.readNBytes(BYTES_MAX));
      DurableFiles.sync(file);
      return Optional.of(marker);
    } catch (NoSuchFileException e) {
      return tag();
    } catch (FileSystemException e) {
      throw failed("read", e);
    }
  }

  /** What a disk has kept that got another name. */
  private Optional<KeyMarker> tag() throws IOException {
    if (tagged.isEmpty()) {
      return Optional.empty();
    }
    try {
      if (!hasTag()) {
        return Optional.empty();
      }
      UserDefinedFileAttributeView view = attributes();
      ByteBuffer bytes = ByteBuffer.allocate(view.size(ATTRIBUTE));
      view.read(ATTRIBUTE, bytes);
      return Optional.of(KeyMarker.parse(ATTRIBUTE + " of " + tagged.get(), bytes.array()));
    } catch (FileSystemException e) {
      LOG.debug("{} has no extended attributes", tagged.get(), e);
      return Optional.empty();
    }
  }

  private boolean hasTag() throws IOException {
    UserDefinedFileAttributeView view = attributes();
    return view != null && view.list().contains(ATTRIBUTE);
  }

  /** What takes away all that there is of the marker, for people. */
  String removal() throws IOException {
    List<String> steps = new ArrayList<>();
    if (Files.exists(file, LinkOption.NOFOLLOW_LINKS)) {
      steps.add("remove " + file);
    }
    try {
      if (tagged.isPresent() && hasTag()) {
        steps.add("run setfattr -x user.%s %s".formatted(ATTRIBUTE, tagged.get()));
      }
    } catch (FileSystemException e) {
      LOG.debug("{} has no extended attributes", tagged.get(), e);
    }
    return String.join(" and ", steps);
  }

  private UserDefinedFileAttributeView attributes() {
    return Files.getFileAttributeView(tagged.orElseThrow(), UserDefinedFileAttributeView.class);
  }

  @Override
  public void save(KeyMarker marker) throws IOException {
    try {
      DurableFiles.createDirectories(file.getParent());
      DurableFiles.replace(file, marker.toBytes());
    } catch (FileSystemException e) {
      throw failed("write", e);
    } catch (IOException e) {
      throw new IOException("cannot write %s: %s".formatted(file, e.getMessage()), e);
    }
    if (tagged.isPresent()) {
      try {
        attributes().write(ATTRIBUTE, ByteBuffer.wrap(marker.toBytes()));
        DurableFiles.sync(tagged.get());
      } catch (FileSystemException | UnsupportedOperationException e) {
        LOG.debug("{} has no extended attributes", tagged.get(), e);
      }
    }
  }

  private IOException failed(String verb, FileSystemException e) {
    return new IOException("cannot %s %s: %s".formatted(verb, file, FailureReason.of(e)), e);
  }
}
