// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.cli;

/** The jar with programs that do no work and return at once, as a process of its own. */
public final class ServingNothing {
  private ServingNothing() {}

  /** Runs the command line as the real entry point does. */
  public static void main(String[] arguments) {
    System.exit(Main.run(new RecordingPrograms(), arguments));
  }
}
