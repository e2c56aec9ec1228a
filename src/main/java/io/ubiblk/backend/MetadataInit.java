// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.backend;

import io.ubiblk.config.DeviceConfig;
import io.ubiblk.config.StripeSourceConfig;
import io.ubiblk.metadata.MetadataCreator;
import io.ubiblk.metadata.MetadataFormat;
import io.ubiblk.metadata.MetadataParameters;
import io.ubiblk.nativelib.NativeDiskFile;
import io.ubiblk.nativelib.NativeLog;
import io.ubiblk.nativelib.NativeXts;
import io.ubiblk.transcode.KeyGuard;
import java.io.IOException;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.function.IntPredicate;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Makes the metadata file of a disk, on which nothing has been fetched yet. Disk and file are
 * locked meanwhile, so that no back end works with either.
 */
public final class MetadataInit {
  private static final Logger LOG = LoggerFactory.getLogger(MetadataInit.class);

  /** Long enough for the last writes of a process that was killed; nobody waits out a back end. */
  private static final int LOCK_TIMEOUT_MS = 1000;

  private static final int SECTOR_SHIFT = 9;

  private MetadataInit() {}

  /**
   * How the file is to be made.
   *
   * @param shift a stripe has 2 to the power of this sectors; 6 to 16
   * @param version one of {@link #versions}
   * @param force whether what is in the file already may be lost
   */
  public record Options(int shift, String version, boolean force) {}

  /** Versions of the format that can be made, the oldest first. */
  public static List<String> versions() {
    return Arrays.stream(MetadataFormat.values()).map(MetadataFormat::text).toList();
  }

  /**
   * Makes the file. Keys are taken out of {@code config}, which has a metadata_path, and no source
   * but a raw image.
   *
   * @throws IOException if the disk or the file is in use, image and disk do not fit, the file
   *     holds something already, or cannot be written
   */
  public static void run(DeviceConfig config, Options options) throws IOException {
    String path =
        config
            .metadataPath()
            .orElseThrow(() -> new IllegalArgumentException("metadata_path is not set"));
    DiskTool.run(config, (xts, log) -> create(config, path, options, xts, log));
  }

  private static void create(
      DeviceConfig config, String path, Options options, Optional<NativeXts> xts, NativeLog log)
      throws IOException {
    try (NativeDiskFile disk =
        NativeDiskFile.open(config.path(), config.logicalBlockSize(), LOCK_TIMEOUT_MS, log)) {
      KeyGuard.check(config.path(), xts);
      var parameters =
          new MetadataParameters(
              format(options.version()),
              options.shift(),
              disk.byteLength() >> SECTOR_SHIFT,
              hasSource(config, options.shift(), disk.byteLength()));
      MetadataCreator.create(path, parameters, LOCK_TIMEOUT_MS, options.force(), xts, log);
    }
    LOG.info(
        "{}: metadata {} for stripes of {} bytes, {}",
        path,
        options.version(),
        1L << (options.shift() + SECTOR_SHIFT),
        xts.isPresent() ? "enciphered" : "not enciphered");
  }

  private static MetadataFormat format(String version) {
    return Arrays.stream(MetadataFormat.values())
        .filter(format -> format.text().equals(version))
        .findFirst()
        .orElseThrow(() -> new IllegalArgumentException("there is no metadata " + version));
  }

  /** Which stripes the source has content for: those that begin before the end of the image. */
  private static IntPredicate hasSource(DeviceConfig config, int shift, long diskBytes)
      throws IOException {
    if (config.source().isEmpty()) {
      return stripe -> false;
    } else if (config.source().get() instanceof StripeSourceConfig.Raw raw) {
      SourceOpener.refuseTheDisk(config);
      long imageBytes = NativeDiskFile.look(raw.path()).byteLength();
      if (imageBytes > diskBytes) {
        throw new IOException(
            "%s has %d bytes, more than the %d of the disk %s"
                .formatted(raw.path(), imageBytes, diskBytes, config.path()));
      }
      return stripe -> (long) stripe << (shift + SECTOR_SHIFT) < imageBytes;
    }
    throw new IllegalArgumentException("the stripe source is no raw image");
  }
}
