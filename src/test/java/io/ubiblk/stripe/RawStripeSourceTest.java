// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.stripe;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assumptions.assumeThat;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.ClosedChannelException;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.concurrent.Callable;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

@Timeout(120)
class RawStripeSourceTest {
  private static final int STRIPE = 32_768;

  @TempDir private Path directory;

  private byte[] image(int length) throws IOException {
    byte[] bytes = new byte[length];
    new Random(length).nextBytes(bytes);
    Files.write(path(), bytes);
    return bytes;
  }

  private Path path() {
    return directory.resolve("image");
  }

  private static byte[] read(StripeSource source, int stripe, int length)
      throws IOException, InterruptedException {
    ByteBuffer into = ByteBuffer.allocateDirect(length + 32);
    for (int i = 0; i < into.capacity(); i++) {
      into.put(i, (byte) 0x5a);
    }
    source.read(stripe, into.position(16).limit(16 + length));
    assertThat(into.remaining()).isZero();
    byte[] bytes = new byte[length];
    into.clear().get(16, bytes);
    assertThat(into.get(15)).isEqualTo((byte) 0x5a);
    assertThat(into.get(16 + length)).isEqualTo((byte) 0x5a);
    return bytes;
  }

  @Test
  void gives_the_image_and_zeros_behind_it() throws Exception {
    byte[] image = image(2 * STRIPE + 777);
    try (RawStripeSource source = RawStripeSource.open(path(), STRIPE)) {
      assertThat(source.byteLength()).isEqualTo(image.length);
      assertThat(source.describe()).isEqualTo("raw image " + path());
      assertThat(read(source, 1, STRIPE)).isEqualTo(Arrays.copyOfRange(image, STRIPE, 2 * STRIPE));
      assertThat(read(source, 2, STRIPE))
          .isEqualTo(Arrays.copyOfRange(image, 2 * STRIPE, 3 * STRIPE));
      assertThat(read(source, 2, 512))
          .as("the last stripe of a disk may be shorter")
          .isEqualTo(Arrays.copyOfRange(image, 2 * STRIPE, 2 * STRIPE + 512));
    }
  }

  @Test
  void has_the_stripes_that_the_image_reaches_into() throws Exception {
    image(STRIPE);
    try (RawStripeSource source = RawStripeSource.open(path(), STRIPE)) {
      assertThat(source.has(0)).isTrue();
      assertThat(source.has(1)).isFalse();
      assertThat(source.has(Integer.MAX_VALUE)).isFalse();
      assertThatThrownBy(() -> read(source, 1, STRIPE))
          .isInstanceOf(IllegalArgumentException.class)
          .hasMessageContaining("has no stripe 1");
    }
    image(STRIPE + 1);
    try (RawStripeSource source = RawStripeSource.open(path(), STRIPE)) {
      assertThat(source.has(1)).isTrue();
      assertThat(source.has(2)).isFalse();
    }
  }

  @Test
  void an_image_that_became_shorter_fails_instead_of_giving_zeros() throws Exception {
    image(2 * STRIPE);
    try (RawStripeSource source = RawStripeSource.open(path(), STRIPE);
        FileChannel file = FileChannel.open(path(), StandardOpenOption.WRITE)) {
      file.truncate(STRIPE + 100);
      assertThatThrownBy(() -> read(source, 1, STRIPE))
          .isInstanceOf(IOException.class)
          .hasMessage("raw image %s ends at byte 32868; it had 65536 when it was opened", path());
      file.truncate(STRIPE);
      assertThatThrownBy(() -> read(source, 1, STRIPE)).isInstanceOf(IOException.class);
      assertThat(read(source, 0, STRIPE)).hasSize(STRIPE);
    }
  }

  @Test
  void an_image_that_grew_has_the_length_that_it_had() throws Exception {
    byte[] image = image(1000);
    try (RawStripeSource source = RawStripeSource.open(path(), STRIPE)) {
      Files.write(path(), new byte[] {1, 2, 3}, StandardOpenOption.APPEND);
      assertThat(read(source, 0, STRIPE)).isEqualTo(Arrays.copyOf(image, STRIPE));
    }
  }

  /** The kernel gives this file a length, but no content. */
  @Test
  void says_where_reading_failed() throws Exception {
    Path unreadable = Path.of("/sys/class/net/lo/speed");
    try (RawStripeSource source = RawStripeSource.open(unreadable, STRIPE)) {
      assertThatThrownBy(() -> read(source, 0, STRIPE))
          .isInstanceOf(IOException.class)
          .hasMessage("raw image %s at byte 0: Invalid argument", unreadable);
    }
  }

  @Test
  void many_threads_read_at_once() throws Exception {
    byte[] image = image(64 * STRIPE);
    ExecutorService threads = Executors.newFixedThreadPool(8);
    try (RawStripeSource source = RawStripeSource.open(path(), STRIPE)) {
      List<Callable<byte[]>> reads =
          IntStream.range(0, 640)
              .<Callable<byte[]>>mapToObj(i -> () -> read(source, i % 64, STRIPE))
              .toList();
      List<Future<byte[]>> results = threads.invokeAll(reads);
      for (int i = 0; i < results.size(); i++) {
        int offset = i % 64 * STRIPE;
        assertThat(results.get(i).get())
            .isEqualTo(Arrays.copyOfRange(image, offset, offset + STRIPE));
      }
    } finally {
      threads.shutdownNow();
    }
  }

  @Test
  void an_interrupt_ends_one_read_and_no_other() throws Exception {
    byte[] image = image(256 * STRIPE);
    try (RawStripeSource source = RawStripeSource.open(path(), 256 * STRIPE)) {
      Thread.currentThread().interrupt();
      assertThatThrownBy(() -> read(source, 0, STRIPE)).isInstanceOf(InterruptedException.class);
      CountDownLatch started = new CountDownLatch(1);
      Thread reader =
          new Thread(
              () -> {
                try {
                  while (true) {
                    read(source, 0, 256 * STRIPE);
                    started.countDown();
                  }
                } catch (IOException e) {
                  throw new AssertionError(e);
                } catch (InterruptedException e) {
                  // As asked.
                }
              });
      reader.start();
      started.await();
      reader.interrupt();
      reader.join();
      assertThat(read(source, 0, 256 * STRIPE)).isEqualTo(image);
    }
  }

  @Test
  void a_closed_source_reads_no_more() throws Exception {
    image(STRIPE);
    RawStripeSource source = RawStripeSource.open(path(), STRIPE);
    source.close();
    source.close();
    assertThatThrownBy(() -> read(source, 0, STRIPE)).isInstanceOf(ClosedChannelException.class);
  }

  @Test
  void closing_does_not_wait_for_readers_and_the_last_one_closes_the_file() throws Exception {
    image(1024 * STRIPE);
    RawStripeSource source = RawStripeSource.open(path(), 1024 * STRIPE);
    CountDownLatch started = new CountDownLatch(1);
    Thread reader =
        new Thread(
            () -> {
              try {
                while (true) {
                  read(source, 0, 1024 * STRIPE);
                  started.countDown();
                }
              } catch (ClosedChannelException e) {
                // As asked.
              } catch (IOException | InterruptedException e) {
                throw new AssertionError(e);
              }
            });
    reader.start();
    started.await();
    assertThat(isOpen()).isTrue();
    source.close();
    reader.join();
    assertThat(isOpen()).isFalse();
  }

  /** Whether this process has the image open. */
  private boolean isOpen() throws IOException {
    try (var descriptors = Files.list(Path.of("/proc/self/fd"))) {
      return descriptors.anyMatch(
          descriptor -> {
            try {
              return Files.readSymbolicLink(descriptor).equals(path());
            } catch (IOException e) {
              // Closed since.
              return false;
            }
          });
    }
  }

  @Test
  void refuses_what_is_no_image() throws Exception {
    assertThatThrownBy(() -> RawStripeSource.open(directory, STRIPE))
        .isInstanceOf(IOException.class)
        .hasMessage(directory + " is neither a file nor a block device");
    assertThatThrownBy(() -> RawStripeSource.open(Path.of("/dev/null"), STRIPE))
        .isInstanceOf(IOException.class)
        .hasMessageContaining("neither");
    Path missing = directory.resolve("missing");
    assertThatThrownBy(() -> RawStripeSource.open(missing, STRIPE))
        .isInstanceOf(IOException.class)
        .hasMessage("cannot open the raw image %s: it does not exist", missing);
    Path loop = directory.resolve("loop");
    Files.createSymbolicLink(loop, loop);
    assertThatThrownBy(() -> RawStripeSource.open(loop, STRIPE))
        .isInstanceOf(IOException.class)
        .hasMessageStartingWith("cannot open the raw image %s: Too many levels", loop);
  }

  @Test
  void reads_a_block_device() throws Exception {
    byte[] image = image(STRIPE + 1024);
    Process attach = new ProcessBuilder("losetup", "-f", "--show", path().toString()).start();
    String device =
        new String(attach.getInputStream().readAllBytes(), StandardCharsets.UTF_8).strip();
    assumeThat(attach.waitFor()).as("no loop device can be set up here").isZero();
    try (RawStripeSource source = RawStripeSource.open(Path.of(device), STRIPE)) {
      assertThat(source.byteLength()).isEqualTo(image.length);
      assertThat(read(source, 1, STRIPE)).isEqualTo(Arrays.copyOfRange(image, STRIPE, 2 * STRIPE));
    } finally {
      assertThat(new ProcessBuilder("losetup", "-d", device).start().waitFor()).isZero();
    }
  }
}
