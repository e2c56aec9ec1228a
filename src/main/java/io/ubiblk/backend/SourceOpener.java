// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.backend;

import io.ubiblk.config.DeviceConfig;
import io.ubiblk.config.StripeSourceConfig;
import io.ubiblk.stripe.RawStripeSource;
import io.ubiblk.stripe.StripeSource;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;

/** Opens stripe sources. Tests put faults into what this gives. */
interface SourceOpener {
  /**
   * Opens the source that {@code config} describes.
   *
   * @param stripeBytes bytes of every stripe of the disk but the last
   */
  StripeSource open(StripeSourceConfig config, int stripeBytes) throws IOException;

  /** The sources that this program knows. */
  static StripeSource openReal(StripeSourceConfig config, int stripeBytes) throws IOException {
    if (config instanceof StripeSourceConfig.Raw raw) {
      return RawStripeSource.open(Path.of(raw.path()), stripeBytes);
    }
    throw new IOException("this version fetches from raw images only");
  }

  /**
   * Refuses a raw image that is the disk itself, by whatever name: a stripe would be fetched from
   * what it is written to.
   */
  static void refuseTheDisk(DeviceConfig config) throws IOException {
    if (config.source().isPresent()
        && config.source().get() instanceof StripeSourceConfig.Raw raw
        && Files.exists(Path.of(raw.path()))
        && Files.isSameFile(Path.of(raw.path()), Path.of(config.path()))) {
      throw new IOException(
          "the raw image %s is the disk %s itself: a disk cannot be fetched from itself"
              .formatted(raw.path(), config.path()));
    }
  }
}
