// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.nativelib;

import io.ubiblk.config.ConfigException;
import io.ubiblk.config.ConfigLoader;
import io.ubiblk.config.DeviceConfig;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;

/** Configurations for tests, read by the real loader from YAML. */
final class DeviceConfigs {
  private DeviceConfigs() {}

  /** Writes {@code lines} to a file in {@code directory} and loads it. */
  static DeviceConfig load(Path directory, String... lines) throws IOException, ConfigException {
    Path file = Files.write(directory.resolve("config.yaml"), List.of(lines));
    return ConfigLoader.load(file, null, text -> {});
  }
}
