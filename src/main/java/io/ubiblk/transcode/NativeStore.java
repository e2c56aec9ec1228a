// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.transcode;

import io.ubiblk.nativelib.NativeDiskFile;
import io.ubiblk.nativelib.NativeSectorFile;
import io.ubiblk.nativelib.NativeSectors;
import java.io.IOException;
import java.nio.ByteBuffer;

/**
 * A file or device of the host as a store, of the length it had when the store was made. The file
 * is the caller's, who keeps it open.
 */
public record NativeStore(NativeSectors file, long sectorCount) implements SectorStore {
  /** A disk, or a journal. */
  public static SectorStore of(NativeDiskFile file) {
    return new NativeStore(file, file.byteLength() / SECTOR_BYTES);
  }

  /** A metadata file, opened without keys, of a length that is whole sectors. */
  public static SectorStore of(NativeSectorFile file) throws IOException {
    long byteLength = file.byteLength();
    if (byteLength % SECTOR_BYTES != 0) {
      throw new IOException(
          "%s has %d bytes, which is not a multiple of %d"
              .formatted(file.path(), byteLength, SECTOR_BYTES));
    }
    return new NativeStore(file, byteLength / SECTOR_BYTES);
  }

  @Override
  public String path() {
    return file.path();
  }

  @Override
  public void read(long sector, ByteBuffer into) throws IOException {
    file.read(sector, into);
  }

  @Override
  public void write(long sector, ByteBuffer content) throws IOException {
    file.write(sector, content);
  }

  @Override
  public void sync() throws IOException {
    file.sync();
  }
}
