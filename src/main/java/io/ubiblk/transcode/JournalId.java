// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.transcode;

import java.nio.ByteBuffer;
import java.security.SecureRandom;
import java.util.Arrays;
import java.util.HexFormat;

/** Tells a journal from every other one: 16 random bytes. */
final class JournalId {
  static final int BYTES = 16;

  private final byte[] bytes;

  private JournalId(byte[] bytes) {
    this.bytes = bytes;
  }

  static JournalId random(SecureRandom random) {
    byte[] bytes = new byte[BYTES];
    random.nextBytes(bytes);
    return new JournalId(bytes);
  }

  /**
   * The inverse of {@link #toString}.
   *
   * @throws IllegalArgumentException if it is none
   */
  static JournalId parse(String text) {
    byte[] bytes = HexFormat.of().parseHex(text);
    if (bytes.length != BYTES) {
      throw new IllegalArgumentException("an id has " + BYTES + " bytes");
    }
    return new JournalId(bytes);
  }

  static JournalId read(ByteBuffer from) {
    byte[] bytes = new byte[BYTES];
    from.get(bytes);
    return new JournalId(bytes);
  }

  void write(ByteBuffer into) {
    into.put(bytes);
  }

  @Override
  public boolean equals(Object other) {
    return other instanceof JournalId id && Arrays.equals(bytes, id.bytes);
  }

  @Override
  public int hashCode() {
    return Arrays.hashCode(bytes);
  }

  @Override
  public String toString() {
    return HexFormat.of().formatHex(bytes);
  }
}
