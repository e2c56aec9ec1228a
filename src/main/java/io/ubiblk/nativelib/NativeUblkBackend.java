// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.nativelib;

import java.io.IOException;
import java.util.List;
import java.util.Optional;
import java.util.OptionalInt;

/** A disk served as the kernel's block device /dev/ublkbN, by threads that are all C's. */
public final class NativeUblkBackend extends NativeBackend {
  /** Stands for "whichever": the device that is this disk's already, else a new one. */
  static final int ANY_ID = -1;

  private NativeUblkBackend(long address, NativeDevice device, NativeLog log) {
    super("the ublk back end", address, device, log);
  }

  /**
   * Makes the block device, or takes over the one that a killed server of the same disk left; it
   * works when this returns.
   *
   * @param devId the number that it is to have; none: its own already, or the kernel's choice
   * @param cpus one CPU per queue thread, or what the kernel advises
   * @param stopTimeoutMs how long a stopping device's requests may wait for stripes
   */
  public static NativeUblkBackend start(
      NativeDevice device,
      OptionalInt devId,
      Optional<List<Integer>> cpus,
      long stopTimeoutMs,
      NativeLog log)
      throws IOException {
    int wanted = devId.orElse(ANY_ID);
    Start start =
        (deviceAddress, cpuNumbers, timeoutMs, logAddress) ->
            start(deviceAddress, wanted, cpuNumbers, timeoutMs, logAddress);
    long address = startWith(device, cpus, stopTimeoutMs, log, start);
    return new NativeUblkBackend(address, device, log);
  }

  /** N of /dev/ublkbN. */
  public int deviceId() {
    return use(address -> deviceId(address));
  }

  /** What tells the disk's devices from others: {@link NativeUblkDevices.Device#hash}. */
  public long hash() {
    return use(address -> hash(address));
  }

  /**
   * Waits until the process is told to stop, or the device was stopped by somebody else.
   *
   * @return whether it was the former
   * @throws IOException if the device cannot be served any more; the next server takes it over
   */
  public boolean await() throws IOException {
    return use(address -> await(address));
  }

  /**
   * Stops in order: requests in flight end, the disk is synced, the block device is removed.
   *
   * @throws IOException if the sync failed; everything is stopped all the same
   */
  @Override
  void destroy(long address) throws IOException {
    stop(address);
  }

  private static native long start(long device, int devId, int[] cpus, int stopTimeoutMs, long log)
      throws IOException;

  private static native int deviceId(long backend);

  private static native long hash(long backend);

  private static native boolean await(long backend) throws IOException;

  private static native void stop(long backend) throws IOException;
}
