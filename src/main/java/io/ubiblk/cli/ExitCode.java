// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.cli;

/** What the process's exit status says. */
final class ExitCode {
  /** Stopped as it was told to. */
  static final int OK = 0;

  /** Could not start, or could not go on; the log says why. */
  static final int FAILED = 1;

  /** The command line is wrong. */
  static final int USAGE = 2;

  /** A mistake of the program itself; the log has a stack trace. */
  static final int INTERNAL = 101;

  private ExitCode() {}
}
