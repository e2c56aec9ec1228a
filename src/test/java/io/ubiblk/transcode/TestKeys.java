// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.transcode;

import io.ubiblk.config.XtsEngine;
import io.ubiblk.nativelib.NativeLibrary;
import io.ubiblk.nativelib.NativeLog;
import io.ubiblk.nativelib.NativeXts;
import io.ubiblk.secret.Secret;
import io.ubiblk.secret.XtsKeys;
import java.io.IOException;
import java.nio.ByteBuffer;

/** Three pairs of keys, open for a test. */
final class TestKeys implements AutoCloseable {
  private final NativeLog log;
  final NativeXts old;
  final NativeXts fresh;
  final NativeXts other;

  TestKeys() throws IOException {
    NativeLibrary.load();
    log = NativeLog.open();
    old = pair(1);
    fresh = pair(3);
    other = pair(5);
  }

  NativeLog log() {
    return log;
  }

  private NativeXts pair(int number) throws IOException {
    byte[] data = new byte[XtsKeys.KEY_BYTES];
    byte[] tweak = new byte[XtsKeys.KEY_BYTES];
    data[0] = (byte) number;
    tweak[0] = (byte) (number + 1);
    return NativeXts.create(
        XtsKeys.take(Secret.take(data), Secret.take(tweak)), XtsEngine.AUTO, log);
  }

  /** What sectors that begin at 0 are, enciphered. */
  static byte[] encipher(NativeXts keys, byte[] plain) {
    ByteBuffer bytes = ByteBuffer.allocateDirect(plain.length).put(plain).flip();
    keys.encrypt(0, bytes);
    return toArray(bytes);
  }

  /** What sectors that begin at 0 are, deciphered. */
  static byte[] decipher(NativeXts keys, byte[] cipher) {
    ByteBuffer bytes = ByteBuffer.allocateDirect(cipher.length).put(cipher).flip();
    keys.decrypt(0, bytes);
    return toArray(bytes);
  }

  private static byte[] toArray(ByteBuffer bytes) {
    byte[] array = new byte[bytes.remaining()];
    bytes.get(array);
    return array;
  }

  @Override
  public void close() throws IOException {
    old.close();
    fresh.close();
    other.close();
    log.close();
  }
}
