// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.config;

import io.ubiblk.secret.KeyEncryption;
import java.io.IOException;
import java.nio.file.Path;
import java.security.SecureRandom;
import java.util.Arrays;
import java.util.Optional;
import java.util.function.Consumer;

/**
 * Wraps every secret of a configuration file under another KEK, each with a nonce of its own.
 *
 * <p>The file is edited, not printed anew: what is no secret stays byte for byte. Before the result
 * takes the place of the file it was written, synced, read again and loaded under the new KEK, and
 * gave the same secrets and settings as the file under the old one; so a mistake here loses no key.
 */
public final class Rewrap {
  private final Request request;
  private final KeyEncryption from;
  private final KeyEncryption to;

  private Rewrap(Request request, KeyEncryption from, KeyEncryption to) {
    this.request = request;
    this.from = from;
    this.to = to;
  }

  /**
   * What to do.
   *
   * @param config the file
   * @param kind what it describes; empty: what its keys say
   * @param output where the result goes, a file that is made; empty: in the place of {@code config}
   */
  public record Request(Path config, Optional<ConfigKind> kind, Optional<Path> output) {}

  /**
   * Does it.
   *
   * @param from what the file's secrets are wrapped with; null if they are not wrapped
   * @param to what they shall be wrapped with
   * @throws ConfigException if the file does not load, or cannot be rewrapped; nothing was changed
   * @throws IOException if the result cannot be written; the message says if anything was changed
   */
  public static void run(
      Request request, KekFile from, KekFile to, SecureRandom random, Consumer<String> warnings)
      throws ConfigException, IOException {
    KeyEncryption old = from == null ? KeyEncryption.none() : from.keyEncryption();
    new Rewrap(request, old, to.sealing(warnings)).run(random, warnings);
  }

  private void run(SecureRandom random, Consumer<String> warnings)
      throws ConfigException, IOException {
    try (SecretDocument before = SecretDocument.read(request.config(), request.kind(), warnings)) {
      String settings = before.load(from);
      if (before.secrets().isEmpty()) {
        throw before.error("has no secrets, so there is nothing to wrap");
      }
      before.refuseShared();
      byte[] content = before.rewrapped(from, to, random);
      try {
        write(before, settings, content, warnings);
      } finally {
        Arrays.fill(content, (byte) 0);
      }
    }
  }

  private void write(
      SecretDocument before, String settings, byte[] content, Consumer<String> warnings)
      throws ConfigException, IOException {
    if (request.output().isPresent()) {
      PrivateFile.create(
          request.output().get(), content, written -> check(written, before, settings));
    } else {
      PrivateFile.replace(
          request.config(),
          content,
          written -> {
            check(written, before, settings);
            checkUnchanged(before);
          },
          warnings);
    }
  }

  /** Refuses a result that does not load to what the file loads to. */
  private void check(Path written, SecretDocument before, String settings)
      throws ConfigException, IOException {
    try (SecretDocument after =
        SecretDocument.read(written, Optional.of(before.kind()), unused -> {})) {
      if (!after.load(to).equals(settings) || !before.hasSecretsOf(after, from, to)) {
        throw new IOException(
            request.config() + ": cannot be rewrapped: the result would load to something else");
      }
    } catch (ConfigException e) {
      throw new IOException(
          request.config() + ": cannot be rewrapped: the result would not load: " + e.getMessage());
    }
  }

  /** Somebody may have edited the file meanwhile; that is not to be lost. */
  private void checkUnchanged(SecretDocument before) throws ConfigException {
    try (var file = new ConfigFile(request.config().toString(), unused -> {})) {
      byte[] now = file.bytes(request.config());
      try {
        if (!before.hasBytes(now)) {
          throw before.error("was changed meanwhile; nothing was written");
        }
      } finally {
        Arrays.fill(now, (byte) 0);
      }
    }
  }
}
