// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.backend;

import io.ubiblk.config.DeviceConfig;
import io.ubiblk.nativelib.NativeDevice;
import io.ubiblk.nativelib.NativeLog;
import java.io.IOException;

/** The way from a disk to whoever uses it; the last part of a back end to start. */
interface FrontEnd extends AutoCloseable {
  /** Whether somebody can use the disk at this moment. Any thread. */
  boolean connected();

  /**
   * Waits until there is a reason to stop.
   *
   * @return the reason, in a word or two
   * @throws IOException if the front end cannot go on
   */
  String awaitEnd() throws IOException;

  /** Ends what is in flight and syncs the disk. */
  @Override
  void close() throws IOException;

  /** How a program's front end is started. */
  interface Opener {
    /** Starts it; requests may come before this returns. */
    FrontEnd open(DeviceConfig config, NativeDevice device, NativeLog log) throws IOException;
  }
}
