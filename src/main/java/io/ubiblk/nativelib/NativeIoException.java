// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.nativelib;

import java.io.IOException;

/** A failure of the operating system that has no exception of its own in Java. */
public final class NativeIoException extends IOException {
  private static final long serialVersionUID = 1L;

  private final String operation;
  private final int errno;

  /**
   * Made by native code.
   *
   * @param operation what was tried, in a few words
   * @param errno the error number, positive
   * @param message the sentence for people
   */
  NativeIoException(String operation, int errno, String message) {
    super(message);
    this.operation = operation;
    this.errno = errno;
  }

  /** What was tried. */
  public String operation() {
    return operation;
  }

  /** The error number, positive. */
  public int errno() {
    return errno;
  }
}
