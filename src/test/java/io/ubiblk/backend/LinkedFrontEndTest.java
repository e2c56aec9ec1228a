// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.backend;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class LinkedFrontEndTest {
  private static final Path NODE = Path.of("/dev/ublkb3");

  @TempDir private Path directory;
  private Path path;
  private final Device device = new Device();

  /** Notes whether there is a link when it is closed. */
  private final class Device implements FrontEnd {
    private final List<String> closed = new ArrayList<>();
    private boolean failed;

    @Override
    public boolean connected() {
      return true;
    }

    @Override
    public String awaitEnd() throws IOException {
      if (failed) {
        throw new IOException("a queue failed");
      }
      return "stopped";
    }

    @Override
    public void close() {
      closed.add(linked() ? "with link" : "without link");
    }
  }

  @BeforeEach
  void choosePath() {
    path = directory.resolve("disk");
  }

  private boolean linked() {
    return Files.exists(path, LinkOption.NOFOLLOW_LINKS);
  }

  @Test
  void the_link_goes_before_the_device() throws IOException {
    FrontEnd linked = LinkedFrontEnd.open(device, path, NODE);
    assertThat(Files.readSymbolicLink(path)).isEqualTo(NODE);
    assertThat(linked.connected()).isTrue();
    assertThat(linked.awaitEnd()).isEqualTo("stopped");
    linked.close();
    assertThat(device.closed).containsExactly("without link");
  }

  @Test
  void the_link_of_a_device_that_is_left_to_the_next_server_stays() throws IOException {
    FrontEnd linked = LinkedFrontEnd.open(device, path, NODE);
    device.failed = true;
    assertThatThrownBy(linked::awaitEnd).hasMessage("a queue failed");
    linked.close();
    assertThat(device.closed).containsExactly("with link");
    assertThat(linked()).isTrue();
  }

  @Test
  void a_device_ends_whose_link_fails_unexpectedly() {
    assertThatThrownBy(() -> LinkedFrontEnd.open(device, path, null))
        .isInstanceOf(RuntimeException.class);
    assertThat(device.closed).containsExactly("without link");
  }
}
