// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.config;

/**
 * A file that a user can correct: configuration, key-encrypting key, or the combination of both.
 * The message is one line, names file and key, and never holds a secret's value.
 */
public final class ConfigException extends Exception {
  private static final long serialVersionUID = 1L;

  /** A mistake told in one sentence. */
  public ConfigException(String message) {
    super(message);
  }
}
