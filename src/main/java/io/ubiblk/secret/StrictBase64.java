// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.secret;

import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import org.apache.commons.codec.CodecPolicy;
import org.apache.commons.codec.binary.Base64;

/**
 * Base64 with exactly one text per value: standard alphabet, canonical padding, no whitespace, zero
 * trailing bits. The decoder lets missing padding and whitespace pass, so what it decoded is
 * encoded again and compared.
 */
public final class StrictBase64 {
  private static final Base64 CODEC = Base64.builder().setDecodingPolicy(CodecPolicy.STRICT).get();

  private StrictBase64() {}

  /**
   * The bytes that {@code text} stands for.
   *
   * @throws IllegalArgumentException if it is not canonical base64; the message never quotes the
   *     text
   */
  public static Secret decode(String text) {
    // Whatever is outside Latin-1 becomes '?', which is outside the alphabet as well.
    byte[] ascii = text.getBytes(StandardCharsets.ISO_8859_1);
    try {
      return decode(ascii);
    } finally {
      Arrays.fill(ascii, (byte) 0);
    }
  }

  /** The same, of text in an array, which stays the caller's. */
  public static Secret decode(byte[] ascii) {
    byte[] again = null;
    try {
      byte[] decoded = decodeLeniently(ascii);
      again = CODEC.encode(decoded);
      if (!Arrays.equals(ascii, again)) {
        Arrays.fill(decoded, (byte) 0);
        throw notCanonical();
      }
      return Secret.take(decoded);
    } finally {
      if (again != null) {
        Arrays.fill(again, (byte) 0);
      }
    }
  }

  /** The text that stands for {@code bytes}; for secret ones the caller zeroes it. */
  public static byte[] encode(byte[] bytes) {
    // Into an array of the right size: the other ways of either library leave copies behind.
    byte[] ascii = new byte[(bytes.length + 2) / 3 * 4];
    java.util.Base64.getEncoder().encode(bytes, ascii);
    return ascii;
  }

  private static byte[] decodeLeniently(byte[] ascii) {
    try {
      return CODEC.decode(ascii);
    } catch (IllegalArgumentException e) {
      // Its message names a character of the text, so it is not passed on as a cause.
      throw notCanonical();
    }
  }

  private static IllegalArgumentException notCanonical() {
    return new IllegalArgumentException("is not canonical base64");
  }
}
