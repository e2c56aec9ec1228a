// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.nativelib;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class NativeBufferTest {
  @BeforeEach
  void loadLibrary() throws IOException {
    NativeLibrary.load();
  }

  @Test
  void is_zeroed_page_aligned_and_as_long_as_asked() throws IOException {
    try (NativeBuffer buffer = NativeBuffer.allocate("a test", 5000)) {
      ByteBuffer bytes = buffer.bytes();
      assertThat(bytes.isDirect()).isTrue();
      assertThat(bytes.capacity()).isEqualTo(5000);
      assertThat(bytes.alignedSlice(4096).capacity()).isEqualTo(4096); // 5000 rounded down
      while (bytes.hasRemaining()) {
        assertThat(bytes.get()).isZero();
      }
    }
  }

  @Test
  void views_share_the_memory_and_not_the_position() throws IOException {
    try (NativeBuffer buffer = NativeBuffer.allocate("a test", 16)) {
      buffer.bytes().putLong(0x0102030405060708L);
      assertThat(buffer.bytes().position()).isZero();
      assertThat(buffer.bytes().get(7)).isEqualTo((byte) 8);
    }
  }

  @Test
  void its_pages_go_back_to_the_system() throws IOException {
    long bytes = 64 << 20;
    NativeBuffer buffer = NativeBuffer.allocate("a test", bytes);
    long mapped = mappedKib();
    buffer.close();
    // Other threads map and unmap small things meanwhile.
    assertThat(mapped - mappedKib()).isGreaterThan(bytes / 1024 / 2);
  }

  private static long mappedKib() throws IOException {
    return Files.readAllLines(Path.of("/proc/self/status")).stream()
        .filter(line -> line.startsWith("VmSize:"))
        .mapToLong(line -> Long.parseLong(line.replaceAll("\\D", "")))
        .findFirst()
        .orElseThrow();
  }

  @Test
  void a_closed_one_gives_no_view() throws IOException {
    NativeBuffer buffer = NativeBuffer.allocate("a test", 1);
    buffer.close();
    assertThatThrownBy(buffer::bytes)
        .isInstanceOf(IllegalStateException.class)
        .hasMessage("the memory for a test is closed");
  }

  @ParameterizedTest
  @ValueSource(longs = {-1, 0, 1L << 31})
  void refuses_sizes_that_no_view_could_show(long bytes) {
    assertThatThrownBy(() -> NativeBuffer.allocate("a test", bytes))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessage(bytes + " bytes for a test: must be 1 to 2147483647");
  }

  @Test
  void says_what_there_is_no_memory_for() {
    assertThatThrownBy(() -> NativeBuffer.map("a test", 1L << 60))
        .isInstanceOf(OutOfMemoryError.class)
        .hasMessage("cannot allocate 1152921504606846976 bytes for a test: Cannot allocate memory");
    String endless = "x".repeat(5000);
    assertThatThrownBy(() -> NativeBuffer.map(endless, 1)).isInstanceOf(NativeIoException.class);
  }
}
