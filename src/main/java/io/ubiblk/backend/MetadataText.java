// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.backend;

import io.ubiblk.config.ArchiveTargetConfig;
import io.ubiblk.config.StripeSourceConfig;
import java.io.IOException;
import java.util.Optional;
import java.util.OptionalLong;

/** Metadata as lines for people and scripts, one item per line, always the same ones. */
final class MetadataText {
  private MetadataText() {}

  static void print(MetadataDump.Report report, Appendable out) throws IOException {
    line(out, "data file", report.diskPath() + " (" + report.disk().byteLength() + " bytes)");
    line(out, "source", source(report.source(), report.imageBytes()));
    line(out, "metadata version", report.metadata().format().text());
    line(out, "stripe size", report.stripeBytes() + " bytes");
    list(out, "fetched stripes", report.fetched());
    list(out, "written stripes", report.written());
    list(out, "has-source stripes", report.hasSource());
  }

  private static void line(Appendable out, String name, String value) throws IOException {
    out.append(name).append(": ").append(value).append('\n');
  }

  /** One stripe is itself, two are a list, more are a range. */
  private static void list(Appendable out, String name, StripeRanges ranges) throws IOException {
    out.append(name).append(": ");
    String[] separator = {""};
    ranges.forEach(
        (first, last) -> {
          out.append(separator[0]).append(Integer.toString(first));
          if (last > first) {
            out.append(last == first + 1 ? ", " : "-").append(Integer.toString(last));
          }
          separator[0] = ", ";
        });
    out.append('\n');
  }

  /** Where content comes from, without secrets. */
  static String source(Optional<StripeSourceConfig> source, OptionalLong imageBytes) {
    if (source.isEmpty()) {
      return "None";
    } else if (source.get() instanceof StripeSourceConfig.Raw raw) {
      return "raw (path: %s, size: %d bytes)".formatted(raw.path(), imageBytes.orElseThrow());
    } else if (source.get() instanceof StripeSourceConfig.Remote remote) {
      return "remote (address: %s, psk_identity: %s)"
          .formatted(remote.server().address(), orNone(remote.server().pskIdentity()));
    } else if (source.get() instanceof StripeSourceConfig.Archive archive) {
      return archive(archive.target());
    }
    throw new AssertionError(source.get());
  }

  private static String archive(ArchiveTargetConfig target) {
    if (target instanceof ArchiveTargetConfig.FileSystem directory) {
      return "archive filesystem (path: " + directory.path() + ")";
    } else if (target instanceof ArchiveTargetConfig.S3 s3) {
      return ("archive s3 (bucket: %s, prefix: %s, endpoint: %s, region: %s, profile: %s,"
              + " connections: %d)")
          .formatted(
              s3.bucket(),
              orNone(s3.prefix()),
              orNone(s3.endpoint()),
              orNone(s3.region()),
              orNone(s3.profile()),
              s3.connections());
    }
    throw new AssertionError(target);
  }

  private static String orNone(Optional<String> value) {
    return value.orElse("None");
  }
}
