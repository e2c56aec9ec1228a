// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.nativelib;

/** Kinds of requests: enum queue_op. */
public enum QueueOperation {
  READ(0),
  WRITE(1),
  FLUSH(2),
  /** GET_ID and what is not supported. */
  OTHER(3);

  private final int code;

  QueueOperation(int code) {
    this.code = code;
  }

  /** The number in enum queue_op. */
  int code() {
    return code;
  }

  /** The operation with a number of enum queue_op. */
  static QueueOperation of(int code) {
    return switch (code) {
      case 0 -> READ;
      case 1 -> WRITE;
      case 2 -> FLUSH;
      case 3 -> OTHER;
      default -> throw new IllegalArgumentException("no queue operation has the number " + code);
    };
  }
}
