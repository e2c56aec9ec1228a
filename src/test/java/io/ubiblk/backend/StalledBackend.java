// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.backend;

import io.ubiblk.config.ConfigLoader;
import io.ubiblk.config.DeviceConfig;
import io.ubiblk.config.StripeSourceConfig;
import io.ubiblk.stripe.StripeSource;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.concurrent.locks.LockSupport;

/**
 * The back end as a program, with a source that hangs: as long as the file IMAGE.stalled exists,
 * every read of the image waits.
 *
 * <pre>
 *   StalledBackend --config FILE                          as vhost-backend
 *   StalledBackend --config FILE --device-symlink PATH    as ublk-backend
 * </pre>
 */
public final class StalledBackend {
  private static final long LOOK_NS = 50_000_000;

  private StalledBackend() {}

  /** Serves until a signal. */
  public static void main(String[] arguments) throws Exception {
    VhostBackend.prepare();
    try (DeviceConfig config = ConfigLoader.load(Path.of(arguments[1]), null, warning -> {})) {
      if (arguments.length > 2) {
        Optional<Path> link = Optional.of(Path.of(arguments[3]));
        UblkBackend.run(
            config,
            new UblkBackend.Options(link, OptionalInt.empty()),
            StalledBackend::openStalling);
      } else {
        VhostBackend.run(config, StalledBackend::openStalling);
      }
    }
  }

  private static StripeSource openStalling(StripeSourceConfig source, int stripeBytes)
      throws IOException {
    return new Stalling(
        SourceOpener.openReal(source, stripeBytes),
        Path.of(((StripeSourceConfig.Raw) source).path() + ".stalled"));
  }

  private record Stalling(StripeSource source, Path stalled) implements StripeSource {
    @Override
    public long byteLength() {
      return source.byteLength();
    }

    @Override
    public boolean has(int stripe) {
      return source.has(stripe);
    }

    @Override
    public void read(int stripe, ByteBuffer into) throws IOException, InterruptedException {
      while (Files.exists(stalled)) {
        LockSupport.parkNanos(LOOK_NS);
        if (Thread.interrupted()) {
          throw new InterruptedException();
        }
      }
      source.read(stripe, into);
    }

    @Override
    public String describe() {
      return source.describe();
    }

    @Override
    public void close() throws IOException {
      source.close();
    }
  }
}
