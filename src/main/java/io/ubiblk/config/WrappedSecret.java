// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.config;

import io.ubiblk.secret.KeyEncryption;
import io.ubiblk.secret.Secret;
import java.security.GeneralSecurityException;
import java.util.Optional;

/** A secret as the file has it, and the place it stands at. */
final class WrappedSecret implements Written<Secret> {
  private final ConfigFile file;
  private final String keyPath;
  private final SecretName name;
  private final YamlNode.Scalar scalar;
  private final Secret value;

  /**
   * Keeps {@code value}, which {@code file} closes.
   *
   * @param keyPath where it stands, for messages
   * @param name what it is bound to when the KEK has neither init_vector nor auth_data
   * @param scalar where its text is
   */
  WrappedSecret(
      ConfigFile file, String keyPath, SecretName name, YamlNode.Scalar scalar, Secret value) {
    this.file = file;
    this.keyPath = keyPath;
    this.name = name;
    this.scalar = scalar;
    this.value = value;
  }

  String keyPath() {
    return keyPath;
  }

  SecretName name() {
    return name;
  }

  YamlNode.Scalar scalar() {
    return scalar;
  }

  @Override
  public Secret open(KeyEncryption kek) throws ConfigException {
    return file.open(kek, keyPath, name.text(), value);
  }

  /** Why the value does not open under {@code kek}, in a sentence; empty if it does. */
  Optional<String> refusal(KeyEncryption kek) {
    try {
      kek.open(name.text(), value).close();
      return Optional.empty();
    } catch (GeneralSecurityException e) {
      return Optional.of(e.getMessage());
    }
  }

  /** The exception for a mistake in the opened value. */
  ConfigException error(String sentence) {
    return file.error(keyPath, sentence);
  }
}
