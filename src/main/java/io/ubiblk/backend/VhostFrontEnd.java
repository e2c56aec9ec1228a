// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.backend;

import io.ubiblk.config.DeviceConfig;
import io.ubiblk.nativelib.NativeDevice;
import io.ubiblk.nativelib.NativeLog;
import io.ubiblk.nativelib.NativeVhostBackend;
import io.ubiblk.nativelib.StopSignals;
import java.io.IOException;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** A socket for vhost-user front ends. */
final class VhostFrontEnd implements FrontEnd {
  private static final Logger LOG = LoggerFactory.getLogger(VhostFrontEnd.class);

  private final NativeVhostBackend backend;

  private VhostFrontEnd(NativeVhostBackend backend) {
    this.backend = backend;
  }

  static VhostFrontEnd open(DeviceConfig config, NativeDevice device, NativeLog log)
      throws IOException {
    String socket =
        config.socket().orElseThrow(() -> new IllegalArgumentException("socket is not set"));
    NativeVhostBackend backend =
        NativeVhostBackend.start(device, socket, config.cpus(), config.stopTimeoutMs(), log);
    LOG.info("front ends connect to {}", socket);
    return new VhostFrontEnd(backend);
  }

  @Override
  public boolean connected() {
    return backend.connected();
  }

  @Override
  public String awaitEnd() throws IOException {
    return StopSignals.await();
  }

  @Override
  public void close() throws IOException {
    backend.close();
  }
}
