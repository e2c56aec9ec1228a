// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.nativelib;

import java.io.IOException;

/**
 * SIGTERM, SIGINT and SIGHUP as something to wait for. A signal that arrived before anybody waited
 * is not lost. One that was ignored when the process started (nohup) stays ignored.
 */
public final class StopSignals {
  private StopSignals() {}

  /** From here on the signals no longer end the process by themselves. */
  public static void install() throws IOException {
    catchSignals();
  }

  /** Waits for one and returns its name. */
  public static String await() throws IOException {
    waitForSignal();
    return switch (last()) {
      case 1 -> "SIGHUP";
      case 2 -> "SIGINT";
      default -> "SIGTERM";
    };
  }

  private static native void catchSignals() throws IOException;

  private static native int last();

  private static native void waitForSignal() throws IOException;
}
