// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.secret;

import java.io.IOException;
import java.security.SecureRandom;
import java.util.List;

/** Makes keys. The caller closes what it gets. */
public final class NewKeys {
  /** Bytes of a pre-shared key. */
  public static final int PSK_BYTES = 32;

  private NewKeys() {}

  /** A key-encrypting key. */
  public static Secret kek(SecureRandom random) {
    return bytes(KeyEncryption.KEY_BYTES, random);
  }

  /** A pre-shared key. */
  public static Secret psk(SecureRandom random) {
    return bytes(PSK_BYTES, random);
  }

  /**
   * The data key and the tweak key of a disk, in this order.
   *
   * @throws IOException if both are the same, which no random source that works ever does
   */
  public static List<Secret> xtsPair(SecureRandom random) throws IOException {
    Secret dataKey = bytes(XtsKeys.KEY_BYTES, random);
    Secret tweakKey = bytes(XtsKeys.KEY_BYTES, random);
    if (dataKey.sameBytes(tweakKey)) {
      dataKey.close();
      tweakKey.close();
      throw new IOException("the random source gave the same key twice; no keys were made");
    }
    return List.of(dataKey, tweakKey);
  }

  private static Secret bytes(int count, SecureRandom random) {
    byte[] bytes = new byte[count];
    random.nextBytes(bytes);
    return Secret.take(bytes);
  }
}
