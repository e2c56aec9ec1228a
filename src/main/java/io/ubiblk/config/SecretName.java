// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.config;

import io.ubiblk.secret.KeyEncryption;
import io.ubiblk.secret.Secret;
import io.ubiblk.secret.XtsKeys;
import java.nio.ByteBuffer;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.regex.Pattern;

/**
 * Every value that may be wrapped, by the name that a wrapped value is bound to: its key in
 * docs/config.md, whatever mapping that stands in.
 */
public enum SecretName {
  ENCRYPTION_KEY_0("encryption_key[0]", XtsKeys.KEY_BYTES, XtsKeys.KEY_BYTES),
  ENCRYPTION_KEY_1("encryption_key[1]", XtsKeys.KEY_BYTES, XtsKeys.KEY_BYTES),
  PSK_SECRET("psk_secret", 16, SecretName.ANY),
  ACCESS_KEY_ID("access_key_id", 1, SecretName.ANY),
  SECRET_ACCESS_KEY("secret_access_key", 1, SecretName.ANY),
  ARCHIVE_KEK_KEY("archive_kek.key", KeyEncryption.KEY_BYTES, KeyEncryption.KEY_BYTES),
  ARCHIVE_KEK_INIT_VECTOR(
      "archive_kek.init_vector", KeyEncryption.NONCE_BYTES, KeyEncryption.NONCE_BYTES),
  ARCHIVE_KEK_AUTH_DATA("archive_kek.auth_data", 0, SecretName.ANY);

  /** Where messages say that some of them stand; an operator may copy that. */
  private static final Pattern MAPPINGS = Pattern.compile("^(stripe_source\\.)?(credentials\\.)?");

  private static final int ANY = Integer.MAX_VALUE;

  private final String text;
  private final int bytesMin;
  private final int bytesMax;

  SecretName(String text, int bytesMin, int bytesMax) {
    this.text = text;
    this.bytesMin = bytesMin;
    this.bytesMax = bytesMax;
  }

  /** The name as it is written, and as a value is bound to it. */
  public String text() {
    return text;
  }

  /** The name that {@code text} is, also with the mappings before it that it may stand in. */
  public static Optional<SecretName> of(String text) {
    String name = MAPPINGS.matcher(text).replaceFirst("");
    return Arrays.stream(values()).filter(known -> known.text.equals(name)).findFirst();
  }

  /** All names, as written. */
  public static List<String> all() {
    return Arrays.stream(values()).map(SecretName::text).toList();
  }

  /** The name that takes the fewest edits to reach from {@code text}. */
  public static String nearest(String text) {
    return Schema.nearest(MAPPINGS.matcher(text).replaceFirst(""), all());
  }

  /** Why {@code plain} cannot be a value of this name, in clear; empty if it can. */
  public Optional<String> refusal(Secret plain) {
    int length = plain.length();
    if (length < bytesMin || length > bytesMax) {
      String range = bytesMin == bytesMax ? "" : "at least ";
      return Optional.of("must be %s%d bytes, is %d".formatted(range, bytesMin, length));
    } else if (isText() && !plain.lend(SecretName::isLineOfText)) {
      return Optional.of("must be one line of UTF-8, with no line feed at its end");
    }
    return Optional.empty();
  }

  private boolean isText() {
    return this == ACCESS_KEY_ID || this == SECRET_ACCESS_KEY;
  }

  private static boolean isLineOfText(byte[] bytes) {
    for (byte b : bytes) {
      if ((b >= 0 && b < ' ') || b == 0x7f) {
        return false;
      }
    }
    try {
      var characters = StandardCharsets.UTF_8.newDecoder().decode(ByteBuffer.wrap(bytes));
      Arrays.fill(characters.array(), '\0');
      return true;
    } catch (CharacterCodingException e) {
      return false;
    }
  }
}
