// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.secret;

import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;

/** Text with secrets in it, put together and read without a String of it or a buffer that stays. */
public final class SecretText implements AutoCloseable {
  private static final int BYTES_AT_FIRST = 256;

  private byte[] bytes = new byte[BYTES_AT_FIRST];
  private int length;

  /** An empty text. */
  public SecretText() {}

  /**
   * Everything that {@code in} has up to its end.
   *
   * @throws IOException also if that is more than {@code bytesMax}; {@code what} names it
   */
  public static Secret readAll(String what, InputStream in, int bytesMax) throws IOException {
    try (var text = new SecretText()) {
      int count;
      while ((count = in.read(text.bytes, text.length, text.bytes.length - text.length)) >= 0) {
        text.length += count;
        if (text.length > bytesMax) {
          throw new IOException(what + ": is longer than " + bytesMax + " bytes");
        }
        text.require(text.bytes.length == text.length ? 1 : 0);
      }
      return text.toSecret();
    }
  }

  /** Appends what is no secret. */
  public SecretText add(String text) {
    return add(text.getBytes(StandardCharsets.UTF_8));
  }

  /** Appends {@code secret}, which stays the caller's, in base64. */
  public SecretText addBase64(Secret secret) {
    byte[] ascii = secret.lend(StrictBase64::encode);
    try {
      return add(ascii);
    } finally {
      Arrays.fill(ascii, (byte) 0);
    }
  }

  /** A copy of the text so far, which the caller owns. */
  public Secret toSecret() {
    return Secret.take(Arrays.copyOf(bytes, length));
  }

  /** Zeroes the text. */
  @Override
  public void close() {
    Arrays.fill(bytes, (byte) 0);
    length = 0;
  }

  @Override
  public String toString() {
    return "[redacted]";
  }

  private SecretText add(byte[] more) {
    require(more.length);
    System.arraycopy(more, 0, bytes, length, more.length);
    length += more.length;
    return this;
  }

  private void require(int more) {
    if (bytes.length - length < more) {
      byte[] larger = Arrays.copyOf(bytes, Math.max(2 * bytes.length, length + more));
      Arrays.fill(bytes, (byte) 0);
      bytes = larger;
    }
  }
}
