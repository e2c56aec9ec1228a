// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.secret;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.GeneralSecurityException;
import java.security.SecureRandom;
import java.util.Base64;
import java.util.Optional;

/**
 * Makes keys that exist nowhere else, for a script that looks for them.
 *
 * <pre>
 *   FreshKeys DIRECTORY
 * </pre>
 *
 * <p>Writes {@code data.key} (the raw data key), {@code plain.yaml} and {@code wrapped.yaml} (the
 * end of a configuration), {@code kek.yaml}, and {@code secrets}, all of it as {@code secret_scan}
 * wants it.
 */
public final class FreshKeys {
  private static final SecureRandom RANDOM = new SecureRandom();

  private FreshKeys() {}

  /** Makes one set. */
  public static void main(String[] arguments) throws IOException, GeneralSecurityException {
    Path directory = Path.of(arguments[0]);
    byte[] data = key();
    byte[] tweak = key();
    byte[] kek = key();
    String wrappedData = wrapped(kek, "encryption_key[0]", data);
    String wrappedTweak = wrapped(kek, "encryption_key[1]", tweak);
    Files.write(directory.resolve("data.key"), data);
    Files.writeString(directory.resolve("plain.yaml"), yaml(text(data), text(tweak)));
    Files.writeString(directory.resolve("wrapped.yaml"), yaml(wrappedData, wrappedTweak));
    Files.writeString(
        directory.resolve("kek.yaml"), "method: aes256-gcm\nkey: \"" + text(kek) + "\"\n");
    Files.writeString(
        directory.resolve("secrets"),
        "key data-key %s\nkey tweak-key %s\nkey kek %s\n"
                .formatted(text(data), text(tweak), text(kek))
            + "wrapped data-key %s\nwrapped tweak-key %s\n".formatted(wrappedData, wrappedTweak));
  }

  private static byte[] key() {
    byte[] key = new byte[XtsKeys.KEY_BYTES];
    RANDOM.nextBytes(key);
    return key;
  }

  private static String text(byte[] bytes) {
    return Base64.getEncoder().encodeToString(bytes);
  }

  private static String wrapped(byte[] kek, String name, byte[] key)
      throws GeneralSecurityException {
    try (KeyEncryption encryption =
        KeyEncryption.aes256Gcm(
            Optional.of(Secret.take(kek.clone())), Optional.empty(), Optional.empty())) {
      return text(encryption.seal(name, Secret.take(key.clone()), RANDOM));
    }
  }

  private static String yaml(String first, String second) {
    return "encryption_key:\n  - \"%s\"\n  - \"%s\"\n".formatted(first, second);
  }
}
