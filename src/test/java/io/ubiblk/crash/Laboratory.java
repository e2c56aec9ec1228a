// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.crash;

import io.ubiblk.config.XtsEngine;
import io.ubiblk.nativelib.NativeLibrary;
import io.ubiblk.nativelib.NativeLog;
import io.ubiblk.nativelib.NativeSectorFile;
import io.ubiblk.nativelib.NativeXts;
import io.ubiblk.secret.Secret;
import io.ubiblk.secret.XtsKeys;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Comparator;
import java.util.Optional;
import java.util.Random;
import java.util.stream.Stream;

/** What all simulations share: a directory in memory, the log, one cipher. Any thread. */
final class Laboratory implements AutoCloseable {
  /** In memory if possible: nothing here has to survive anything. */
  private static final Path MEMORY = Path.of("/dev/shm");

  private final Path directory;
  private final NativeLog log;
  private final NativeXts xts;

  private Laboratory(Path directory, NativeLog log, NativeXts xts) {
    this.directory = directory;
    this.log = log;
    this.xts = xts;
  }

  static Laboratory open() throws IOException {
    NativeLibrary.load();
    NativeLog log = NativeLog.open();
    byte[] dataKey = new byte[XtsKeys.KEY_BYTES];
    byte[] tweakKey = new byte[XtsKeys.KEY_BYTES];
    Random random = new Random(1);
    random.nextBytes(dataKey);
    random.nextBytes(tweakKey);
    XtsKeys keys = XtsKeys.take(Secret.take(dataKey), Secret.take(tweakKey));
    NativeXts xts = NativeXts.create(keys, XtsEngine.AUTO, log);
    Path directory =
        Files.isWritable(MEMORY)
            ? Files.createTempDirectory(MEMORY, "ubiblk-crash")
            : Files.createTempDirectory("ubiblk-crash");
    return new Laboratory(directory, log, xts);
  }

  /** The files of a disk, in a directory of that name. */
  DiskFiles files(String name) throws IOException {
    Path place = Files.createDirectories(directory.resolve(name));
    return new DiskFiles(
        place.resolve("base"), place.resolve("metadata"), directory.resolve("image"));
  }

  NativeLog log() {
    return log;
  }

  Optional<NativeXts> cipher(CrashSetup setup) {
    return setup.encrypted() ? Optional.of(xts) : Optional.empty();
  }

  /**
   * The base disk's content in clear: sectors there have the tweaks that those of any file have.
   */
  ByteBuffer read(Path base, CrashSetup setup) throws IOException {
    ByteBuffer bytes = ByteBuffer.allocateDirect(setup.diskSectors() * CrashSetup.SECTOR_BYTES);
    NativeSectorFile.Mode mode = NativeSectorFile.Mode.READ;
    try (var file = NativeSectorFile.open(base.toString(), mode, 0, cipher(setup), log)) {
      file.read(0, bytes);
    }
    return bytes;
  }

  /** Makes a base disk of a content that is given in clear. */
  void write(Path base, CrashSetup setup, ByteBuffer content) throws IOException {
    NativeSectorFile.Mode mode = NativeSectorFile.Mode.CREATE;
    try (var file = NativeSectorFile.open(base.toString(), mode, 0, cipher(setup), log)) {
      file.write(0, content);
    }
  }

  @Override
  public void close() throws IOException {
    xts.close();
    log.close();
    try (Stream<Path> paths = Files.walk(directory)) {
      paths.sorted(Comparator.reverseOrder()).forEach(Laboratory::delete);
    }
  }

  private static void delete(Path path) {
    try {
      Files.delete(path);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }
}
