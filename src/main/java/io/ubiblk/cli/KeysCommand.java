// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.cli;

import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Spec;

/** {@code keys}: makes keys, wraps them, and wraps those of a configuration anew. */
@Command(
    name = KeysCommand.NAME,
    mixinStandardHelpOptions = true,
    versionProvider = Version.class,
    sortOptions = false,
    usageHelpAutoWidth = true,
    description = {
      "Makes the keys of disks, wraps secrets for configuration files, and wraps those of a file"
          + " under another key. Takes no secret on the command line, and prints none that was"
          + " wrapped."
    },
    synopsisSubcommandLabel = "COMMAND")
final class KeysCommand implements Runnable {
  /** The program's name. */
  static final String NAME = "keys";

  @Spec private CommandSpec spec;

  private KeysCommand() {}

  /** The program with its commands, which do their work with {@code programs}. */
  static CommandLine line(Programs programs) {
    return new CommandLine(new KeysCommand())
        .addSubcommand(new KeysGenerateCommand(programs))
        .addSubcommand(new KeysWrapCommand(programs))
        .addSubcommand(new KeysUnwrapCommand(programs))
        .addSubcommand(new KeysRewrapCommand(programs));
  }

  @Override
  public void run() {
    throw new ParameterException(spec.commandLine(), "name a command");
  }
}
