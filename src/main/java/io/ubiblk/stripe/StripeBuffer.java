// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.stripe;

import java.io.Closeable;
import java.io.IOException;
import java.nio.ByteBuffer;

/**
 * Memory that a stripe passes through.
 *
 * @param bytes direct, and aligned as the disk likes it best
 * @param release gives the memory back
 */
public record StripeBuffer(ByteBuffer bytes, Closeable release) implements Closeable {

  @Override
  public void close() throws IOException {
    release.close();
  }

  /** Makes buffers. Any thread. */
  public interface Factory {
    /**
     * Makes one.
     *
     * @param what it is for, as an error names it
     * @return of exactly so many bytes; the caller closes it
     * @throws OutOfMemoryError if there is no memory for it
     */
    StripeBuffer allocate(String what, int bytes) throws IOException;
  }
}
