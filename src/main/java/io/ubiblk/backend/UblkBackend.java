// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.backend;

import io.ubiblk.config.DeviceConfig;
import io.ubiblk.nativelib.NativeUblkDevices;
import java.io.IOException;
import java.io.PrintWriter;
import java.nio.file.Path;
import java.util.Optional;
import java.util.OptionalInt;

/** A process that serves one disk as a block device of the host, and what operators need beside. */
public final class UblkBackend {
  private UblkBackend() {}

  /**
   * What the command line says about the block device.
   *
   * @param link where a symbolic link to it is made
   * @param devId N of /dev/ublkbN; none: the one that is this disk's, else the kernel's choice
   */
  public record Options(Optional<Path> link, OptionalInt devId) {}

  /**
   * Serves until SIGTERM, SIGINT or SIGHUP, or until somebody stops the device, then ends what is
   * in flight, removes the device and returns. Keys are taken out of {@code config}.
   *
   * @throws IOException if the disk cannot be served, or not be synced at the end
   */
  public static void run(DeviceConfig config, Options options) throws IOException {
    run(config, options, SourceOpener::openReal);
  }

  static void run(DeviceConfig config, Options options, SourceOpener sources) throws IOException {
    ServingProcess.run(
        config, sources, (served, device, log) -> UblkFrontEnd.open(served, options, device, log));
  }

  /** Prints one line for each ublk device of the host. */
  public static void list(PrintWriter out) throws IOException {
    for (NativeUblkDevices.Device device : NativeUblkDevices.list()) {
      out.println(describe(device));
    }
    out.flush();
  }

  static String describe(NativeUblkDevices.Device device) {
    return "%d: %s, %d sectors, %d queues of %d, process %d, hash %016x"
        .formatted(
            device.id(),
            device.stateName(),
            device.capacitySectors(),
            device.queues(),
            device.queueDepth(),
            device.serverPid(),
            device.hash());
  }

  /** Ends a block device, whoever made it; ours ends in order. */
  public static void stop(int id) throws IOException {
    NativeUblkDevices.stop(id);
  }

  /** Removes a device that no process serves any more, whoever made it. */
  public static void delete(int id) throws IOException {
    NativeUblkDevices.delete(id);
  }
}
