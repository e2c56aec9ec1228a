// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.transcode;

import java.io.IOException;
import java.nio.ByteBuffer;

/**
 * What is stored in sectors, as far as a power cut is concerned: each sector is written whole or
 * not at all, and is certain only once a sync that began after the write has returned.
 *
 * <p>Buffers are direct, whole sectors from position to limit, and page aligned; their position
 * stays. Several threads may transfer different sectors at once.
 */
public interface SectorStore {
  /** The unit. */
  int SECTOR_BYTES = 512;

  /** Where it is, for sentences. */
  String path();

  /** Its length. */
  long sectorCount();

  /** Fills {@code into} with the sectors from {@code sector} on, within the length. */
  void read(long sector, ByteBuffer into) throws IOException;

  /** Writes sectors within the length. After a failure any of them may have been written. */
  void write(long sector, ByteBuffer content) throws IOException;

  /** Makes every completed write durable. After a failure nothing is known of them. */
  void sync() throws IOException;
}
