// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.nativelib;

import io.ubiblk.config.DirectIo;
import io.ubiblk.config.IoEngine;
import io.ubiblk.config.XtsEngine;

/** Choices of configuration and callers as the numbers of C's enums; jni/ asserts them. */
final class NativeCodes {
  private NativeCodes() {}

  /** enum direct_io. */
  static int of(DirectIo directIo) {
    return switch (directIo) {
      case AUTO -> 0;
      case ALWAYS -> 1;
      case NEVER -> 2;
    };
  }

  /** enum io_engine_kind. */
  static int of(IoEngine ioEngine) {
    return switch (ioEngine) {
      case IO_URING -> 0;
      case SYNC -> 1;
    };
  }

  /** enum xts_engine_kind. */
  static int of(XtsEngine xtsEngine) {
    return switch (xtsEngine) {
      case AUTO -> 0;
      case VAES512 -> 1;
      case VAES256 -> 2;
      case AESNI -> 3;
      case ISA_L -> 4;
      case OPENSSL -> 5;
    };
  }

  /** enum sector_file_mode. */
  static int of(NativeSectorFile.Mode mode) {
    return switch (mode) {
      case READ -> 0;
      case UPDATE -> 1;
      case CREATE -> 2;
    };
  }

  /** enum disk_access. */
  static int of(NativeDiskFile.Access access) {
    return switch (access) {
      case UPDATE -> 0;
      case READ -> 1;
      case CREATE -> 2;
    };
  }
}
