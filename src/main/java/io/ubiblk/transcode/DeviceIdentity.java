// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.transcode;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HexFormat;
import java.util.List;
import java.util.Optional;

/**
 * A name for a block device that is the same after the next boot: what lies beside a file cannot
 * lie beside a node of /dev. From sysfs: the UUID of device-mapper, the WWID or serial number of
 * the hardware, the file behind a loop device. The kernel's own names change from boot to boot.
 */
final class DeviceIdentity {
  /** Where to look, and what the name begins with. */
  private record Attribute(String file, String prefix) {}

  private static final List<Attribute> ATTRIBUTES =
      List.of(
          new Attribute("dm/uuid", "dm-"),
          new Attribute("md/uuid", "md-"),
          new Attribute("wwid", "wwid-"),
          new Attribute("device/wwid", "wwid-"),
          new Attribute("serial", "serial-"),
          new Attribute("device/serial", "serial-"));

  private DeviceIdentity() {}

  /** The name of the block device at that path, fit for a file's name; empty: it has none. */
  static Optional<String> of(Path device) throws IOException {
    long number = ((Number) Files.getAttribute(device, "unix:rdev")).longValue();
    Path link = Path.of("/sys/dev/block", major(number) + ":" + minor(number));
    return Files.exists(link) ? inSysfs(link.toRealPath()) : Optional.empty();
  }

  /** The name of the device that sysfs describes in {@code directory}. */
  static Optional<String> inSysfs(Path directory) {
    Optional<String> partition = attribute(directory.resolve("partition"));
    if (partition.isPresent()) {
      return inSysfs(directory.getParent()).map(whole -> whole + "-part" + partition.get());
    }
    for (Attribute attribute : ATTRIBUTES) {
      Optional<String> value = attribute(directory.resolve(attribute.file()));
      if (value.isPresent()) {
        return Optional.of(attribute.prefix() + plain(value.get()));
      }
    }
    return attribute(directory.resolve("loop/backing_file"))
        .map(path -> Digests.sha256().digest(path.getBytes(StandardCharsets.UTF_8)))
        .map(digest -> "loop-" + HexFormat.of().formatHex(digest));
  }

  private static Optional<String> attribute(Path file) {
    try {
      return Optional.of(Files.readString(file).strip()).filter(text -> !text.isEmpty());
    } catch (IOException e) {
      return Optional.empty(); // most devices lack most attributes
    }
  }

  private static String plain(String text) {
    return text.replaceAll("[^A-Za-z0-9._-]", "_");
  }

  private static long major(long number) {
    return ((number >>> 8) & 0xfff) | ((number >>> 32) & ~0xfffL);
  }

  private static long minor(long number) {
    return (number & 0xff) | ((number >>> 12) & ~0xffL);
  }
}
