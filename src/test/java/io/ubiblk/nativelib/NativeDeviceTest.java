// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.nativelib;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.ubiblk.config.ConfigException;
import io.ubiblk.config.DeviceConfig;
import io.ubiblk.config.XtsEngine;
import io.ubiblk.secret.Secret;
import io.ubiblk.secret.XtsKeys;
import java.io.IOException;
import java.io.RandomAccessFile;
import java.net.UnixDomainSocketAddress;
import java.nio.channels.SocketChannel;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.Optional;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

@Timeout(60)
class NativeDeviceTest {
  private static final long DISK_BYTES = 1 << 20;

  @TempDir private Path directory;
  private Path disk;
  private NativeLog log;

  @BeforeEach
  void makeDisk() throws IOException {
    NativeLibrary.load();
    log = NativeLog.open();
    disk = directory.resolve("disk.raw");
    try (RandomAccessFile file = new RandomAccessFile(disk.toFile(), "rw")) {
      file.setLength(DISK_BYTES);
    }
  }

  @AfterEach
  void closeLog() throws IOException {
    log.close();
  }

  private DeviceConfig config(String... more) throws IOException, ConfigException {
    String[] lines = new String[more.length + 2];
    lines[0] = "path: " + disk;
    lines[1] = "io_engine: sync";
    System.arraycopy(more, 0, lines, 2, more.length);
    return DeviceConfigs.load(directory, lines);
  }

  @Test
  void shows_the_disk_and_its_queues() throws Exception {
    try (NativeDevice device =
        NativeDevice.open(config("num_queues: 3", "direct_io: false"), Optional.empty(), log)) {
      assertThat(device.capacitySectors()).isEqualTo(DISK_BYTES / 512);
      assertThat(device.directIo()).isFalse();
      assertThat(device.stickyError()).isEmpty();
      assertThat(device.xtsEngineName()).isEmpty();
      assertThat(device.queues()).hasSize(3);
      for (QueueStatsView queue : device.queues()) {
        assertThat(queue.inProgress(10)).isEmpty();
        assertThat(queue.operation(QueueOperation.OTHER).ops()).isZero();
        assertThat(queue.operation(QueueOperation.OTHER).latency().total()).isZero();
      }
    }
  }

  @Test
  void keeps_the_cipher_open_as_long_as_itself() throws Exception {
    NativeXts xts = xts();
    try (NativeDevice device = NativeDevice.open(config(), Optional.of(xts), log)) {
      assertThat(device.xtsEngineName()).contains(xts.engineName());
      assertThatThrownBy(xts::close).hasMessage("the cipher is still in use");
    }
    xts.close();
  }

  @Test
  void leaves_the_cipher_to_the_caller_when_it_does_not_open() throws Exception {
    Files.delete(disk);
    try (NativeXts xts = xts()) {
      assertThatThrownBy(() -> NativeDevice.open(config(), Optional.of(xts), log))
          .isInstanceOf(NoSuchFileException.class)
          .hasMessageContaining(disk.toString());
      assertThat(xts.<Long, RuntimeException>use(address -> address)).isNotZero();
    }
  }

  private NativeXts xts() throws IOException {
    byte[] tweakKey = new byte[XtsKeys.KEY_BYTES];
    tweakKey[0] = 1;
    return NativeXts.create(
        XtsKeys.take(Secret.take(new byte[XtsKeys.KEY_BYTES]), Secret.take(tweakKey)),
        XtsEngine.AUTO,
        log);
  }

  @Test
  void keeps_the_log_open_as_long_as_itself() throws Exception {
    NativeDevice device = NativeDevice.open(config(), Optional.empty(), log);
    NativeLog kept = log;
    assertThatThrownBy(kept::close).hasMessage("the native log is still in use");
    device.close();
  }

  @Test
  void a_back_end_listens_from_start_to_close() throws Exception {
    Path socket = directory.resolve("vhost.sock");
    try (NativeDevice device = NativeDevice.open(config(), Optional.empty(), log)) {
      NativeVhostBackend backend =
          NativeVhostBackend.start(device, socket.toString(), Optional.empty(), 1000, log);
      assertThatThrownBy(device::close).hasMessageEndingWith("is still in use");
      assertThat(backend.connected()).isFalse();
      try (SocketChannel frontEnd = SocketChannel.open(UnixDomainSocketAddress.of(socket))) {
        while (!backend.connected()) {
          Thread.onSpinWait();
        }
        assertThat(frontEnd.isConnected()).isTrue();
      }
      while (backend.connected()) {
        Thread.onSpinWait();
      }
      backend.close();
      assertThat(socket).doesNotExist();
    }
  }

  @Test
  void a_socket_that_cannot_be_made_is_told_in_a_sentence() throws Exception {
    try (NativeDevice device = NativeDevice.open(config(), Optional.empty(), log)) {
      assertThatThrownBy(
              () ->
                  NativeVhostBackend.start(
                      device, directory + "/missing/sock", Optional.empty(), 1000, log))
          .isInstanceOf(IOException.class)
          .hasMessageContaining(directory + "/missing/sock");
    }
  }
}
