// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.backend;

import io.ubiblk.config.DeviceConfig;
import io.ubiblk.nativelib.NativeDevice;
import io.ubiblk.nativelib.NativeLog;
import io.ubiblk.nativelib.NativeXts;
import io.ubiblk.stripe.StripeProgress;
import java.io.IOException;
import java.util.Optional;

/** What the back end puts together for a disk with metadata, for tests of other packages. */
public final class FilledDisk implements AutoCloseable {
  private final DiskFilling filling;

  private FilledDisk(DiskFilling filling) {
    this.filling = filling;
  }

  /** Loads the metadata of {@code device} and fills it. */
  public static FilledDisk start(
      DeviceConfig config, NativeDevice device, Optional<NativeXts> xts, NativeLog log)
      throws IOException {
    return new FilledDisk(DiskFilling.start(config, device, xts, SourceOpener::openReal, log));
  }

  /** How far it is. */
  public StripeProgress progress() {
    return filling.lazyDisk().progress();
  }

  @Override
  public void close() throws IOException {
    filling.close();
  }
}
