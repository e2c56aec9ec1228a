// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.nativelib;

import io.ubiblk.config.DirectIo;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.Optional;

/**
 * A disk that is held, so that no back end serves it meanwhile, or only looked at; read and written
 * in long runs by tools. Writes lie within the disk; buffers are page aligned.
 */
public final class NativeDiskFile extends NativeSectors {
  private static final int SECTOR_BYTES = SectorBuffers.SECTOR_BYTES;

  private NativeDiskFile(String path, long address, NativeLog log) {
    super("disk", path, address, log);
  }

  /** What the disk is opened for. */
  public enum Access {
    /** To read and write it, locked as a back end would. */
    UPDATE,
    /** To read it, without a lock, whoever uses it. */
    READ,
    /** To write it anew, locked: see {@link #create}. */
    CREATE
  }

  /**
   * Opens and locks the disk, as a back end would, through the page cache.
   *
   * @param logicalBlockSize what its size must be a multiple of
   * @param lockTimeoutMs how long to try when somebody else has it
   */
  public static NativeDiskFile open(
      String path, int logicalBlockSize, int lockTimeoutMs, NativeLog log) throws IOException {
    return open(path, Access.UPDATE, 0, DirectIo.NEVER, logicalBlockSize, lockTimeoutMs, log);
  }

  /**
   * Opens a disk for long runs of sectors. Buffers have to be page aligned.
   *
   * @param access UPDATE or READ
   * @param directIo whether to go past the page cache
   * @param logicalBlockSize what its size must be a multiple of
   * @param lockTimeoutMs how long to try when somebody else has it
   */
  public static NativeDiskFile open(
      String path,
      Access access,
      DirectIo directIo,
      int logicalBlockSize,
      int lockTimeoutMs,
      NativeLog log)
      throws IOException {
    return open(path, access, 0, directIo, logicalBlockSize, lockTimeoutMs, log);
  }

  /**
   * Opens and locks a file, which is made, for its owner alone, if it is not there, and replaces
   * what it holds by {@code byteLength} zero bytes. Of a block device nothing is replaced; it must
   * be that long.
   *
   * @param byteLength a multiple of 512; may be 0
   */
  public static NativeDiskFile create(
      String path, long byteLength, DirectIo directIo, int lockTimeoutMs, NativeLog log)
      throws IOException {
    return open(path, Access.CREATE, byteLength, directIo, SECTOR_BYTES, lockTimeoutMs, log);
  }

  private static NativeDiskFile open(
      String path,
      Access access,
      long createBytes,
      DirectIo directIo,
      int logicalBlockSize,
      int lockTimeoutMs,
      NativeLog log)
      throws IOException {
    byte[] text = NativeText.encode("path", path);
    int accessCode = NativeCodes.of(access);
    int directCode = NativeCodes.of(directIo);
    return log.use(
        logAddress ->
            new NativeDiskFile(
                path,
                create(
                    text,
                    accessCode,
                    createBytes,
                    directCode,
                    logicalBlockSize,
                    lockTimeoutMs,
                    logAddress),
                log));
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

  /** Whether it is a block device, not a file. */
  public boolean isBlockDevice() {
    return use(address -> blockDevice(address));
  }

  /** Whether transfers go past the page cache. */
  public boolean isDirect() {
    return use(address -> direct(address));
  }

  /** Where the next byte is allocated, from {@code offset} within the disk on; else its length. */
  public long nextData(long offset) throws IOException {
    return use(address -> next(address, offset, true));
  }

  /** Where the next hole begins, from {@code offset} within the disk on; else its length. */
  public long nextHole(long offset) throws IOException {
    return use(address -> next(address, offset, false));
  }

  @Override
  void readAt(long address, long sector, ByteBuffer into, int sectorCount) throws IOException {
    read(address, sector, into, into.position(), sectorCount);
  }

  /** The sectors must lie within the disk. */
  @Override
  void writeAt(long address, long sector, ByteBuffer content, int sectorCount) throws IOException {
    long sectors = byteLength(address) / SECTOR_BYTES;
    if (sector > sectors - sectorCount) {
      throw new IllegalArgumentException(
          "sectors %d to %d are not within the %d of %s"
              .formatted(sector, sector + sectorCount - 1, sectors, path()));
    }
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

  /**
   * What is to be seen of a file or block device.
   *
   * @param byteLength its length
   * @param holder who has it locked: {@code process 4711 (java)}; empty if nobody has
   */
  public record DiskLook(long byteLength, Optional<String> holder) {}

  private static native long create(
      byte[] path,
      int access,
      long createByteLength,
      int directIo,
      int logicalBlockSize,
      int lockTimeoutMs,
      long log)
      throws IOException;

  private static native String look(byte[] path, long[] byteLength) throws IOException;

  private static native long byteLength(long file);

  private static native boolean blockDevice(long file);

  private static native boolean direct(long file);

  private static native void read(
      long file, long sector, ByteBuffer into, int offset, int sectorCount) throws IOException;

  private static native void write(
      long file, long sector, ByteBuffer content, int offset, int sectorCount) throws IOException;

  private static native void sync(long file) throws IOException;

  private static native long next(long file, long offset, boolean data) throws IOException;

  private static native void free(long file);
}
