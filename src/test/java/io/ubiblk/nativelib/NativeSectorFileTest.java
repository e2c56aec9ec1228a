// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.nativelib;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.ubiblk.config.XtsEngine;
import io.ubiblk.nativelib.NativeSectorFile.Mode;
import io.ubiblk.secret.Secret;
import io.ubiblk.secret.XtsKeys;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Optional;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class NativeSectorFileTest {
  @TempDir private Path directory;
  private Path path;
  private NativeLog log;

  @BeforeEach
  void openLog() throws IOException {
    NativeLibrary.load();
    log = NativeLog.open();
    path = directory.resolve("metadata");
  }

  @AfterEach
  void closeLog() throws IOException {
    log.close();
  }

  private NativeSectorFile open(Mode mode) throws IOException {
    return NativeSectorFile.open(path.toString(), mode, 0, Optional.empty(), log);
  }

  private NativeXts xts() throws IOException {
    byte[] data = new byte[XtsKeys.KEY_BYTES];
    byte[] tweak = new byte[XtsKeys.KEY_BYTES];
    Arrays.fill(tweak, (byte) 1);
    return NativeXts.create(
        XtsKeys.take(Secret.take(data), Secret.take(tweak)), XtsEngine.AUTO, log);
  }

  /** {@code count} sectors of {@code fill}, with 512 bytes before and after that stay out. */
  private static ByteBuffer sectors(int count, int fill) {
    ByteBuffer bytes = ByteBuffer.allocateDirect((count + 2) * 512);
    for (int i = 0; i < count * 512; i++) {
      bytes.put(512 + i, (byte) fill);
    }
    return bytes.position(512).limit((count + 1) * 512);
  }

  @Test
  void writes_and_reads_from_position_to_limit() throws IOException {
    try (NativeSectorFile file = open(Mode.CREATE)) {
      assertThat(file.path()).isEqualTo(path.toString());
      ByteBuffer content = sectors(3, 7);
      file.write(2, content.asReadOnlyBuffer());
      file.write(2, content);
      file.sync();
      file.syncDirectory();
      assertThat(content).isEqualTo(sectors(3, 7));
      assertThat(file.byteLength()).isEqualTo(5 * 512);
      ByteBuffer into = sectors(2, 0);
      file.read(3, into);
      assertThat(into.position()).isEqualTo(512);
      assertThat(into).isEqualTo(sectors(2, 7));
      assertThat(into.get(0)).isZero();
      assertThat(into.clear().get(3 * 512)).isZero();
    }
    assertThat(Files.readAllBytes(path)).startsWith(new byte[1024]).endsWith(7);
  }

  @Test
  void keeps_the_cipher_as_long_as_itself_and_leaves_plain_bytes_alone() throws IOException {
    try (NativeXts xts = xts();
        NativeSectorFile file =
            NativeSectorFile.open(path.toString(), Mode.CREATE, 0, Optional.of(xts), log)) {
      ByteBuffer content = sectors(1, 7);
      file.write(0, content);
      assertThat(content).isEqualTo(sectors(1, 7));
      assertThatThrownBy(xts::close).hasMessage("the cipher is still in use");
      ByteBuffer into = sectors(1, 0);
      file.read(0, into);
      assertThat(into).isEqualTo(sectors(1, 7));
    }
    assertThat(Files.readAllBytes(path)).hasSize(512).isNotEqualTo(sectorOf(7));
  }

  private static byte[] sectorOf(int fill) {
    byte[] bytes = new byte[512];
    Arrays.fill(bytes, (byte) fill);
    return bytes;
  }

  @Test
  void failures_name_file_and_place() throws IOException {
    assertThatThrownBy(() -> open(Mode.READ))
        .isInstanceOf(NoSuchFileException.class)
        .hasMessageContaining(path.toString());
    Files.write(path, sectorOf(1));
    try (NativeSectorFile file = open(Mode.READ)) {
      assertThatThrownBy(() -> file.read(1, sectors(1, 0)))
          .isInstanceOf(NativeIoException.class)
          .hasMessage("cannot read " + path + " at sector 1: No data available");
      assertThatThrownBy(() -> file.write(0, sectors(1, 0)))
          .isInstanceOf(NativeIoException.class)
          .hasMessage("cannot write " + path + " at sector 0: Bad file descriptor");
    }
  }

  @Test
  void a_directory_that_is_gone_cannot_be_synced() throws IOException {
    path = Files.createDirectory(directory.resolve("gone")).resolve("metadata");
    try (NativeSectorFile file = open(Mode.CREATE)) {
      Files.delete(path);
      Files.delete(path.getParent());
      assertThatThrownBy(file::syncDirectory)
          .isInstanceOf(NoSuchFileException.class)
          .hasMessage("cannot sync the directory of " + path + ": No such file or directory");
    }
  }

  @Test
  void whoever_writes_has_it_alone() throws IOException {
    try (NativeSectorFile file = open(Mode.CREATE);
        NativeSectorFile reader = open(Mode.READ)) {
      assertThatThrownBy(() -> open(Mode.UPDATE))
          .isInstanceOf(NativeIoException.class)
          .hasMessageStartingWith(path + " is locked by this process, ");
      assertThat(reader.byteLength()).isEqualTo(file.byteLength());
    }
    open(Mode.UPDATE).close();
  }

  @ParameterizedTest
  @CsvSource({"0,0", "0,100", "0,513", "-1,512", "18014398509481984,512", "18014398509481983,512"})
  void refuses_what_are_no_sectors(long sector, int bytes) throws IOException {
    try (NativeSectorFile file = open(Mode.CREATE)) {
      ByteBuffer buffer = ByteBuffer.allocateDirect(bytes);
      assertThatThrownBy(() -> file.read(sector, buffer))
          .isInstanceOf(IllegalArgumentException.class);
      assertThatThrownBy(() -> file.write(sector, buffer))
          .isInstanceOf(IllegalArgumentException.class);
      assertThat(file.byteLength()).isZero();
    }
  }

  @Test
  void refuses_memory_of_the_heap_and_endless_paths() throws IOException {
    try (NativeSectorFile file = open(Mode.CREATE)) {
      assertThatThrownBy(() -> file.write(0, ByteBuffer.allocate(512)))
          .hasMessage("512 bytes: must be whole sectors of a direct buffer");
    }
    String endless = "x".repeat(5000);
    assertThatThrownBy(() -> NativeSectorFile.open(endless, Mode.READ, 0, Optional.empty(), log))
        .isInstanceOf(NativeIoException.class);
  }
}
