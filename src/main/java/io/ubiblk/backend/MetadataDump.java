// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.backend;

import io.ubiblk.config.DeviceConfig;
import io.ubiblk.config.StripeSourceConfig;
import io.ubiblk.metadata.MetadataException;
import io.ubiblk.metadata.MetadataFile;
import io.ubiblk.metadata.StripeFlags;
import io.ubiblk.nativelib.NativeDiskFile;
import io.ubiblk.nativelib.NativeDiskFile.DiskLook;
import io.ubiblk.nativelib.NativeLog;
import io.ubiblk.nativelib.NativeXts;
import io.ubiblk.transcode.KeyGuard;
import java.io.IOException;
import java.util.Optional;
import java.util.OptionalLong;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** Prints what a disk's metadata says. Takes no lock, so it works while the disk is served. */
public final class MetadataDump {
  private static final Logger LOG = LoggerFactory.getLogger(MetadataDump.class);

  /** A sector that is being written may look damaged to whoever reads it without a lock. */
  private static final int ATTEMPTS_BESIDE_A_WRITER = 5;

  private static final int SECTOR_SHIFT = 9;

  private MetadataDump() {}

  /**
   * What is printed.
   *
   * @param imageBytes length of a raw image
   * @param metadataPath where the metadata lies
   */
  record Report(
      String diskPath,
      DiskLook disk,
      Optional<StripeSourceConfig> source,
      OptionalLong imageBytes,
      String metadataPath,
      MetadataFile metadata) {

    long stripeBytes() {
      return 1L << (metadata.stripeSectorCountShift() + SECTOR_SHIFT);
    }

    StripeRanges fetched() {
      return new StripeRanges(metadata.flags(), flags -> (flags & StripeFlags.FETCHED) != 0);
    }

    StripeRanges written() {
      return new StripeRanges(metadata.flags(), flags -> (flags & StripeFlags.WRITTEN) != 0);
    }

    StripeRanges hasSource() {
      return new StripeRanges(metadata.flags(), flags -> (flags & StripeFlags.HAS_SOURCE) != 0);
    }

    StripeRanges toFetch() {
      return new StripeRanges(metadata.flags(), StripeFlags::mustBeFetched);
    }
  }

  /**
   * Prints the metadata of the disk that {@code config} describes, as lines or as one JSON object.
   * Keys are taken out of {@code config}, which has a metadata_path.
   *
   * @throws IOException if disk, image or metadata cannot be read, or do not fit each other, or if
   *     the disk's keys are being changed or are others; then nothing was printed, unless it was
   *     {@code out} that failed
   */
  public static void run(DeviceConfig config, boolean json, Appendable out) throws IOException {
    String path =
        config
            .metadataPath()
            .orElseThrow(() -> new IllegalArgumentException("metadata_path is not set"));
    DiskTool.run(config, (xts, log) -> dump(config, path, json, out, xts, log));
  }

  private static void dump(
      DeviceConfig config,
      String path,
      boolean json,
      Appendable out,
      Optional<NativeXts> xts,
      NativeLog log)
      throws IOException {
    DiskLook disk = NativeDiskFile.look(config.path());
    OptionalLong imageBytes = OptionalLong.empty();
    if (config.source().orElse(null) instanceof StripeSourceConfig.Raw raw) {
      imageBytes = OptionalLong.of(NativeDiskFile.look(raw.path()).byteLength());
    }
    if (disk.byteLength() == 0 || disk.byteLength() % (1 << SECTOR_SHIFT) != 0) {
      throw new IOException(
          "the size of %s, %d bytes, is not a multiple of %d above 0"
              .formatted(config.path(), disk.byteLength(), 1 << SECTOR_SHIFT));
    }
    disk.holder().ifPresent(holder -> warn(config.path(), holder));
    KeyGuard.check(config.path(), xts);
    Optional<String> holder = NativeDiskFile.look(path).holder();
    holder.ifPresent(who -> warn(path, who));
    int attempts = holder.isPresent() ? ATTEMPTS_BESIDE_A_WRITER : 1;
    try (MetadataFile metadata =
        open(path, disk.byteLength() >> SECTOR_SHIFT, attempts, xts, log)) {
      var report = new Report(config.path(), disk, config.source(), imageBytes, path, metadata);
      if (json) {
        MetadataJson.print(report, holder, out);
      } else {
        MetadataText.print(report, out);
      }
    }
  }

  private static void warn(String path, String holder) {
    LOG.warn("{} is in use by {}: what is printed may change meanwhile", path, holder);
  }

  private static MetadataFile open(
      String path, long diskSectors, int attempts, Optional<NativeXts> xts, NativeLog log)
      throws IOException {
    for (int attempt = 1; ; attempt++) {
      try {
        return MetadataFile.openReadOnly(path, diskSectors, xts, log);
      } catch (MetadataException e) {
        if (attempt == attempts) {
          throw e;
        }
      }
    }
  }
}
