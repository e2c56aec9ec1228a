// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.nativelib;

import io.ubiblk.config.DeviceConfig;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.stream.Stream;

/** The disk: opened, locked, with its cipher, ready to be served by a front end's queues. */
public final class NativeDevice extends NativeHandle {
  private final Optional<String> xtsEngineName;
  private final Optional<String> xtsEngineReason;
  private final List<QueueStatsView> queues;

  private NativeDevice(long address, Optional<NativeXts> xts, NativeLog log, DeviceConfig config) {
    super("the disk " + config.path(), address, keptWith(xts, log));
    xtsEngineName = xts.map(NativeXts::engineName);
    xtsEngineReason = xts.map(NativeXts::engineReason);
    queues = new ArrayList<>();
    for (int queue = 0; queue < config.numQueues(); queue++) {
      ByteBuffer stats = stats(address, queue);
      queues.add(new QueueStatsView(this, stats.asReadOnlyBuffer().order(ByteOrder.nativeOrder())));
    }
  }

  /**
   * Opens and locks the disk that {@code config} describes. Keeps {@code xts} (none: a plain disk)
   * and {@code log}.
   */
  public static NativeDevice open(DeviceConfig config, Optional<NativeXts> xts, NativeLog log)
      throws IOException {
    return log.use(
        logAddress ->
            xts.isPresent()
                ? xts.get().use(keys -> open(config, xts, keys, log, logAddress))
                : open(config, xts, 0, log, logAddress));
  }

  private static NativeDevice open(
      DeviceConfig config, Optional<NativeXts> xts, long keys, NativeLog log, long logAddress)
      throws IOException {
    long address =
        create(
            NativeText.encode("path", config.path()),
            NativeText.encode("device_id", config.deviceId()),
            config.numQueues(),
            config.queueSize(),
            config.segSizeMax(),
            config.segCountMax(),
            (int) Math.min(config.pollQueueTimeoutUs(), Integer.MAX_VALUE),
            config.logicalBlockSize(),
            config.bounceBytes(),
            config.writeThrough(),
            NativeCodes.of(config.directIo()),
            NativeCodes.of(config.ioEngine()),
            keys,
            logAddress);
    return new NativeDevice(address, xts, log, config);
  }

  private static NativeHandle[] keptWith(Optional<NativeXts> xts, NativeLog log) {
    return Stream.concat(xts.stream(), Stream.of(log)).toArray(NativeHandle[]::new);
  }

  /** Name of the cipher's engine; empty for a plain disk. */
  public Optional<String> xtsEngineName() {
    return xtsEngineName;
  }

  /** Why it is this engine; empty for a plain disk. */
  public Optional<String> xtsEngineReason() {
    return xtsEngineReason;
  }

  /** One view per queue. */
  public List<QueueStatsView> queues() {
    return List.copyOf(queues);
  }

  /** Length of the disk in 512-byte sectors. */
  public long capacitySectors() {
    return use(address -> capacity(address));
  }

  /** Whether the disk is open with O_DIRECT. */
  public boolean directIo() {
    return use(address -> direct(address));
  }

  /** Why flushes fail for good, once an fsync has failed. */
  public Optional<String> stickyError() {
    return Optional.ofNullable(use(address -> stickyError(address)));
  }

  @Override
  void destroy(long address) {
    free(address);
  }

  private static native long create(
      byte[] path,
      byte[] deviceId,
      int queueCount,
      int queueSize,
      int segSizeMax,
      int segCountMax,
      int pollTimeoutUs,
      int logicalBlockSize,
      long bounceBytes,
      boolean writeThrough,
      int directIo,
      int ioEngine,
      long xts,
      long log)
      throws IOException;

  private static native ByteBuffer stats(long device, int queue);

  private static native long capacity(long device);

  private static native boolean direct(long device);

  private static native String stickyError(long device);

  private static native void free(long device);
}
