// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.nativelib;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Optional;
import org.junit.jupiter.api.Test;

class NativeLibraryTest {
  @Test
  void the_version_is_the_build_s() throws IOException {
    assertThat(Files.readString(Path.of("pom.xml")))
        .contains("<artifactId>ubiblk</artifactId>\n  <version>" + NativeLibrary.VERSION + "<");
    assertThat(Files.readString(Path.of("CMakeLists.txt")))
        .contains("project(ubiblk VERSION " + NativeLibrary.VERSION + " ");
  }

  @Test
  void loads_and_loads_again() throws IOException {
    NativeLibrary.load();
    NativeLibrary.load();
  }

  @Test
  void refuses_a_library_of_another_version() {
    assertThatThrownBy(() -> NativeLibrary.checkVersion("0.0.9"))
        .hasMessage("it has version 0.0.9, the program has " + NativeLibrary.VERSION);
  }

  @Test
  void names_the_file_that_cannot_be_loaded() {
    assertThatThrownBy(() -> NativeLibrary.load(Optional.of(Path.of("/nonexistent/libubiblk.so"))))
        .isInstanceOf(IOException.class)
        .hasMessageStartingWith("cannot load /nonexistent/libubiblk.so: ");
  }
}
