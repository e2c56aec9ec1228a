// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.nativelib;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatCode;

import java.io.IOException;
import java.nio.file.Path;
import java.util.Optional;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class ServiceManagerTest {
  @TempDir private Path directory;

  @BeforeAll
  static void loadLibrary() throws IOException {
    NativeLibrary.load();
  }

  @Test
  void says_nothing_when_nobody_listens() {
    assertThatCode(
            () -> {
              ServiceManager nobody = new ServiceManager(Optional.empty());
              nobody.ready();
              nobody.stopping();
            })
        .doesNotThrowAnyException();
  }

  @Test
  void a_socket_that_cannot_be_reached_is_no_failure() {
    for (String name :
        new String[] {directory + "/missing", "@ubiblk-nobody", "x".repeat(200), "a\0b"}) {
      assertThatCode(() -> new ServiceManager(Optional.of(name)).ready())
          .as(name)
          .doesNotThrowAnyException();
    }
    assertThat(directory).isEmptyDirectory();
  }
}
