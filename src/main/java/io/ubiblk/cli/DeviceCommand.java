// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.cli;

import io.ubiblk.config.ConfigException;
import io.ubiblk.config.ConfigLoader;
import io.ubiblk.config.DeviceConfig;
import io.ubiblk.config.KekFile;
import io.ubiblk.config.StripeSourceConfig;
import java.nio.file.Path;
import java.util.Optional;
import java.util.concurrent.Callable;
import java.util.function.Consumer;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Spec;

/** A program that works on the device of a configuration file: what all of them do before that. */
@Command(
    mixinStandardHelpOptions = true,
    versionProvider = Version.class,
    sortOptions = false,
    usageHelpAutoWidth = true,
    footerHeading = "%nExit status:%n")
abstract class DeviceCommand implements Callable<Integer> {
  /** Footer of every program's help. */
  static final String USAGE_STATUS = "  2    the command line is wrong";

  /** Footer of every program's help. */
  static final String INTERNAL_STATUS =
      "  101  internal error; the log has a stack trace to report";

  @Spec private CommandSpec spec;

  @Mixin private CommonOptions options;

  @Mixin private LogOption logOption;

  private final Programs programs;
  private final LogLevel quietLevel;
  private Consumer<String> warnings = text -> {};

  /**
   * A command that does its work with {@code programs}.
   *
   * @param quietLevel what it logs when nobody asks for more or less
   */
  DeviceCommand(Programs programs, LogLevel quietLevel) {
    this.programs = programs;
    this.quietLevel = quietLevel;
  }

  /** Refuses options that make no sense; before anything is read. */
  void checkOptions() {}

  /** Refuses what a device may be configured with, and this program cannot do. */
  abstract void check(DeviceConfig config) throws ConfigException;

  /** Does the program's work. */
  abstract void run(DeviceConfig config) throws Exception;

  /** Whether the command line asks for something that is done with a device's configuration. */
  boolean needsDevice() {
    return true;
  }

  /** Does what needs no device's configuration. */
  void runWithoutDevice() throws Exception {
    throw new IllegalStateException("there is nothing to do without a device");
  }

  /** Refuses what no program that serves disks can do. */
  final void checkServed(DeviceConfig config) throws ConfigException {
    if (config.source().filter(source -> !(source instanceof StripeSourceConfig.Raw)).isPresent()) {
      throw refused("stripe_source", "this version fetches from raw images only");
    }
    if (config.cpus().isPresent() && config.cpus().get().size() != config.numQueues()) {
      throw refused(
          "cpus",
          "must have one CPU per queue: num_queues is %d, and cpus has %d"
              .formatted(config.numQueues(), config.cpus().get().size()));
    }
  }

  @Override
  public final Integer call() throws Exception {
    options.check(needsDevice());
    warnings = logOption.start(quietLevel);
    checkOptions(); // asks a class with a logger, so the log is set up by then
    programs.prepare();
    if (!needsDevice()) {
      runWithoutDevice();
      return ExitCode.OK;
    }
    try (DeviceConfig config = load(options.config(), options.kek(), options.unlinkKek())) {
      check(config);
      run(config);
    }
    return ExitCode.OK;
  }

  /** Loads a configuration, and removes the file of its KEK in between if that is wanted. */
  final DeviceConfig load(Path config, Optional<Path> kek, boolean unlinkKek)
      throws ConfigException {
    if (kek.isEmpty()) {
      return ConfigLoader.load(config, null, warnings);
    }
    try (KekFile file = KekFile.load(kek.get(), warnings)) {
      if (unlinkKek) {
        file.unlink();
      }
      return ConfigLoader.load(config, file, warnings);
    }
  }

  /** The options of every such program. */
  final CommonOptions options() {
    return options;
  }

  final Programs programs() {
    return programs;
  }

  final CommandSpec spec() {
    return spec;
  }

  /** A refusal of what the configuration says under {@code key}. */
  final ConfigException refused(String key, String sentence) {
    return new ConfigException(options.config() + ": " + key + ": " + sentence);
  }

  /** A refusal of the command line. */
  final ParameterException usage(String message) {
    return new ParameterException(spec.commandLine(), message);
  }
}
