// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.backend;

import io.ubiblk.config.DeviceConfig;
import io.ubiblk.config.StripeSourceConfig;
import io.ubiblk.metadata.MetadataFile;
import io.ubiblk.metadata.StripeFlags;
import io.ubiblk.nativelib.NativeBuffer;
import io.ubiblk.nativelib.NativeDevice;
import io.ubiblk.nativelib.NativeLog;
import io.ubiblk.nativelib.NativeStripes;
import io.ubiblk.nativelib.NativeXts;
import io.ubiblk.stripe.LazyDisk;
import io.ubiblk.stripe.LazyDiskSettings;
import io.ubiblk.stripe.NativeStripeDisk;
import io.ubiblk.stripe.StripeBuffer;
import io.ubiblk.stripe.StripeSource;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.Optional;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * What a disk with a metadata file has beside itself: the file, the states of its stripes, the
 * source, and whoever fetches from it. Starts after the disk was opened, and before its queues.
 */
final class DiskFilling implements AutoCloseable {
  private static final Logger LOG = LoggerFactory.getLogger(DiskFilling.class);

  private final MetadataFile metadata;
  private final NativeStripes stripes;
  private final LazyDisk lazyDisk;

  private DiskFilling(MetadataFile metadata, NativeStripes stripes, LazyDisk lazyDisk) {
    this.metadata = metadata;
    this.stripes = stripes;
    this.lazyDisk = lazyDisk;
  }

  /**
   * Loads the metadata, opens the source if something is left to fetch, and begins to fill the
   * disk.
   *
   * @throws IOException if the metadata does not fit the disk, or the source does not, or is
   *     missing; nothing is left open then
   */
  static DiskFilling start(
      DeviceConfig config,
      NativeDevice device,
      Optional<NativeXts> xts,
      SourceOpener sources,
      NativeLog log)
      throws IOException {
    String path = config.metadataPath().orElseThrow();
    MetadataFile metadata = MetadataFile.openForUpdate(path, device.capacitySectors(), xts, log);
    Optional<StripeSource> source = Optional.empty();
    NativeStripes stripes = null;
    try {
      int missing = missing(metadata.flags());
      source = openSource(config, metadata, missing, sources);
      stripes =
          NativeStripes.attach(
              device,
              metadata.stripeSectorCountShift(),
              metadata.flags(),
              config.trackWritten(),
              config.fetchTimeoutMs(),
              image(config, source));
      metadata.releaseFlags();
      LOG.info(
          "{}: metadata {}, {} stripes, {} of them to be fetched{}",
          path,
          metadata.format().text(),
          metadata.stripeCount(),
          missing,
          source.map(opened -> " from " + opened.describe()).orElse(""));
      return new DiskFilling(metadata, stripes, fill(config, metadata, stripes, source));
    } catch (IOException | RuntimeException | OutOfMemoryError e) {
      closeAfter(e, stripes);
      closeAfter(e, source.orElse(null));
      closeAfter(e, metadata);
      throw e;
    }
  }

  private static int missing(ByteBuffer flags) {
    int missing = 0;
    for (int stripe = 0; stripe < flags.limit(); stripe++) {
      missing += StripeFlags.mustBeFetched(flags.get(stripe)) ? 1 : 0;
    }
    return missing;
  }

  /** A source is opened only when it is needed: a complete disk starts without. */
  private static Optional<StripeSource> openSource(
      DeviceConfig config, MetadataFile metadata, int missing, SourceOpener sources)
      throws IOException {
    if (missing == 0 || config.source().isEmpty()) {
      return Optional.empty();
    }
    SourceOpener.refuseTheDisk(config);
    int stripeBytes = Math.toIntExact(512L << metadata.stripeSectorCountShift());
    return Optional.of(sources.open(config.source().get(), stripeBytes));
  }

  /** The image that reads go to instead of waiting. */
  private static Optional<NativeStripes.Image> image(
      DeviceConfig config, Optional<StripeSource> source) {
    if (config.copyOnRead()
        || source.isEmpty()
        || !(config.source().get() instanceof StripeSourceConfig.Raw raw)) {
      return Optional.empty();
    }
    return Optional.of(new NativeStripes.Image(raw.path(), source.get().byteLength()));
  }

  private static LazyDisk fill(
      DeviceConfig config,
      MetadataFile metadata,
      NativeStripes stripes,
      Optional<StripeSource> source)
      throws IOException {
    var settings =
        new LazyDiskSettings(
            config.trackWritten(),
            config.autofetch(),
            config.fetchConcurrency(),
            config.fetchBytes(),
            config.stopTimeoutMs());
    var disk = new NativeStripeDisk(stripes, metadata);
    try {
      return LazyDisk.start(
          settings,
          disk,
          metadata.format(),
          disk,
          source,
          DiskFilling::allocate,
          stripes::dropImage);
    } catch (IOException e) {
      throw new IOException(
          "disk %s with metadata_path %s: %s"
              .formatted(config.path(), config.metadataPath().orElseThrow(), e.getMessage()),
          e);
    }
  }

  private static StripeBuffer allocate(String what, int bytes) {
    NativeBuffer memory = NativeBuffer.allocate(what, bytes);
    return new StripeBuffer(memory.bytes(), memory::close);
  }

  private static void closeAfter(Throwable failure, AutoCloseable part) {
    if (part == null) {
      return;
    }
    try {
      part.close();
    } catch (Exception e) {
      failure.addSuppressed(e);
    }
  }

  /** Whoever fetches and commits. */
  LazyDisk lazyDisk() {
    return lazyDisk;
  }

  /** Ends after the queues, and before the disk is closed. */
  @Override
  public void close() throws IOException {
    lazyDisk.close();
    stripes.close();
    metadata.close();
  }
}
