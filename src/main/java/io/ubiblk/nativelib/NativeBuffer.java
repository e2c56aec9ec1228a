// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.nativelib;

import java.nio.ByteBuffer;

/**
 * Page-aligned memory outside the heap, for what is too large for it: flags of every stripe,
 * stripes on their way. Zeroed when it is allocated; absent from core dumps; not for keys.
 *
 * <p>The view reads and writes the memory itself. Nobody may use it once this is closed: the pages
 * are gone then, and touching them ends the process.
 */
public final class NativeBuffer extends NativeHandle {
  private final long length;
  private final ByteBuffer view;

  private NativeBuffer(String what, long address, long length) {
    super("the memory for " + what, address);
    this.length = length;
    view = view(address, length);
  }

  /**
   * Allocates {@code bytes} bytes, from 1 to what a {@link ByteBuffer} can show.
   *
   * @param what is it for, in words that follow "memory for"
   * @throws OutOfMemoryError if there are not as many
   */
  public static NativeBuffer allocate(String what, long bytes) {
    if (bytes < 1 || bytes > Integer.MAX_VALUE) {
      throw new IllegalArgumentException(
          "%d bytes for %s: must be 1 to %d".formatted(bytes, what, Integer.MAX_VALUE));
    }
    return new NativeBuffer(what, map(what, bytes), bytes);
  }

  /** Allocates memory of any size. */
  static long map(String what, long bytes) {
    return create(NativeText.encode("a purpose", what), bytes);
  }

  /** The memory, from 0 to its length; each call gives a buffer with a position of its own. */
  public ByteBuffer bytes() {
    return use(address -> view.duplicate());
  }

  @Override
  void destroy(long address) {
    free(address, length);
  }

  private static native long create(byte[] what, long bytes);

  private static native ByteBuffer view(long address, long bytes);

  private static native void free(long address, long bytes);
}
