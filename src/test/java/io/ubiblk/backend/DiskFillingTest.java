// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.backend;

import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.ubiblk.config.ConfigLoader;
import io.ubiblk.config.DeviceConfig;
import io.ubiblk.nativelib.NativeDevice;
import io.ubiblk.nativelib.NativeLibrary;
import io.ubiblk.nativelib.NativeLog;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Optional;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class DiskFillingTest {
  @TempDir private Path directory;

  private DeviceConfig config(String more) throws Exception {
    String text = "path: %s/disk\nmetadata_path: %s/metadata\n%s\n";
    Path file =
        Files.writeString(directory.resolve("vm.yaml"), text.formatted(directory, directory, more));
    return ConfigLoader.load(file, null, warning -> {});
  }

  @Test
  void what_keeps_a_disk_from_being_filled_names_disk_and_metadata() throws Exception {
    NativeLibrary.load();
    Files.write(directory.resolve("disk"), new byte[1 << 20]);
    Path image = Files.write(directory.resolve("image"), new byte[1 << 20]);
    MetadataInit.run(
        config("stripe_source: {source: raw, path: " + image + "}"),
        new MetadataInit.Options(11, "2.0", false));
    DeviceConfig config = config("");
    try (NativeLog log = NativeLog.open();
        NativeDevice device = NativeDevice.open(config, Optional.empty(), log)) {
      assertThatThrownBy(
              () ->
                  DiskFilling.start(config, device, Optional.empty(), SourceOpener::openReal, log))
          .isInstanceOf(IOException.class)
          .hasMessage(
              "disk %s/disk with metadata_path %s/metadata: 1 stripes are not fetched yet,"
                  + " and there is no stripe source",
              directory, directory);
    }
  }
}
