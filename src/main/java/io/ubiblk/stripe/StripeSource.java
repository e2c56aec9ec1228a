// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.stripe;

import java.io.IOException;
import java.nio.ByteBuffer;

/**
 * Where the content of stripes comes from that the base disk does not have yet.
 *
 * <p>A source may take long (20 to 500 ms for one stripe is ordinary), works on many stripes at
 * once, may fail for a while and come back. Its length was fixed when it was opened. Failures are
 * for the caller to retry; a source keeps trying nothing by itself after {@link #read} has thrown,
 * and reconnects, if it is of that kind, with the next call.
 */
public interface StripeSource extends AutoCloseable {

  /** Bytes of content, counted from the start of the disk; bytes beyond it are zeros. */
  long byteLength();

  /** Whether the source has content for the stripe. Does not wait. */
  boolean has(int stripe);

  /**
   * Fills {@code into}, from its position to its limit, with the content of a stripe that the
   * source has; what lies beyond the source's end becomes zeros. {@code into} is a direct buffer as
   * long as the stripe (shorter for the last one of the disk). Called by many threads at once;
   * waits.
   *
   * @throws IOException if the content could not be had: nothing in {@code into} means anything
   *     then. A source that is shorter than it was when it was opened fails; it never yields zeros
   *     for bytes that it should have
   * @throws InterruptedException if the thread was interrupted, which asks it to give up
   */
  void read(int stripe, ByteBuffer into) throws IOException, InterruptedException;

  /** What it is and where, for people: {@code raw image /images/debian.raw}. No secrets. */
  String describe();

  /** Lets go of files and connections. Reads in progress fail soon. */
  @Override
  void close() throws IOException;
}
