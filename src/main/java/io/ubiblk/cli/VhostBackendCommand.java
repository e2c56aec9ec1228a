// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.cli;

import io.ubiblk.config.ConfigException;
import io.ubiblk.config.ConfigLoader;
import io.ubiblk.config.DeviceConfig;
import io.ubiblk.config.KekFile;
import java.util.Optional;
import java.util.concurrent.Callable;
import java.util.function.Consumer;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;

/** {@code vhost-backend}: serves a disk to a virtual machine over a vhost-user-blk socket. */
@Command(
    name = VhostBackendCommand.NAME,
    mixinStandardHelpOptions = true,
    versionProvider = Version.class,
    sortOptions = false,
    usageHelpAutoWidth = true,
    description = "Serves a disk to a virtual machine over a vhost-user-blk socket.",
    footerHeading = "%nExit status:%n",
    footer = {
      "  0    stopped by SIGTERM, SIGINT or SIGHUP",
      "  1    failed to start or to go on; the log on stderr says why",
      "  2    the command line is wrong",
      "  101  internal error; the log has a stack trace to report"
    })
final class VhostBackendCommand implements Callable<Integer> {
  /** The program's name. */
  static final String NAME = "vhost-backend";

  private final BackendRunner backend;

  @Mixin private CommonOptions options;

  VhostBackendCommand(BackendRunner backend) {
    this.backend = backend;
  }

  @Override
  public Integer call() throws Exception {
    options.check();
    Optional<String> levelWarning =
        Logging.configure(options.logLevel(), Optional.ofNullable(System.getenv(Logging.VARIABLE)));
    Logger log = LoggerFactory.getLogger(NAME);
    Consumer<String> warnings = text -> log.warn(Logging.oneLine(text));
    levelWarning.ifPresent(warnings);
    backend.prepare();
    try (DeviceConfig config = load(warnings)) {
      checkServable(config);
      backend.run(config);
    }
    return ExitCode.OK;
  }

  private DeviceConfig load(Consumer<String> warnings) throws ConfigException {
    if (options.kek().isEmpty()) {
      return ConfigLoader.load(options.config(), null, warnings);
    }
    try (KekFile kek = KekFile.load(options.kek().get(), warnings)) {
      if (options.unlinkKek()) {
        kek.unlink();
      }
      return ConfigLoader.load(options.config(), kek, warnings);
    }
  }

  /** What a device may be configured with, and this program cannot serve. */
  private void checkServable(DeviceConfig config) throws ConfigException {
    if (config.source().isPresent()) {
      throw refused(
          config.imagePath().isPresent() ? "image_path" : "stripe_source",
          "this version serves disks whose content is complete, and fetches none");
    } else if (config.metadataPath().isPresent()) {
      throw refused(
          "metadata_path", "this version serves disks without a metadata file, and keeps none");
    } else if (config.socket().isEmpty()) {
      throw refused("socket", "is required by " + NAME);
    }
    if (config.cpus().isPresent() && config.cpus().get().size() != config.numQueues()) {
      throw refused(
          "cpus",
          "must have one CPU per queue: num_queues is %d, and cpus has %d"
              .formatted(config.numQueues(), config.cpus().get().size()));
    }
  }

  private ConfigException refused(String key, String sentence) {
    return new ConfigException(options.config() + ": " + key + ": " + sentence);
  }
}
