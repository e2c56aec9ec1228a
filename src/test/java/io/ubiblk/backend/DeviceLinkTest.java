// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.backend;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class DeviceLinkTest {
  private static final Path DEVICE = Path.of("/dev/ublkb3");

  @TempDir private Path directory;

  private static boolean exists(Path path) {
    return Files.exists(path, LinkOption.NOFOLLOW_LINKS);
  }

  @Test
  void a_link_is_made_with_its_directory_and_removed() throws IOException {
    Path path = directory.resolve("a/b/disk");
    DeviceLink link = DeviceLink.make(path, DEVICE);
    assertThat(Files.readSymbolicLink(path)).isEqualTo(DEVICE);
    assertThat(path.getParent()).isDirectoryNotContaining(file -> !file.equals(path));
    link.remove();
    assertThat(exists(path)).isFalse();
    link.remove();
  }

  @Test
  void what_was_left_is_replaced() throws IOException {
    Path old = Files.createSymbolicLink(directory.resolve("old"), Path.of("/dev/ublkb0"));
    Path same = Files.createSymbolicLink(directory.resolve("same"), DEVICE);
    Path file = Files.writeString(directory.resolve("file"), "x");
    for (Path path : new Path[] {old, same, file}) {
      DeviceLink.make(path, DEVICE);
      assertThat(Files.readSymbolicLink(path)).isEqualTo(DEVICE);
    }
  }

  @Test
  void what_cannot_be_made_is_no_failure() throws IOException {
    Path occupied = Files.createDirectory(directory.resolve("directory"));
    DeviceLink.make(occupied, DEVICE).remove();
    assertThat(occupied).isDirectory();
    DeviceLink.make(Path.of("/"), DEVICE).remove();
    Path file = Files.writeString(directory.resolve("file"), "x");
    DeviceLink.make(file.resolve("below"), DEVICE).remove();
    assertThat(file).hasContent("x");
  }

  @Test
  void a_link_of_somebody_else_is_left_alone() throws IOException {
    Path path = directory.resolve("disk");
    DeviceLink link = DeviceLink.make(path, DEVICE);
    DeviceLink.make(path, Path.of("/dev/ublkb4"));
    link.remove();
    assertThat(Files.readSymbolicLink(path)).isEqualTo(Path.of("/dev/ublkb4"));
    Files.delete(path);
    Files.writeString(path, "a file");
    link.remove();
    assertThat(path).hasContent("a file");
  }
}
