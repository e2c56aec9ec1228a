// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.cli;

import picocli.CommandLine;
import picocli.CommandLine.Command;

/** Entry point of the jar: the first argument names the program. */
@Command(name = "ubiblk", version = "ubiblk 0.1.0", mixinStandardHelpOptions = true)
public final class Main {
  private Main() {}

  /** Runs the program that {@code arguments} name and ends the process with its exit code. */
  public static void main(String[] arguments) {
    System.exit(new CommandLine(new Main()).execute(arguments));
  }
}
