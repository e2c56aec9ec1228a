// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.nativelib;

import java.io.IOException;

/** Keeps the memory of this process, which will hold keys, from being looked at. */
public final class ProcessHardening {
  private ProcessHardening() {}

  /**
   * No core dumps, no debugger and no reading of /proc/PID/mem by other processes of this user.
   * Called before any key is read; the library must be loaded.
   */
  public static void disableDumps() throws IOException {
    setUndumpable();
  }

  /**
   * Clears the part of the calling thread's stack that is not in use, where methods that handled
   * keys may have left them. Called when they have returned.
   */
  public static void clearStack() {
    clearUnusedStack();
  }

  private static native void setUndumpable() throws IOException;

  private static native void clearUnusedStack();
}
