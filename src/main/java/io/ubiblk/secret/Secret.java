// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.secret;

import java.security.MessageDigest;
import java.util.Arrays;

/**
 * Bytes that never appear in a text: printed as {@code [redacted]}, compared in constant time,
 * zeroed on close. Not a record, because records print their parts; no {@code equals} by content.
 *
 * <p>Not safe for use by several threads: a secret is loaded, handed on and closed by one.
 */
public final class Secret implements AutoCloseable {
  private final byte[] bytes;
  private boolean closed;

  private Secret(byte[] bytes) {
    this.bytes = bytes;
  }

  /** Takes {@code bytes}: the caller keeps no other copy and does not touch the array again. */
  public static Secret take(byte[] bytes) {
    return new Secret(bytes);
  }

  /** The number of bytes. */
  public int length() {
    return open().length;
  }

  /** Lends the bytes to {@code borrower}, which keeps no reference to the array. */
  public <T, E extends Exception> T lend(Borrower<T, E> borrower) throws E {
    return borrower.borrow(open());
  }

  /** A second secret with the same bytes and a life of its own. */
  public Secret copy() {
    return new Secret(open().clone());
  }

  /** Whether both hold the same bytes; takes as long for a near miss as for any other. */
  public boolean sameBytes(Secret other) {
    return MessageDigest.isEqual(open(), other.open());
  }

  /** Zeroes the bytes. Everything but another close fails afterwards. */
  @Override
  public void close() {
    Arrays.fill(bytes, (byte) 0);
    closed = true;
  }

  @Override
  public String toString() {
    return "[redacted]";
  }

  private byte[] open() {
    if (closed) {
      throw new IllegalStateException("secret used after close");
    }
    return bytes;
  }

  /** Looks at the bytes of a secret for the length of one call. */
  @FunctionalInterface
  public interface Borrower<T, E extends Exception> {
    /** Computes something from {@code bytes} without keeping them. */
    T borrow(byte[] bytes) throws E;
  }
}
