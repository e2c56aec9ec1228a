// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.backend;

import io.ubiblk.config.DeviceConfig;
import io.ubiblk.nativelib.HeapTraces;
import io.ubiblk.nativelib.NativeLibrary;
import io.ubiblk.nativelib.ProcessHardening;
import java.io.IOException;

/** A process that serves one disk to vhost-user front ends until it is told to stop. */
public final class VhostBackend {
  private VhostBackend() {}

  /**
   * Makes the process ready for secrets. Comes before anything that holds a key is read. Signals
   * still end the process at once, so that one that waits for its key can be stopped.
   */
  public static void prepare() throws IOException {
    NativeLibrary.load();
    ProcessHardening.disableDumps();
    HeapTraces.expect();
  }

  /**
   * Serves until SIGTERM, SIGINT or SIGHUP, then ends what is in flight and returns. Keys are taken
   * out of {@code config}.
   *
   * @throws IOException if the disk cannot be served, or not be synced at the end; nothing is left
   *     behind in either case
   */
  public static void run(DeviceConfig config) throws IOException {
    run(config, SourceOpener::openReal);
  }

  static void run(DeviceConfig config, SourceOpener sources) throws IOException {
    ServingProcess.run(config, sources, VhostFrontEnd::open);
  }
}
