// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.nativelib;

import java.io.IOException;
import java.util.ArrayList;
import java.util.List;

/** The ublk devices of this host, whoever made them. Any thread. */
public final class NativeUblkDevices {
  /** Numbers that native code hands over for each device. */
  static final int WORDS = 7;

  private NativeUblkDevices() {}

  /**
   * One device.
   *
   * @param id N of /dev/ublkbN
   * @param state the kernel's number for its state
   * @param serverPid the process that serves it, or served it last
   * @param capacitySectors 0 if it is not known
   * @param hash of the identity of the disk behind it; another program's device has anything
   */
  public record Device(
      int id,
      int state,
      int serverPid,
      int queues,
      int queueDepth,
      long capacitySectors,
      long hash) {

    /** The state as the kernel's documentation names it. */
    public String stateName() {
      return switch (state) {
        case 0 -> "dead";
        case 1 -> "live";
        case 2 -> "quiesced";
        case 3 -> "fail_io";
        default -> "state " + state;
      };
    }
  }

  /** All devices, by ascending number. */
  public static List<Device> list() throws IOException {
    long[] words = listed();
    List<Device> devices = new ArrayList<>();
    for (int at = 0; at < words.length; at += WORDS) {
      devices.add(
          new Device(
              (int) words[at],
              (int) words[at + 1],
              (int) words[at + 2],
              (int) words[at + 3],
              (int) words[at + 4],
              words[at + 5],
              words[at + 6]));
    }
    return devices;
  }

  /** Ends a block device; a server that it has ends, too. */
  public static void stop(int id) throws IOException {
    stopDevice(id);
  }

  /** Removes a device that no server serves. */
  public static void delete(int id) throws IOException {
    deleteDevice(id);
  }

  private static native long[] listed() throws IOException;

  private static native void stopDevice(int id) throws IOException;

  private static native void deleteDevice(int id) throws IOException;
}
