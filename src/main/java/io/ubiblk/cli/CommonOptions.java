// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.cli;

import java.nio.file.Path;
import java.util.Optional;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Spec;
import picocli.CommandLine.Spec.Target;

/** The options of every program that loads a device's configuration. */
final class CommonOptions {
  @Spec(Target.MIXEE)
  private CommandSpec command;

  @Option(
      names = {"-f", "--config"},
      paramLabel = "PATH",
      description = "The device's configuration, a YAML file.")
  private Path config;

  @Option(
      names = {"-k", "--kek"},
      paramLabel = "PATH",
      description = {
        "The key-encrypting key that the secrets of the configuration are wrapped with. May be a"
            + " FIFO or /dev/stdin: it is opened once and read to its end."
      })
  private Path kek;

  @Option(
      names = {"-u", "--unlink-kek"},
      description = "Remove the KEK file once it was read; needs --kek.")
  private boolean unlinkKek;

  Path config() {
    return config;
  }

  Optional<Path> kek() {
    return Optional.ofNullable(kek);
  }

  boolean unlinkKek() {
    return unlinkKek;
  }

  /**
   * Refuses options that only make sense together.
   *
   * @param needsConfig whether there is nothing to do without a configuration
   */
  void check(boolean needsConfig) {
    if (needsConfig && config == null) {
      throw usage("Missing required option: '--config=PATH'");
    } else if (!needsConfig && config != null) {
      throw usage("--config is for serving a disk");
    }
    if (unlinkKek && kek == null) {
      throw usage("--unlink-kek needs --kek");
    }
  }

  private ParameterException usage(String message) {
    return new ParameterException(command.commandLine(), message);
  }
}
