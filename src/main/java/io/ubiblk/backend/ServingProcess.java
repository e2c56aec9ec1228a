// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.backend;

import io.ubiblk.config.DeviceConfig;
import io.ubiblk.nativelib.ServiceManager;
import io.ubiblk.nativelib.StopSignals;
import java.io.IOException;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** The life of a process that serves one disk, whatever its front end. */
final class ServingProcess {
  private static final Logger LOG = LoggerFactory.getLogger(ServingProcess.class);

  private ServingProcess() {}

  /**
   * Serves until SIGTERM, SIGINT or SIGHUP, or until the front end has ended, then ends what is in
   * flight and returns. Keys are taken out of {@code config}.
   *
   * @throws IOException if the disk cannot be served, or not be synced at the end
   */
  static void run(DeviceConfig config, SourceOpener sources, FrontEnd.Opener opener)
      throws IOException {
    StopSignals.install();
    ServiceManager manager = ServiceManager.fromEnvironment();
    try (BackendAssembly assembly = BackendAssembly.start(config, sources, opener)) {
      manager.ready();
      String reason = assembly.awaitEnd();
      LOG.info("{}: stopping {}", reason, assembly);
      manager.stopping();
    }
    LOG.info("stopped");
  }
}
