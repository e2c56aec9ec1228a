// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.crash;

/** What must never be found was found. */
final class Violation extends Exception {
  private static final long serialVersionUID = 1L;

  /** What it is about. */
  enum Kind {
    /** A guest does not find what it must find: data is lost, or was never fetched. */
    LOST,
    /** The guest has written to a stripe that is not FETCHED. */
    UNFETCHED,
    /** The guest has written to a stripe that is not WRITTEN, which is kept track of. */
    UNMARKED,
    /** The disk does not work: metadata does not load, requests fail or do not end. */
    BROKEN
  }

  private final Kind kind;

  Violation(Kind kind, String sentence) {
    super(sentence);
    this.kind = kind;
  }

  Violation(Kind kind, String sentence, Throwable cause) {
    super(sentence, cause);
    this.kind = kind;
  }

  Kind kind() {
    return kind;
  }
}
