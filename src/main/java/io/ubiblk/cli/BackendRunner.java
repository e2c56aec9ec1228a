// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.cli;

import io.ubiblk.config.DeviceConfig;

/** What a back-end command needs of the package below: the two calls that make a process serve. */
interface BackendRunner {
  /**
   * Gets the process ready to hold secrets: loads the native library and switches core dumps off.
   * Called before any file with a key in it is opened.
   */
  void prepare() throws Exception;

  /**
   * Serves the device until the process is told to stop. Keys are handed over from {@code config},
   * which the caller closes.
   */
  void run(DeviceConfig config) throws Exception;
}
