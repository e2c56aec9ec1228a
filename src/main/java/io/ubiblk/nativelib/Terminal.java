// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.nativelib;

/** Whether a person looks at what the process prints. */
public final class Terminal {
  private static final int STANDARD_ERROR = 2;

  private Terminal() {}

  /** Whether standard error is a terminal. */
  public static boolean isStandardError() {
    return isTerminal(STANDARD_ERROR);
  }

  private static native boolean isTerminal(int fd);
}
