// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.transcode;

import java.nio.ByteBuffer;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;

/** SHA-256, by which a journal knows what it holds. */
final class Digests {
  static final int BYTES = 32;

  /** What the JVM's fast code is entered with: a longer piece would not reach it. */
  private static final int PIECE_BYTES = 4096;

  private Digests() {}

  /** A fresh computation. */
  static MessageDigest sha256() {
    try {
      return MessageDigest.getInstance("SHA-256");
    } catch (NoSuchAlgorithmException e) {
      throw new AssertionError("every Java has SHA-256", e);
    }
  }

  /** The digest of {@code bytes} from position to limit; the position stays. */
  static byte[] of(ByteBuffer bytes) {
    MessageDigest digest = sha256();
    byte[] piece = new byte[PIECE_BYTES];
    ByteBuffer rest = bytes.duplicate();
    while (rest.hasRemaining()) {
      int length = Math.min(piece.length, rest.remaining());
      rest.get(piece, 0, length);
      digest.update(piece, 0, length);
    }
    return digest.digest();
  }
}
