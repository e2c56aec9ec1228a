// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.cli;

import java.util.Optional;
import java.util.function.Consumer;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Spec;
import picocli.CommandLine.Spec.Target;

/** The option of every program that says how much it logs. */
final class LogOption {
  @Spec(Target.MIXEE)
  private CommandSpec command;

  @Option(
      names = "--log-level",
      paramLabel = "LEVEL",
      description = {
        "off, error, warn, info, debug or trace. Default: what the environment variable"
            + " UBIBLK_LOG names, else info for back ends and warn for tools."
      })
  private String logLevel;

  /**
   * Sets the log up; comes before anything asks for a logger.
   *
   * @param quiet the level when nobody asks for more or less
   * @return what takes one-line warnings
   */
  Consumer<String> start(LogLevel quiet) {
    Optional<String> variable = Optional.ofNullable(System.getenv(Logging.VARIABLE));
    Optional<String> levelWarning = Logging.configure(level(), variable, quiet);
    Logger log = LoggerFactory.getLogger(command.root().name());
    Consumer<String> warnings = text -> log.warn(Logging.oneLine(text));
    levelWarning.ifPresent(warnings);
    return warnings;
  }

  /** The level given as a flag. */
  private Optional<LogLevel> level() {
    if (logLevel == null) {
      return Optional.empty();
    }
    return Optional.of(
        LogLevel.of(logLevel)
            .orElseThrow(
                () ->
                    new ParameterException(
                        command.commandLine(),
                        "--log-level must be off, error, warn, info, debug or trace, is "
                            + logLevel)));
  }
}
