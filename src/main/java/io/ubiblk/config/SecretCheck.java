// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.config;

import io.ubiblk.secret.KeyEncryption;
import io.ubiblk.secret.Secret;
import java.io.IOException;
import java.nio.file.Path;
import java.security.GeneralSecurityException;
import java.util.Optional;
import java.util.function.Consumer;

/** Tells which wrapped values open under a KEK, and nothing of what is in them. */
public final class SecretCheck {
  private SecretCheck() {}

  /**
   * Tries every secret of a configuration file and prints a line for each. Then loads the file, so
   * that whatever else a program would refuse is told as well.
   *
   * @param kind what the file describes; empty: what its keys say
   * @throws ConfigException if one does not open, or the file does not load
   */
  public static void file(
      Path path,
      Optional<ConfigKind> kind,
      KekFile kekFile,
      Appendable out,
      Consumer<String> warnings)
      throws ConfigException, IOException {
    KeyEncryption kek = kekFile.keyEncryption();
    try (SecretDocument document = SecretDocument.read(path, kind, warnings)) {
      int closed = 0;
      for (WrappedSecret secret : document.secrets()) {
        Optional<String> refusal = secret.refusal(kek);
        out.append(line(secret.keyPath(), refusal, kek));
        closed += refusal.isPresent() ? 1 : 0;
      }
      if (closed > 0) {
        throw document.error(
            "%d of %d values do not open".formatted(closed, document.secrets().size()));
      }
      document.load(kek);
    }
  }

  /**
   * Tries one value and prints a line.
   *
   * @param value as in the configuration, but decoded; stays the caller's
   * @throws ConfigException if it does not open
   */
  public static void value(SecretName name, Secret value, KekFile kekFile, Appendable out)
      throws ConfigException, IOException {
    KeyEncryption kek = kekFile.keyEncryption();
    try (Secret plain = kek.open(name.text(), value)) {
      Optional<String> refusal = name.refusal(plain);
      out.append(line(name.text(), refusal, kek));
      if (refusal.isPresent()) {
        throw new ConfigException("the value opens, but " + refusal.get());
      }
    } catch (GeneralSecurityException e) {
      out.append(line(name.text(), Optional.of(e.getMessage()), kek));
      throw new ConfigException("the value does not open");
    }
  }

  private static String line(String name, Optional<String> refusal, KeyEncryption kek) {
    return "%s: %s%n".formatted(name, refusal.orElse(opened(kek)));
  }

  private static String opened(KeyEncryption kek) {
    return switch (kek.dialect()) {
      case NONE -> "is not wrapped, says the KEK file: its method is none";
      case INIT_VECTOR -> "opens; wrapped with the KEK's init_vector, so rewrap it";
      case OWN_NONCE ->
          kek.bindsNames()
              ? "opens; wrapped with its own nonce, bound to its name"
              : "opens; wrapped with its own nonce, not bound to its name";
    };
  }
}
