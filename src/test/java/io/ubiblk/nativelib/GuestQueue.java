// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.nativelib;

import java.io.IOException;
import java.nio.ByteBuffer;

/**
 * A queue of a disk, driven by the test in the place of a front end: real requests on the real
 * request path. Only in the library that crash simulations load. One thread uses it, from open to
 * close.
 */
public final class GuestQueue implements AutoCloseable {
  /** Number of a request's kind: a read. */
  public static final int READ = 0;

  /** Number of a request's kind: a write. */
  public static final int WRITE = 1;

  /** Number of a request's kind: a flush. */
  public static final int FLUSH = 2;

  private final NativeDevice device;
  private final long address;

  private GuestQueue(NativeDevice device, long address) {
    this.device = device;
    this.address = address;
  }

  /** Makes queue number {@code index} of the disk. */
  public static GuestQueue open(NativeDevice device, int index) throws IOException {
    return new GuestQueue(device, device.use(deviceAddress -> open(deviceAddress, index)));
  }

  /**
   * Starts a request in a free slot.
   *
   * @param data direct; its bytes from {@code position} to {@code position + byteLength} are the
   *     guest's memory until the request has ended
   */
  public void start(
      int slot, int kind, long sector, ByteBuffer data, int position, int byteLength) {
    start(address, slot, kind, sector, data, position, byteLength);
  }

  /** Submits and collects; never sleeps. */
  public void step() {
    step(address);
  }

  /** Sleeps until something happened, or the time is over. */
  public void await(long timeoutNs) {
    await(address, timeoutNs);
  }

  /** The next ended request: its slot in the upper half, 0 or -errno in the lower; -1: none. */
  public long nextDone() {
    return nextDone(address);
  }

  /** Ends requests that wait for a stripe. */
  public void giveUpWaiting() {
    giveUpWaiting(address);
  }

  /** Whether completed writes may be volatile from here on; off: those before are made durable. */
  public boolean setWriteBack(boolean writeBack) {
    return device.use(deviceAddress -> setWriteBack(address, deviceAddress, writeBack));
  }

  @Override
  public void close() {
    free(address);
  }

  private static native long open(long device, int index) throws IOException;

  private static native void start(
      long queue, int slot, int kind, long sector, ByteBuffer data, int position, int byteLength);

  private static native void step(long queue);

  private static native void await(long queue, long timeoutNs);

  private static native long nextDone(long queue);

  private static native void giveUpWaiting(long queue);

  private static native boolean setWriteBack(long queue, long device, boolean writeBack);

  private static native void free(long queue);
}
