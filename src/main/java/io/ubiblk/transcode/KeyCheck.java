// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.transcode;

import io.ubiblk.nativelib.NativeXts;
import java.nio.ByteBuffer;
import java.security.MessageDigest;
import java.security.SecureRandom;
import java.util.HexFormat;

/**
 * A value by which a pair of keys is known again without being kept: the SHA-256 of a sector that
 * begins with a random salt, enciphered with the number 2^64 - 1, which no disk has. It says
 * nothing of the keys to whoever does not have them.
 */
public final class KeyCheck {
  /** Bytes of a salt. */
  static final int SALT_BYTES = 32;

  /** As an unsigned number the last one. */
  private static final long SECTOR = -1;

  private final byte[] salt;

  private KeyCheck(byte[] salt) {
    this.salt = salt;
  }

  /** Values that nobody has computed before. */
  static KeyCheck random(SecureRandom random) {
    byte[] salt = new byte[SALT_BYTES];
    random.nextBytes(salt);
    return new KeyCheck(salt);
  }

  /**
   * Values under a salt that was stored.
   *
   * @throws IllegalArgumentException if it is none
   */
  static KeyCheck of(String salt) {
    byte[] bytes = HexFormat.of().parseHex(salt);
    if (bytes.length != SALT_BYTES) {
      throw new IllegalArgumentException("a salt has " + SALT_BYTES + " bytes");
    }
    return new KeyCheck(bytes);
  }

  /** The salt, to be stored. */
  String salt() {
    return HexFormat.of().formatHex(salt);
  }

  /** The value of a pair of keys. */
  String valueOf(NativeXts keys) {
    ByteBuffer sector = ByteBuffer.allocateDirect(SectorStore.SECTOR_BYTES).put(salt);
    keys.encrypt(SECTOR, sector.clear());
    return HexFormat.of().formatHex(Digests.of(sector));
  }

  /** Whether the value is that of this pair of keys. */
  boolean matches(String value, NativeXts keys) {
    return MessageDigest.isEqual(
        HexFormat.of().parseHex(value), HexFormat.of().parseHex(valueOf(keys)));
  }
}
