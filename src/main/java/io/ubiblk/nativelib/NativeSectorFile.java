// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.nativelib;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.Optional;
import java.util.stream.Stream;

/**
 * A file of 512-byte sectors that is enciphered like the disk it belongs to: the metadata file. It
 * grows where a write goes beyond its end; buffers may be aligned in any way.
 */
public final class NativeSectorFile extends NativeSectors {
  private NativeSectorFile(String path, long address, NativeHandle... kept) {
    super("file", path, address, kept);
  }

  /** What the file is opened for. */
  public enum Mode {
    /** To read it, without a lock. */
    READ,
    /** To read and write it, locked. */
    UPDATE,
    /** As UPDATE; it is made, for its owner alone, if it is not there. Follows no symbolic link. */
    CREATE
  }

  /**
   * Opens the file; to change it, locks it. Keeps {@code xts} (none: plain sectors) and {@code
   * log}.
   *
   * @param lockTimeoutMs how long to try when somebody else has it locked
   */
  public static NativeSectorFile open(
      String path, Mode mode, int lockTimeoutMs, Optional<NativeXts> xts, NativeLog log)
      throws IOException {
    NativeHandle[] kept = Stream.concat(xts.stream(), Stream.of(log)).toArray(NativeHandle[]::new);
    byte[] text = NativeText.encode("path", path);
    int code = NativeCodes.of(mode);
    long address =
        log.use(
            logAddress ->
                xts.isPresent()
                    ? xts.get().use(keys -> create(text, code, lockTimeoutMs, keys, logAddress))
                    : create(text, code, lockTimeoutMs, 0, logAddress));
    return new NativeSectorFile(path, address, kept);
  }

  /** Its length at this moment; need not be whole sectors. */
  public long byteLength() throws IOException {
    return use(address -> byteLength(address));
  }

  /** Makes the file's name durable. */
  public void syncDirectory() throws IOException {
    use(
        address -> {
          syncDirectory(address);
          return null;
        });
  }

  @Override
  void readAt(long address, long sector, ByteBuffer into, int sectorCount) throws IOException {
    read(address, sector, into, into.position(), sectorCount);
  }

  @Override
  void writeAt(long address, long sector, ByteBuffer content, int sectorCount) throws IOException {
    write(address, sector, content, content.position(), sectorCount);
  }

  @Override
  void syncAt(long address) throws IOException {
    sync(address);
  }

  @Override
  void destroy(long address) {
    free(address);
  }

  private static native long create(byte[] path, int mode, int lockTimeoutMs, long xts, long log)
      throws IOException;

  private static native long byteLength(long file) throws IOException;

  private static native void read(
      long file, long sector, ByteBuffer into, int offset, int sectorCount) throws IOException;

  private static native void write(
      long file, long sector, ByteBuffer content, int offset, int sectorCount) throws IOException;

  private static native void sync(long file) throws IOException;

  private static native void syncDirectory(long file) throws IOException;

  private static native void free(long file);
}
