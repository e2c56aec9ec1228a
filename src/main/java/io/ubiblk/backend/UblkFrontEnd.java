// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.backend;

import io.ubiblk.config.DeviceConfig;
import io.ubiblk.nativelib.NativeDevice;
import io.ubiblk.nativelib.NativeLog;
import io.ubiblk.nativelib.NativeUblkBackend;
import io.ubiblk.nativelib.StopSignals;
import java.io.IOException;
import java.nio.file.Path;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** A block device of the host's kernel. */
final class UblkFrontEnd implements FrontEnd {
  private static final Logger LOG = LoggerFactory.getLogger(UblkFrontEnd.class);

  private final NativeUblkBackend backend;

  private UblkFrontEnd(NativeUblkBackend backend) {
    this.backend = backend;
  }

  static FrontEnd open(
      DeviceConfig config, UblkBackend.Options options, NativeDevice device, NativeLog log)
      throws IOException {
    NativeUblkBackend backend =
        NativeUblkBackend.start(
            device, options.devId(), config.cpus(), config.stopTimeoutMs(), log);
    Path node = Path.of("/dev/ublkb" + backend.deviceId());
    LOG.info("the disk is {}, hash {}", node, String.format("%016x", backend.hash()));
    FrontEnd frontEnd = new UblkFrontEnd(backend);
    return options.link().isEmpty()
        ? frontEnd
        : LinkedFrontEnd.open(frontEnd, options.link().get(), node);
  }

  @Override
  public boolean connected() {
    return true;
  }

  @Override
  public String awaitEnd() throws IOException {
    return backend.await() ? StopSignals.await() : "stopped by another process";
  }

  @Override
  public void close() throws IOException {
    backend.close();
  }
}
