// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.transcode;

import io.ubiblk.nativelib.NativeDiskFile;
import io.ubiblk.nativelib.NativeSectorFile;
import java.io.IOException;
import java.nio.ByteBuffer;

/** Files and devices of the host as stores. The file is the caller's, who keeps it open. */
public final class NativeStore {
  private NativeStore() {}

  /** A disk, or a journal. */
  public static SectorStore of(NativeDiskFile file) {
    return new Disk(file);
  }

  /** A metadata file, opened without keys, of a length that is whole sectors. */
  public static SectorStore of(NativeSectorFile file) throws IOException {
    long byteLength = file.byteLength();
    if (byteLength % SectorStore.SECTOR_BYTES != 0) {
      throw new IOException(
          "%s has %d bytes, which is not a multiple of %d"
              .formatted(file.path(), byteLength, SectorStore.SECTOR_BYTES));
    }
    return new Metadata(file, byteLength / SectorStore.SECTOR_BYTES);
  }

  private record Disk(NativeDiskFile file) implements SectorStore {
    @Override
    public String path() {
      return file.path();
    }

    @Override
    public long sectorCount() {
      return file.byteLength() / SECTOR_BYTES;
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

  private record Metadata(NativeSectorFile file, long sectorCount) implements SectorStore {
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
}
