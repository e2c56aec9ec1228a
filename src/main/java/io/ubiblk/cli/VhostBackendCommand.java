// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.cli;

import io.ubiblk.config.ConfigException;
import io.ubiblk.config.DeviceConfig;
import picocli.CommandLine.Command;

/** {@code vhost-backend}: serves a disk to a virtual machine over a vhost-user-blk socket. */
@Command(
    name = VhostBackendCommand.NAME,
    description = "Serves a disk to a virtual machine over a vhost-user-blk socket.",
    footer = {
      "  0    stopped by SIGTERM, SIGINT or SIGHUP",
      "  1    failed to start or to go on; the log on stderr says why",
      DeviceCommand.USAGE_STATUS,
      DeviceCommand.INTERNAL_STATUS
    })
final class VhostBackendCommand extends DeviceCommand {
  /** The program's name. */
  static final String NAME = "vhost-backend";

  VhostBackendCommand(Programs programs) {
    super(programs, LogLevel.INFO);
  }

  @Override
  void check(DeviceConfig config) throws ConfigException {
    checkServed(config);
    if (config.socket().isEmpty()) {
      throw refused("socket", "is required by " + NAME);
    }
  }

  @Override
  void run(DeviceConfig config) throws Exception {
    programs().serveVhost(config);
  }
}
