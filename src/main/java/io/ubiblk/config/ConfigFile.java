// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.config;

import io.ubiblk.secret.KeyEncryption;
import io.ubiblk.secret.Secret;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.ReadableByteChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.GeneralSecurityException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.function.Consumer;

/**
 * One file while it is being read: puts its name before every message, remembers the first value
 * out of range until the secrets are open, and zeroes whatever secret did not make it into a
 * result.
 */
final class ConfigFile implements AutoCloseable {
  /** More than any configuration needs; a FIFO or device cannot feed us without end. */
  static final int BYTES_MAX = 1 << 20;

  private final String name;
  private final Consumer<String> warnings;
  private final List<Secret> wrapped = new ArrayList<>();
  private final List<Secret> opened = new ArrayList<>();
  private final List<WrappedSecret> found = new ArrayList<>();
  private final Map<YamlNode.Scalar, Set<String>> uses = new HashMap<>();
  private ConfigException outOfRange;

  ConfigFile(String name, Consumer<String> warnings) {
    this.name = name;
    this.warnings = warnings;
  }

  /** Opens {@code path} once, reads it to its end, and gives its top-level mapping. */
  static YamlNode.Mapping read(ConfigFile file, Path path) throws ConfigException {
    byte[] content = file.bytes(path);
    try {
      return file.mapping(content);
    } finally {
      Arrays.fill(content, (byte) 0);
    }
  }

  /** The top-level mapping of {@code content}, which the caller zeroes. */
  YamlNode.Mapping mapping(byte[] content) throws ConfigException {
    try {
      if (YamlReader.read(content) instanceof YamlNode.Mapping mapping) {
        return mapping;
      }
      throw new ConfigException("is not a mapping of keys to values");
    } catch (ConfigException e) {
      throw error(e.getMessage());
    }
  }

  /** The exception for a mistake of the whole file. */
  ConfigException error(String sentence) {
    return new ConfigException(name + ": " + sentence);
  }

  /** The exception for a mistake at one key. */
  ConfigException error(String keyPath, String sentence) {
    return new ConfigException(name + ": " + keyPath + ": " + sentence);
  }

  void warn(String keyPath, String sentence) {
    warnings.accept(name + ": " + keyPath + ": " + sentence);
  }

  /** Remembers a value that its type allows and its limits do not; the first one is told. */
  void outOfRange(String keyPath, String sentence) {
    if (outOfRange == null) {
      outOfRange = error(keyPath, sentence);
    }
  }

  /** Throws what {@link #outOfRange} remembered. */
  void checkRanges() throws ConfigException {
    if (outOfRange != null) {
      throw outOfRange;
    }
  }

  /** Zeroes {@code secret} when this file is closed. */
  Secret wrapped(Secret secret) {
    wrapped.add(secret);
    return secret;
  }

  /** Remembers a secret and that the key it stands at takes its text. */
  WrappedSecret found(WrappedSecret secret) {
    found.add(secret);
    used(secret.scalar(), secret.keyPath());
    return secret;
  }

  /** Remembers that the key at {@code keyPath} takes its value from {@code scalar}. */
  void used(YamlNode.Scalar scalar, String keyPath) {
    uses.computeIfAbsent(scalar, unused -> new LinkedHashSet<>()).add(keyPath);
  }

  /** Every secret so far. */
  List<WrappedSecret> found() {
    return found;
  }

  /** The keys that take the text of {@code scalar}: several, if there are aliases of it. */
  Set<String> usesOf(YamlNode.Scalar scalar) {
    return uses.getOrDefault(scalar, Set.of());
  }

  /** Opens a wrapped value; the result is zeroed on close unless {@link #release} came before. */
  Secret open(KeyEncryption kek, String keyPath, String sealedName, Secret value)
      throws ConfigException {
    try {
      Secret secret = kek.open(sealedName, value);
      opened.add(secret);
      return secret;
    } catch (GeneralSecurityException e) {
      throw error(keyPath, e.getMessage());
    }
  }

  /** Leaves the opened secrets to the result they went into. */
  void release() {
    opened.clear();
  }

  @Override
  public void close() {
    wrapped.forEach(Secret::close);
    opened.forEach(Secret::close);
  }

  /**
   * Opens {@code path} once and reads it to its end; the caller zeroes the result. Reads into
   * memory of its own: what the channel copies for a Java array it never clears.
   */
  byte[] bytes(Path path) throws ConfigException {
    ByteBuffer part = ByteBuffer.allocateDirect(8192);
    byte[] content = new byte[0];
    try (ReadableByteChannel in = Files.newByteChannel(path)) {
      while (content.length <= BYTES_MAX && in.read(part.clear()) >= 0) {
        int length = content.length;
        content = resized(content, length + part.flip().remaining());
        part.get(content, length, part.remaining());
      }
    } catch (IOException e) {
      Arrays.fill(content, (byte) 0);
      throw error("cannot be read: " + FailureReason.of(e));
    } finally {
      part.clear().put(new byte[part.capacity()]);
    }
    if (content.length > BYTES_MAX) {
      Arrays.fill(content, (byte) 0);
      throw error("is longer than " + BYTES_MAX + " bytes");
    }
    return content;
  }

  private static byte[] resized(byte[] bytes, int length) {
    byte[] copy = Arrays.copyOf(bytes, length);
    Arrays.fill(bytes, (byte) 0);
    return copy;
  }
}
