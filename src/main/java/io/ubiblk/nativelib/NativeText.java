// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.nativelib;

import java.nio.charset.StandardCharsets;
import java.util.Arrays;

/** Text for C: UTF-8 with a zero at its end. */
final class NativeText {
  private NativeText() {}

  /** Encodes {@code text}, which {@code what} names in the error. */
  static byte[] encode(String what, String text) {
    if (text.indexOf('\0') >= 0) {
      throw new IllegalArgumentException(what + " contains a zero byte");
    }
    byte[] bytes = text.getBytes(StandardCharsets.UTF_8);
    return Arrays.copyOf(bytes, bytes.length + 1);
  }
}
