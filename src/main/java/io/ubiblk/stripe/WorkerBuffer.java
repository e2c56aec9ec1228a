// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.stripe;

import java.io.IOException;
import java.nio.ByteBuffer;

/** The one buffer of a worker, made when it is first needed. One thread. */
final class WorkerBuffer implements AutoCloseable {
  private final StripeBuffer.Factory factory;
  private final int bytes;
  private StripeBuffer buffer;

  WorkerBuffer(StripeBuffer.Factory factory, int bytes) {
    this.factory = factory;
    this.bytes = bytes;
  }

  /** The whole buffer; a lack of memory is a failure like others, which may pass. */
  ByteBuffer get() throws IOException {
    if (buffer == null) {
      try {
        buffer = factory.allocate("a stripe being fetched", bytes);
      } catch (OutOfMemoryError e) {
        throw new IOException("no memory for a buffer of " + bytes + " bytes", e);
      }
    }
    return buffer.bytes().clear();
  }

  @Override
  public void close() throws IOException {
    if (buffer != null) {
      buffer.close();
    }
  }
}
