// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.nativelib;

import java.io.IOException;
import java.util.Optional;

/** A base disk that is held, so that no back end serves it meanwhile, or only looked at. */
public final class NativeDiskFile extends NativeHandle {
  private NativeDiskFile(String path, long address, NativeLog log) {
    super("the disk " + path, address, log);
  }

  /**
   * Opens and locks the disk, as a back end would.
   *
   * @param logicalBlockSize what its size must be a multiple of
   * @param lockTimeoutMs how long to try when somebody else has it
   */
  public static NativeDiskFile open(
      String path, int logicalBlockSize, int lockTimeoutMs, NativeLog log) throws IOException {
    byte[] text = NativeText.encode("path", path);
    return log.use(
        logAddress ->
            new NativeDiskFile(
                path, create(text, logicalBlockSize, lockTimeoutMs, logAddress), log));
  }

  /** Looks at a file or block device without locking it. */
  public static DiskLook look(String path) throws IOException {
    long[] byteLength = new long[1];
    String holder = look(NativeText.encode("path", path), byteLength);
    return new DiskLook(byteLength[0], Optional.ofNullable(holder));
  }

  /** Length in bytes, a multiple of the logical block size. */
  public long byteLength() {
    return use(address -> byteLength(address));
  }

  @Override
  void destroy(long address) {
    free(address);
  }

  /**
   * What is to be seen of a file or block device.
   *
   * @param byteLength its length
   * @param holder who has it locked: {@code process 4711 (java)}; empty if nobody has
   */
  public record DiskLook(long byteLength, Optional<String> holder) {}

  private static native long create(byte[] path, int logicalBlockSize, int lockTimeoutMs, long log)
      throws IOException;

  private static native String look(byte[] path, long[] byteLength) throws IOException;

  private static native long byteLength(long file);

  private static native void free(long file);
}
