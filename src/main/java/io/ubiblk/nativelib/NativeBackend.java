// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.nativelib;

import java.io.IOException;
import java.util.List;
import java.util.Optional;

/** A disk that is served, whatever the front end; keeps the disk and the log. */
abstract class NativeBackend extends NativeHandle {
  NativeBackend(String name, long address, NativeDevice device, NativeLog log) {
    super(name, address, device, log);
  }

  /**
   * Lends everything that a back end is started with, in the form that native code takes.
   *
   * @param cpus one CPU per queue thread; empty: {@code start} gets null
   * @param stopTimeoutMs cut at what an int holds, some 24 days
   * @return what {@code start} returned
   */
  static long startWith(
      NativeDevice device,
      Optional<List<Integer>> cpus,
      long stopTimeoutMs,
      NativeLog log,
      Start start)
      throws IOException {
    int[] cpuNumbers =
        cpus.map(list -> list.stream().mapToInt(Integer::intValue).toArray()).orElse(null);
    int timeoutMs = (int) Math.min(stopTimeoutMs, Integer.MAX_VALUE);
    return device.use(
        deviceAddress ->
            log.use(logAddress -> start.with(deviceAddress, cpuNumbers, timeoutMs, logAddress)));
  }

  /** The native start of one front end, which adds what only that one needs. */
  @FunctionalInterface
  interface Start {
    /** Returns the address of a back end that keeps device and log; {@code cpus} may be null. */
    long with(long device, int[] cpus, int stopTimeoutMs, long log) throws IOException;
  }
}
