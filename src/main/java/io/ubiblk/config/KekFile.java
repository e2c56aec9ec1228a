// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.config;

import io.ubiblk.config.Keys.KekMethod;
import io.ubiblk.secret.KeyEncryption;
import io.ubiblk.secret.Secret;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Optional;
import java.util.function.Consumer;

/**
 * The file with the key-encrypting key. It is opened once and read to its end, so a FIFO or {@code
 * /dev/stdin} works. Its values are judged when the first secret is opened under them.
 */
public final class KekFile implements AutoCloseable {
  private final Path path;
  private final KeyEncryption keyEncryption;

  private KekFile(Path path, KeyEncryption keyEncryption) {
    this.path = path;
    this.keyEncryption = keyEncryption;
  }

  /** Reads {@code path}; {@code warnings} gets a line for every unknown key. */
  public static KekFile load(Path path, Consumer<String> warnings) throws ConfigException {
    try (var file = new ConfigFile(path.toString(), warnings)) {
      var fields = new Fields(file, "", ConfigFile.read(file, path), Keys.KEK, Fields.Mode.DIRECT);
      // Nothing wraps the values of this file.
      KeyEncryption keyEncryption = WrittenKek.read(fields).open(KeyEncryption.none());
      file.release();
      return new KekFile(path, keyEncryption);
    }
  }

  /**
   * Removes the file, so that the key is nowhere but in this process.
   *
   * @throws ConfigException if it cannot be removed
   */
  public void unlink() throws ConfigException {
    if (path.equals(Path.of("/dev/stdin")) || path.startsWith("/dev/fd")) {
      throw new ConfigException(path + ": cannot be removed: it is no file of its own");
    }
    try {
      Files.delete(path);
    } catch (IOException e) {
      throw new ConfigException(path + ": cannot be removed: " + FailureReason.of(e));
    }
  }

  /** What opens the values that this key wrapped. */
  public KeyEncryption keyEncryption() {
    return keyEncryption;
  }

  /**
   * What seals new values. {@code warnings} gets a line if that does not bind them to their names.
   *
   * @throws ConfigException if nothing is sealed under this key
   */
  public KeyEncryption sealing(Consumer<String> warnings) throws ConfigException {
    Optional<String> refusal = keyEncryption.sealingRefusal();
    if (refusal.isPresent()) {
      throw new ConfigException(path + ": " + refusal.get());
    } else if (!keyEncryption.bindsNames()) {
      warnings.accept(
          path + ": auth_data: is there, so values that are wrapped are not bound to their names");
    }
    return keyEncryption;
  }

  /** Zeroes the key. */
  @Override
  public void close() {
    keyEncryption.close();
  }

  /**
   * The four keys of a KEK, which stand in a KEK file as they are and in {@code archive_kek}
   * wrapped by the KEK of the process.
   */
  record WrittenKek(
      KekMethod method,
      Optional<WrappedSecret> key,
      Optional<WrappedSecret> initVector,
      Optional<WrappedSecret> authData)
      implements Written<KeyEncryption> {

    static WrittenKek read(Fields fields) throws ConfigException {
      return new WrittenKek(
          fields.choice(Keys.METHOD),
          fields.optionalSecret(Keys.KEY, SecretName.ARCHIVE_KEK_KEY),
          fields.optionalSecret(Keys.INIT_VECTOR, SecretName.ARCHIVE_KEK_INIT_VECTOR),
          fields.optionalSecret(Keys.AUTH_DATA, SecretName.ARCHIVE_KEK_AUTH_DATA));
    }

    @Override
    public KeyEncryption open(KeyEncryption kek) throws ConfigException {
      Optional<Secret> openedKey = Written.openIfPresent(key, kek);
      Optional<Secret> openedVector = Written.openIfPresent(initVector, kek);
      Optional<Secret> openedData = Written.openIfPresent(authData, kek);
      return method == KekMethod.NONE
          ? KeyEncryption.none()
          : KeyEncryption.aes256Gcm(openedKey, openedVector, openedData);
    }
  }
}
