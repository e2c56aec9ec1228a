// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.nativelib;

import io.ubiblk.config.XtsEngine;
import io.ubiblk.secret.XtsKeys;
import java.io.IOException;
import java.nio.ByteBuffer;

/** A pair of XTS keys, expanded in locked native memory on the engine that works on them. */
public final class NativeXts extends NativeHandle {
  private final String engineName;
  private final String engineReason;

  private NativeXts(long address) {
    super("the cipher", address);
    engineName = engineName(address);
    engineReason = engineReason(address);
  }

  /**
   * Takes the keys out of {@code keys}, which are zeroed whatever happens.
   *
   * @throws IOException if the engine does not work on this machine
   */
  public static NativeXts create(XtsKeys keys, XtsEngine engine, NativeLog log) throws IOException {
    return keys.handOver(
        (dataKey, tweakKey) ->
            log.use(
                logAddress ->
                    new NativeXts(create(dataKey, tweakKey, NativeCodes.of(engine), logAddress))));
  }

  /** Name of the engine as the configuration spells it. */
  public String engineName() {
    return engineName;
  }

  /** Why it is this engine. */
  public String engineReason() {
    return engineReason;
  }

  /**
   * Enciphers the sectors in {@code bytes}, from its position to its limit, in place.
   *
   * @param sector number of the first, as an unsigned number
   * @param bytes direct, whole sectors; its position stays
   */
  public void encrypt(long sector, ByteBuffer bytes) {
    int sectorCount = SectorBuffers.checkedCount(bytes);
    use(
        address -> {
          encrypt(address, sector, bytes, bytes.position(), sectorCount);
          return null;
        });
  }

  /** Deciphers in the same way. */
  public void decrypt(long sector, ByteBuffer bytes) {
    int sectorCount = SectorBuffers.checkedCount(bytes);
    use(
        address -> {
          decrypt(address, sector, bytes, bytes.position(), sectorCount);
          return null;
        });
  }

  /** Deciphers in the same way what these keys have enciphered, and enciphers it by {@code to}. */
  public void recrypt(NativeXts to, long sector, ByteBuffer bytes) {
    int sectorCount = SectorBuffers.checkedCount(bytes);
    use(
        from ->
            to.use(
                other -> {
                  recrypt(from, other, sector, bytes, bytes.position(), sectorCount);
                  return null;
                }));
  }

  @Override
  void destroy(long address) {
    free(address);
  }

  private static native long create(byte[] dataKey, byte[] tweakKey, int engine, long log)
      throws IOException;

  private static native String engineName(long xts);

  private static native String engineReason(long xts);

  private static native void encrypt(
      long xts, long sector, ByteBuffer bytes, int offset, int sectorCount);

  private static native void decrypt(
      long xts, long sector, ByteBuffer bytes, int offset, int sectorCount);

  private static native void recrypt(
      long from, long to, long sector, ByteBuffer bytes, int offset, int sectorCount);

  private static native void free(long xts);
}
