// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.config;

import io.ubiblk.secret.KeyEncryption;
import io.ubiblk.secret.KeyEncryption.Dialect;
import io.ubiblk.secret.Secret;
import io.ubiblk.secret.StrictBase64;
import java.nio.file.Path;
import java.security.GeneralSecurityException;
import java.security.SecureRandom;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.function.Consumer;
import java.util.stream.Collectors;

/**
 * A configuration file as the tools for keys see it: its bytes, the secrets in it with their
 * places, and the loader that every program uses. Closing it zeroes all of that.
 */
final class SecretDocument implements AutoCloseable {
  private final ConfigFile file;
  private final byte[] utf8;
  private final ConfigKind kind;
  private final Written<?> written;
  private final List<WrappedSecret> secrets;

  private SecretDocument(ConfigFile file, byte[] utf8, ConfigKind kind, Written<?> written) {
    this.file = file;
    this.utf8 = utf8;
    this.kind = kind;
    this.written = written;
    this.secrets =
        file.found().stream()
            .sorted(Comparator.comparingInt(secret -> secret.scalar().span().start()))
            .toList();
  }

  /**
   * Reads {@code path}, up to its secrets.
   *
   * @param kind what it describes; empty: what its keys say
   */
  static SecretDocument read(Path path, Optional<ConfigKind> kind, Consumer<String> warnings)
      throws ConfigException {
    var file = new ConfigFile(path.toString(), warnings);
    byte[] utf8 = new byte[0];
    try {
      utf8 = file.bytes(path);
      YamlNode.Mapping root = file.mapping(utf8);
      ConfigKind found = kind.isPresent() ? kind.get() : ConfigKind.of(file, root);
      return new SecretDocument(file, utf8, found, ConfigLoader.parse(found, file, root));
    } catch (ConfigException | RuntimeException e) {
      Arrays.fill(utf8, (byte) 0);
      file.close();
      throw e;
    }
  }

  ConfigKind kind() {
    return kind;
  }

  /** Every secret, in the order of the file. */
  List<WrappedSecret> secrets() {
    return secrets;
  }

  /** Whether the file has this content. */
  boolean hasBytes(byte[] content) {
    return Arrays.equals(utf8, content);
  }

  /**
   * Loads the file as a program does that is configured by it.
   *
   * @return what it configures apart from secrets, which do not print
   */
  String load(KeyEncryption kek) throws ConfigException {
    return written.open(kek).toString();
  }

  /** Refuses a text that several keys use: wrapped, it is bound to one name. */
  void refuseShared() throws ConfigException {
    for (WrappedSecret secret : secrets()) {
      Set<String> uses = file.usesOf(secret.scalar());
      if (uses.size() > 1) {
        throw file.error(
            "%s are one value (lines %s), and a wrapped value is bound to one name; write it once"
                    .formatted(
                        String.join(" and ", uses),
                        secret.scalar().lines().stream()
                            .map(Object::toString)
                            .collect(Collectors.joining(" and ")))
                + " for each");
      }
    }
  }

  /** The file with every secret opened under {@code from} and sealed under {@code to}. */
  byte[] rewrapped(KeyEncryption from, KeyEncryption to, SecureRandom random)
      throws ConfigException {
    var editor = new ScalarEditor(utf8);
    for (WrappedSecret secret : secrets()) {
      try (Secret plain = secret.open(from)) {
        if (from.dialect() == Dialect.NONE) {
          refuseWrapped(secret, plain);
        }
        byte[] sealed = to.seal(secret.name().text(), plain, random);
        editor.replace(secret.scalar(), StrictBase64.encode(sealed));
      } catch (GeneralSecurityException e) {
        throw secret.error("cannot be wrapped: " + e.getMessage());
      }
    }
    return editor.edited();
  }

  /**
   * Refuses what looks like no secret in clear: wrapped twice, it would load and be another one.
   */
  private static void refuseWrapped(WrappedSecret secret, Secret plain) throws ConfigException {
    Optional<String> refusal = secret.name().refusal(plain);
    if (refusal.isPresent()) {
      throw secret.error(refusal.get() + "; if it is wrapped already, its KEK is missing");
    }
  }

  /** Whether both have the same secrets at the same keys, each under its own KEK. */
  boolean hasSecretsOf(SecretDocument other, KeyEncryption kek, KeyEncryption otherKek)
      throws ConfigException {
    if (secrets().size() != other.secrets().size()) {
      return false;
    }
    boolean same = true;
    for (int i = 0; i < secrets().size(); i++) {
      WrappedSecret mine = secrets().get(i);
      WrappedSecret theirs = other.secrets().get(i);
      try (Secret plain = mine.open(kek);
          Secret otherPlain = theirs.open(otherKek)) {
        same &= mine.keyPath().equals(theirs.keyPath()) && plain.sameBytes(otherPlain);
      }
    }
    return same;
  }

  ConfigException error(String sentence) {
    return file.error(sentence);
  }

  @Override
  public void close() {
    Arrays.fill(utf8, (byte) 0);
    file.close();
  }
}
