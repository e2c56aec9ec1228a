// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.nativelib;

import io.ubiblk.config.XtsEngine;
import io.ubiblk.secret.XtsKeys;
import java.io.IOException;

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

  @Override
  void destroy(long address) {
    free(address);
  }

  private static native long create(byte[] dataKey, byte[] tweakKey, int engine, long log)
      throws IOException;

  private static native String engineName(long xts);

  private static native String engineReason(long xts);

  private static native void free(long xts);
}
