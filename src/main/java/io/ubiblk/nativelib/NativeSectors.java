// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.nativelib;

import java.io.IOException;
import java.nio.ByteBuffer;

/**
 * A file or block device of the host, open as 512-byte sectors.
 *
 * <p>Any thread; transfers of different sectors may overlap in time. Every failure names the file.
 */
public abstract sealed class NativeSectors extends NativeHandle
    permits NativeDiskFile, NativeSectorFile {
  private final String path;

  NativeSectors(String kind, String path, long address, NativeHandle... kept) {
    super("the " + kind + " " + path, address, kept);
    this.path = path;
  }

  /** Where it is. */
  public final String path() {
    return path;
  }

  /**
   * Fills {@code into}, from its position to its limit, with the sectors from {@code sector} on.
   *
   * @param into direct, whole sectors, aligned as the opener demands; its position stays
   * @throws IOException also if the file ends before
   */
  public final void read(long sector, ByteBuffer into) throws IOException {
    int sectorCount = SectorBuffers.checkedCount(sector, into);
    use(
        address -> {
          readAt(address, sector, into, sectorCount);
          return null;
        });
  }

  /**
   * Writes {@code content}, from its position to its limit. After a failure any of the sectors may
   * have been written.
   *
   * @param content direct, whole sectors, aligned as the opener demands; unchanged, and its
   *     position stays
   */
  public final void write(long sector, ByteBuffer content) throws IOException {
    int sectorCount = SectorBuffers.checkedCount(sector, content);
    use(
        address -> {
          writeAt(address, sector, content, sectorCount);
          return null;
        });
  }

  /** Makes every completed write durable. After a failure nothing is known of them. */
  public final void sync() throws IOException {
    use(
        address -> {
          syncAt(address);
          return null;
        });
  }

  abstract void readAt(long address, long sector, ByteBuffer into, int sectorCount)
      throws IOException;

  abstract void writeAt(long address, long sector, ByteBuffer content, int sectorCount)
      throws IOException;

  abstract void syncAt(long address) throws IOException;
}
