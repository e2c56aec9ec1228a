// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.metadata;

import java.io.IOException;
import java.nio.ByteBuffer;

/**
 * What a metadata file is stored in, as far as a crash is concerned: sectors in clear, each written
 * whole or not at all, and certain only once a sync that began later has returned. Buffers are
 * direct, whole sectors, used from position to limit; their position stays.
 */
public interface MetadataStore extends AutoCloseable {
  /** Where it is, for sentences. */
  String path();

  /** Its length at this moment. */
  long byteLength() throws IOException;

  /** Fills {@code into} with the sectors from {@code sector} on; fails beyond the end. */
  void read(long sector, ByteBuffer into) throws IOException;

  /** Writes sectors, beyond the end as well. After a failure any of them may have been written. */
  void write(long sector, ByteBuffer content) throws IOException;

  /** Makes every completed write durable. */
  void sync() throws IOException;

  /** Makes the file's name durable. */
  void syncDirectory() throws IOException;

  @Override
  void close() throws IOException;
}
