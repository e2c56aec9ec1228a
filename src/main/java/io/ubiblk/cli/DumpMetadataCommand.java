// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.cli;

import io.ubiblk.config.ConfigException;
import io.ubiblk.config.DeviceConfig;
import java.io.IOException;
import java.io.PrintWriter;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;

/** {@code dump-metadata}: prints which stripes a disk has. */
@Command(
    name = DumpMetadataCommand.NAME,
    description = {
      "Prints what the metadata file of a disk says. Takes no lock: it works while the disk is"
          + " served, and warns that it is."
    },
    footer = {
      "  0    printed",
      "  1    disk, image or metadata could not be read; the log on stderr says why",
      DeviceCommand.USAGE_STATUS,
      DeviceCommand.INTERNAL_STATUS
    })
final class DumpMetadataCommand extends DeviceCommand {
  /** The program's name. */
  static final String NAME = "dump-metadata";

  @Option(
      names = "--json",
      description = "Print one JSON object, with counts, percentages, and who uses the disk.")
  private boolean json;

  DumpMetadataCommand(Programs programs) {
    super(programs, LogLevel.WARN);
  }

  @Override
  void check(DeviceConfig config) throws ConfigException {
    if (config.metadataPath().isEmpty()) {
      throw refused("metadata_path", "is required by " + NAME);
    }
  }

  @Override
  void run(DeviceConfig config) throws Exception {
    PrintWriter out = spec().commandLine().getOut();
    programs().dumpMetadata(config, json, out);
    // The writer hands on to System.out, which keeps its failures to itself.
    if (out.checkError() || System.out.checkError()) {
      throw new IOException("cannot write to standard output");
    }
  }
}
