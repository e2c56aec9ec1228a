// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.nativelib;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.ubiblk.config.DirectIo;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.Arrays;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class NativeDiskFileTest {
  @TempDir private Path directory;
  private String disk;
  private NativeLog log;

  @BeforeEach
  void makeDisk() throws IOException {
    NativeLibrary.load();
    log = NativeLog.open();
    disk = Files.write(directory.resolve("disk.raw"), new byte[8192]).toString();
  }

  @AfterEach
  void closeLog() throws IOException {
    log.close();
  }

  @Test
  void who_holds_a_disk_is_seen_without_a_lock() throws IOException {
    assertThat(NativeDiskFile.look(disk).holder()).isEmpty();
    try (NativeDiskFile held = NativeDiskFile.open(disk, 512, 0, log)) {
      assertThat(held.byteLength()).isEqualTo(8192);
      assertThat(NativeDiskFile.look(disk).byteLength()).isEqualTo(8192);
      assertThat(NativeDiskFile.look(disk).holder().orElseThrow()).startsWith("this process, ");
      assertThatThrownBy(() -> NativeDiskFile.open(disk, 512, 0, log))
          .isInstanceOf(NativeIoException.class)
          .hasMessageStartingWith(disk + " is locked by this process, ");
      assertThatThrownBy(log::close).hasMessage("the native log is still in use");
    }
    assertThat(NativeDiskFile.look(disk).holder()).isEmpty();
  }

  @Test
  void a_look_accepts_any_length_and_holding_does_not() throws IOException {
    Files.write(Path.of(disk), new byte[5120]);
    assertThat(NativeDiskFile.look(disk).byteLength()).isEqualTo(5120);
    assertThatThrownBy(() -> NativeDiskFile.open(disk, 4096, 0, log))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining("5120 bytes, is not a multiple of the logical_block_size of 4096");
  }

  @Test
  void refusals_name_the_path() {
    String missing = directory.resolve("missing").toString();
    assertThatThrownBy(() -> NativeDiskFile.look(missing))
        .isInstanceOf(NoSuchFileException.class)
        .hasMessageContaining(missing);
    assertThatThrownBy(() -> NativeDiskFile.open(missing, 512, 0, log))
        .isInstanceOf(NoSuchFileException.class)
        .hasMessageContaining(missing);
    assertThatThrownBy(() -> NativeDiskFile.look(directory.toString()))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessage(directory + " is neither a regular file nor a block device");
    String endless = "x".repeat(5000);
    assertThatThrownBy(() -> NativeDiskFile.look(endless)).isInstanceOf(NativeIoException.class);
    assertThatThrownBy(() -> NativeDiskFile.open(endless, 512, 0, log))
        .isInstanceOf(NativeIoException.class);
  }

  @Test
  void what_is_written_is_read_and_durable_and_nothing_beyond() throws IOException {
    try (NativeDiskFile file = open(NativeDiskFile.Access.UPDATE);
        NativeBuffer memory = NativeBuffer.allocate("sectors", 4096)) {
      ByteBuffer sectors = memory.bytes();
      for (int i = 0; i < 4096; i++) {
        sectors.put((byte) (i * 31));
      }
      sectors.flip();
      file.write(8, sectors);
      file.sync();
      byte[] content = Files.readAllBytes(Path.of(disk));
      assertThat(Arrays.copyOf(content, 4096)).containsOnly(0);
      assertThat(ByteBuffer.wrap(content, 4096, 4096)).isEqualTo(sectors);
      try (NativeDiskFile reading = open(NativeDiskFile.Access.READ);
          NativeBuffer other = NativeBuffer.allocate("sectors", 4096)) {
        reading.read(8, other.bytes());
        assertThat(other.bytes()).isEqualTo(sectors);
        assertThatThrownBy(() -> reading.read(16, other.bytes()))
            .isInstanceOf(IOException.class)
            .hasMessageContaining("cannot read " + disk + " at sector 16");
        assertThatThrownBy(() -> reading.write(0, sectors))
            .isInstanceOf(IOException.class)
            .hasMessageContaining("cannot write " + disk);
      }
      assertThatThrownBy(() -> file.write(9, sectors))
          .isInstanceOf(IllegalArgumentException.class)
          .hasMessage("sectors 9 to 16 are not within the 16 of " + disk);
      assertThat(Files.size(Path.of(disk))).isEqualTo(8192);
    }
  }

  private NativeDiskFile open(NativeDiskFile.Access access) throws IOException {
    return NativeDiskFile.open(disk, access, DirectIo.AUTO, 512, 0, log);
  }

  @Test
  void creating_replaces_what_was_there() throws IOException {
    Files.write(Path.of(disk), new byte[] {1, 2, 3});
    try (NativeDiskFile made = NativeDiskFile.create(disk, 1 << 20, DirectIo.AUTO, 0, log)) {
      assertThat(made.byteLength()).isEqualTo(1 << 20);
      assertThat(made.isBlockDevice()).isFalse();
      assertThat(made.nextHole(0)).isZero();
      assertThat(made.nextData(0)).isEqualTo(1 << 20);
    }
    assertThat(Files.readAllBytes(Path.of(disk))).hasSize(1 << 20).containsOnly(0);
  }
}
