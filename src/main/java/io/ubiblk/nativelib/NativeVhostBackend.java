// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.nativelib;

import java.io.IOException;
import java.util.List;
import java.util.Optional;

/** A disk served to vhost-user front ends over a unix socket, by threads that are all C's. */
public final class NativeVhostBackend extends NativeBackend {
  private NativeVhostBackend(long address, NativeDevice device, NativeLog log) {
    super("the vhost-user back end", address, device, log);
  }

  /**
   * Starts the queue threads and listens; front ends can connect when this returns.
   *
   * @param socket path of the socket
   * @param cpus one CPU per queue thread, or none
   * @param stopTimeoutMs how long a stopping queue waits for its requests
   */
  public static NativeVhostBackend start(
      NativeDevice device,
      String socket,
      Optional<List<Integer>> cpus,
      long stopTimeoutMs,
      NativeLog log)
      throws IOException {
    byte[] path = NativeText.encode("socket", socket);
    Start start =
        (deviceAddress, cpuNumbers, timeoutMs, logAddress) ->
            start(deviceAddress, path, cpuNumbers, timeoutMs, logAddress);
    long address = startWith(device, cpus, stopTimeoutMs, log, start);
    return new NativeVhostBackend(address, device, log);
  }

  /** Whether a front end is connected. */
  public boolean connected() {
    return use(address -> connected(address));
  }

  /**
   * Stops in order: requests in flight end, the disk is synced, the socket is removed.
   *
   * @throws IOException if the sync failed; everything is stopped all the same
   */
  @Override
  void destroy(long address) throws IOException {
    stop(address);
  }

  private static native long start(
      long device, byte[] socket, int[] cpus, int stopTimeoutMs, long log) throws IOException;

  private static native boolean connected(long backend);

  private static native void stop(long backend) throws IOException;
}
