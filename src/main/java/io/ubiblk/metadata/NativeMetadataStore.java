// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.metadata;

import io.ubiblk.nativelib.NativeSectorFile;
import java.io.IOException;
import java.nio.ByteBuffer;

/** A file of the host. */
final class NativeMetadataStore implements MetadataStore {
  private final NativeSectorFile file;

  /** Takes the file. */
  NativeMetadataStore(NativeSectorFile file) {
    this.file = file;
  }

  @Override
  public String path() {
    return file.path();
  }

  @Override
  public long byteLength() throws IOException {
    return file.byteLength();
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

  @Override
  public void syncDirectory() throws IOException {
    file.syncDirectory();
  }

  @Override
  public void close() throws IOException {
    file.close();
  }
}
