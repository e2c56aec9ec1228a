// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.cli;

import io.ubiblk.backend.MetadataInit;
import io.ubiblk.config.ConfigException;
import io.ubiblk.config.DeviceConfig;
import io.ubiblk.config.StripeSourceConfig;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;

/** {@code init-metadata}: makes the file that knows which stripes a disk has. */
@Command(
    name = InitMetadataCommand.NAME,
    description = {
      "Makes the metadata file of a disk, on which nothing has been fetched yet. The file at"
          + " metadata_path is made, or filled from its beginning to its end."
    },
    footer = {
      "  0    the file is complete and durable",
      "  1    it could not be made; the log on stderr says why",
      DeviceCommand.USAGE_STATUS,
      DeviceCommand.INTERNAL_STATUS
    })
final class InitMetadataCommand extends DeviceCommand {
  /** The program's name. */
  static final String NAME = "init-metadata";

  private static final int SHIFT_MIN = 6;
  private static final int SHIFT_MAX = 16;

  @Option(
      names = {"-s", "--stripe-sector-count-shift"},
      paramLabel = "N",
      defaultValue = "11",
      description = "A stripe has 2^N sectors of 512 bytes: 6 to 16. Default: 11, which is 1 MiB.")
  private int shift;

  @Option(
      names = "--metadata-version",
      paramLabel = "VERSION",
      defaultValue = "2.0",
      description = {
        "2.0 (the default: with checksums), or 1.0 for programs that read nothing newer."
      })
  private String version;

  @Option(
      names = "--force",
      description = "Replace what the file holds already; what it knows of a disk is lost.")
  private boolean force;

  InitMetadataCommand(Programs programs) {
    super(programs, LogLevel.WARN);
  }

  @Override
  void checkOptions() {
    if (!MetadataInit.versions().contains(version)) {
      throw usage(
          "--metadata-version must be %s, is %s"
              .formatted(String.join(" or ", MetadataInit.versions()), version));
    }
  }

  @Override
  void check(DeviceConfig config) throws ConfigException {
    if (shift < SHIFT_MIN || shift > SHIFT_MAX) {
      throw new ConfigException(
          "--stripe-sector-count-shift must be %d to %d, is %d"
              .formatted(SHIFT_MIN, SHIFT_MAX, shift));
    } else if (config.metadataPath().isEmpty()) {
      throw refused("metadata_path", "is required by " + NAME);
    } else if (config.source().isPresent()
        && !(config.source().get() instanceof StripeSourceConfig.Raw)) {
      throw refused(
          "stripe_source",
          "this version cannot ask remote and archive sources yet which stripes they have");
    }
  }

  @Override
  void run(DeviceConfig config) throws Exception {
    programs().initMetadata(config, new MetadataInit.Options(shift, version, force));
  }
}
