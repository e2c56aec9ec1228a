// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.backend;

import io.ubiblk.config.DeviceConfig;
import io.ubiblk.nativelib.NativeLog;
import io.ubiblk.nativelib.NativeXts;
import java.io.IOException;
import java.util.Optional;

/** What tools for disks share: the native log and the disk's cipher, for one piece of work. */
final class DiskTool {
  private DiskTool() {}

  /** Does {@code work} with what {@code config} says. Keys are taken out of it. */
  static void run(DeviceConfig config, Work work) throws IOException {
    try (NativeLog log = NativeLog.open();
        NativeXts xts = cipher(config, log)) {
      work.with(Optional.ofNullable(xts), log);
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
}
