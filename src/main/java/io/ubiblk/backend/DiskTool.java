// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.backend;

import io.ubiblk.config.DeviceConfig;
import io.ubiblk.nativelib.HeapTraces;
import io.ubiblk.nativelib.NativeLog;
import io.ubiblk.nativelib.NativeXts;
import io.ubiblk.nativelib.ProcessHardening;
import java.io.IOException;
import java.util.Optional;

/**
 * What tools for disks share: the native log and the disk's ciphers, for one piece of work. It may
 * take hours, so what the load of keys left in the heap and on the stack is overwritten first.
 */
final class DiskTool {
  private DiskTool() {}

  /** Does {@code work} with what {@code config} says. Keys are taken out of it. */
  static void run(DeviceConfig config, Work work) throws IOException {
    run(
        log -> {
          try (NativeXts xts = cipher(config, log)) {
            if (xts != null) {
              clearTraces();
            }
            work.with(Optional.ofNullable(xts), log);
          }
        });
  }

  /** The same with the keys of two configurations, which both have some. */
  static void run(DeviceConfig from, DeviceConfig to, Change change) throws IOException {
    run(
        log -> {
          try (NativeXts oldKeys = cipher(from, log);
              NativeXts newKeys = cipher(to, log)) {
            clearTraces();
            change.with(oldKeys, newKeys, log);
          }
        });
  }

  /** Keys are in locked memory alone from here on. */
  private static void clearTraces() {
    HeapTraces.clear();
    ProcessHardening.clearStack();
  }

  private static void run(Logged work) throws IOException {
    try (NativeLog log = NativeLog.open()) {
      work.with(log);
    } catch (IllegalArgumentException e) {
      // What the native side calls an invalid argument is a path that leads to the wrong thing.
      throw new IOException(e.getMessage(), e);
    } catch (OutOfMemoryError e) {
      // Of the native side: metadata of more stripes than there is memory. The heap's ends the
      // process.
      throw new IOException(e.getMessage(), e);
    }
  }

  /** The cipher, or null for a disk without keys. */
  private static NativeXts cipher(DeviceConfig config, NativeLog log) throws IOException {
    return config.encryptionKey().isEmpty()
        ? null
        : NativeXts.create(config.encryptionKey().get(), config.xtsEngine(), log);
  }

  /** One piece of work. */
  interface Work {
    void with(Optional<NativeXts> xts, NativeLog log) throws IOException;
  }

  /** One that changes keys. */
  interface Change {
    void with(NativeXts oldKeys, NativeXts newKeys, NativeLog log) throws IOException;
  }

  private interface Logged {
    void with(NativeLog log) throws IOException;
  }
}
