// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.metadata;

import io.ubiblk.nativelib.NativeLibrary;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;

/** Metadata for tests, as bytes. */
final class MetadataFiles {
  /** The disk of the vectors: 4 stripes of 1 MiB, an image for the first two. */
  static final int SHIFT = 11;

  static final long DISK_SECTORS = 8192;

  private MetadataFiles() {}

  /** A file below the vectors. */
  static byte[] vector(String name) {
    try {
      return Files.readAllBytes(Path.of("src/test/resources/vectors", name));
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  /** What creation makes of a file that was {@code before}; the first stripes have a source. */
  static byte[] created(
      byte[] before, MetadataFormat format, int shift, long diskSectors, int withSource)
      throws IOException {
    var store = new MemoryStore(before);
    MetadataCreator.write(
        store, new MetadataParameters(format, shift, diskSectors, stripe -> stripe < withSource));
    return store.content();
  }

  /** Loads {@code content} and gives the flags. */
  static byte[] load(byte[] content, long diskSectors) throws IOException {
    NativeLibrary.load();
    try (MetadataFile file = MetadataFile.load(new MemoryStore(content), diskSectors)) {
      ByteBuffer flags = file.flags();
      byte[] bytes = new byte[flags.remaining()];
      flags.get(bytes);
      return bytes;
    }
  }
}
