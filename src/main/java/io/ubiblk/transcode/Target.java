// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.transcode;

import java.nio.ByteBuffer;

/**
 * One of the stores that are re-encrypted, in the order in which they are: the disk, then its
 * metadata.
 *
 * @param store where the sectors are
 * @param converter turns them into what they become
 */
public record Target(SectorStore store, Converter converter) {
  /** Deciphers sectors by the old keys and enciphers them by the new ones. */
  @FunctionalInterface
  public interface Converter {
    /** Works in place, from position to limit; {@code sector} is the number of the first. */
    void convert(long sector, ByteBuffer bytes);
  }
}
