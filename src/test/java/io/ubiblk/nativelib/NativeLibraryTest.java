// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.nativelib;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
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
  void names_the_file_that_it_was_told_to_load() {
    String before = System.getProperty(NativeLibrary.LOCATION_PROPERTY);
    System.setProperty(NativeLibrary.LOCATION_PROPERTY, "/nonexistent/libubiblk.so");
    try {
      assertThatThrownBy(NativeLibrary::load)
          .isInstanceOf(IOException.class)
          .hasMessageStartingWith("cannot load /nonexistent/libubiblk.so: ");
    } finally {
      if (before == null) {
        System.clearProperty(NativeLibrary.LOCATION_PROPERTY);
      } else {
        System.setProperty(NativeLibrary.LOCATION_PROPERTY, before);
      }
    }
  }
}
