// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.config;

import io.ubiblk.secret.KeyEncryption;
import io.ubiblk.secret.Secret;

/** A secret as the file has it, and the place it stands at. */
final class WrappedSecret implements Written<Secret> {
  private final ConfigFile file;
  private final String keyPath;
  private final String sealedName;
  private final Secret value;

  /**
   * Keeps {@code value}, which {@code file} closes.
   *
   * @param keyPath where it stands, for messages
   * @param sealedName what it is bound to when the KEK has neither init_vector nor auth_data
   */
  WrappedSecret(ConfigFile file, String keyPath, String sealedName, Secret value) {
    this.file = file;
    this.keyPath = keyPath;
    this.sealedName = sealedName;
    this.value = value;
  }

  @Override
  public Secret open(KeyEncryption kek) throws ConfigException {
    return file.open(kek, keyPath, sealedName, value);
  }

  /** The exception for a mistake in the opened value. */
  ConfigException error(String sentence) {
    return file.error(keyPath, sentence);
  }
}
