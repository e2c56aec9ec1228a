// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.backend;

import static java.nio.charset.StandardCharsets.US_ASCII;
import static org.assertj.core.api.Assertions.assertThat;

import io.ubiblk.rpc.RpcClient;
import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HexFormat;
import java.util.List;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Disks that the program fills from an image, seen from outside: files and RPC. */
@Timeout(180)
class LazyDiskIT {
  private static final Path LAUNCHERS = Path.of(System.getProperty("ubiblk.launchers", "bin"));
  private static final Path VECTORS = Path.of("src/test/resources/vectors");
  private static final int STRIPE_BYTES = 1 << 20;
  private static final int HEADER_BYTES = 512;

  /** The key pair of the vectors: 00 to 1f and 80 to 9f. */
  private static final String KEYS =
      """
      encryption_key:
        - "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
        - "gIGCg4SFhoeIiYqLjI2Oj5CRkpOUlZaXmJmam5ydnp8="
      """;

  @TempDir private Path directory;
  private Path disk;
  private Path image;
  private Path metadata;
  private Path socket;
  private Path rpc;

  /** The geometry of the vectors. */
  @BeforeEach
  void makeFiles() throws IOException {
    disk = directory.resolve("disk.raw");
    image = directory.resolve("image.raw");
    metadata = directory.resolve("metadata");
    socket = directory.resolve("vhost.sock");
    rpc = directory.resolve("rpc.sock");
    makeDisk(4 * STRIPE_BYTES);
    Files.write(image, imageBytes(2 * STRIPE_BYTES));
  }

  private void makeDisk(long bytes) throws IOException {
    try (RandomAccessFile file = new RandomAccessFile(disk.toFile(), "rw")) {
      file.setLength(0);
      file.setLength(bytes);
    }
  }

  private static byte[] imageBytes(int length) {
    byte[] bytes = new byte[length];
    for (int i = 0; i < length; i++) {
      bytes[i] = (byte) (i * 111);
    }
    return bytes;
  }

  private String source() {
    return "stripe_source: {source: raw, path: %s}\n".formatted(image);
  }

  private String configuration(String more) throws IOException {
    Path config = directory.resolve("vm.yaml");
    Files.writeString(
        config,
        "path: %s\nsocket: %s\nrpc_socket_path: %s\nmetadata_path: %s\n%s\n"
            .formatted(disk, socket, rpc, metadata, more));
    return config.toString();
  }

  private void initMetadata(String more, String... options) throws Exception {
    Files.deleteIfExists(metadata);
    var command = new ArrayList<String>();
    command.add(LAUNCHERS.resolve("init-metadata").toString());
    command.addAll(List.of("--config", configuration(more)));
    command.addAll(List.of(options));
    var builder = new ProcessBuilder(command).inheritIO();
    builder.environment().put("JAVA_HOME", System.getProperty("java.home"));
    Process process = builder.start();
    assertThat(process.waitFor(60, TimeUnit.SECONDS)).isTrue();
    assertThat(process.exitValue()).isZero();
  }

  private BackendProcess start(String more) throws IOException {
    return BackendProcess.start(
        directory, BackendProcess.launcher("--config", configuration(more)));
  }

  private BackendProcess serve(String more) throws IOException {
    return start(more).awaitSocket(socket);
  }

  private void assertRefused(String more, String... sentences) throws Exception {
    try (BackendProcess process = start(more)) {
      assertThat(process.exitStatus()).as(process.output()).isEqualTo(1);
      assertThat(process.output()).contains(sentences).doesNotContain("Exception");
      assertThat(socket).doesNotExist();
    }
  }

  private String ask(String line) throws IOException {
    try (RpcClient client = new RpcClient(rpc)) {
      return client.ask(line);
    }
  }

  private String status() {
    try {
      return ask("{\"command\":\"status\"}");
    } catch (IOException e) {
      throw new AssertionError(e);
    }
  }

  private void awaitStatus(BackendProcess process, String text) throws IOException {
    process.await(text, () -> status().contains(text));
  }

  private static void stop(BackendProcess process) throws Exception {
    process.signal("TERM");
    assertThat(process.exitStatus()).as(process.output()).isZero();
  }

  private static String sha256(byte[] bytes) throws Exception {
    return HexFormat.of().formatHex(MessageDigest.getInstance("SHA-256").digest(bytes));
  }

  private static String expected(String name) throws IOException {
    String text = Files.readString(VECTORS.resolve("lazy/expected.json"));
    int at = text.indexOf("\"", text.indexOf("\"" + name + "\"") + name.length() + 2);
    return text.substring(at + 1, text.indexOf("\"", at + 1));
  }

  @ParameterizedTest
  @CsvSource({
    "plain_disk_sha256, io_uring, true, 1.0",
    "plain_disk_sha256, sync, false, 2.0",
    "encrypted_disk_K1K2_sha256, io_uring, false, 2.0",
    "encrypted_disk_K1K2_sha256, sync, true, 1.0",
  })
  void a_disk_that_was_fetched_completely_is_the_vector(
      String hash, String engine, boolean copyOnRead, String version) throws Exception {
    String keys = hash.startsWith("encrypted") ? KEYS : "";
    String config =
        source()
            + keys
            + "autofetch: true\nio_engine: %s\ncopy_on_read: %s\n".formatted(engine, copyOnRead);
    initMetadata(config, "--metadata-version", version);
    try (BackendProcess process = serve(config)) {
      awaitStatus(process, "\"stripes\":{\"fetched\":2,\"no_source\":2,\"source\":2,\"total\":4");
      stop(process);
    }
    assertThat(sha256(Files.readAllBytes(image))).isEqualTo(expected("image_sha256"));
    assertThat(sha256(Files.readAllBytes(disk))).isEqualTo(expected(hash));
    if (keys.isEmpty()) {
      assertThat(Files.readAllBytes(metadata)).startsWith("BDEV_UBI".getBytes(US_ASCII));
      assertThat(flags(4)).containsExactly(5, 5, 0, 0);
    }
  }

  private byte[] flags(int count) throws IOException {
    byte[] bytes = Files.readAllBytes(metadata);
    return Arrays.copyOfRange(bytes, HEADER_BYTES, HEADER_BYTES + count);
  }

  @Test
  void the_older_spelling_of_a_source_is_served() throws Exception {
    String config = "image_path: %s\nautofetch: true\n".formatted(image);
    initMetadata(config);
    try (BackendProcess process = serve(config)) {
      awaitStatus(process, "\"fetched\":2");
      stop(process);
    }
    assertThat(flags(4)).containsExactly(5, 5, 0, 0);
  }

  @Test
  void the_end_of_an_image_of_any_length_is_followed_by_zeros() throws Exception {
    byte[] odd = imageBytes(STRIPE_BYTES + 12345);
    Files.write(image, odd);
    byte[] rubbish = new byte[3 * STRIPE_BYTES];
    Arrays.fill(rubbish, (byte) 0xee);
    Files.write(disk, rubbish);
    String config = source() + "autofetch: true\n";
    initMetadata(config);
    try (BackendProcess process = serve(config)) {
      awaitStatus(process, "\"fetched\":2");
      stop(process);
    }
    byte[] content = Files.readAllBytes(disk);
    assertThat(content).startsWith(odd);
    for (int i = odd.length; i < content.length; i++) {
      assertThat(content[i]).as("byte %d", i).isEqualTo((byte) (i < 2 * STRIPE_BYTES ? 0 : 0xee));
    }
  }

  @Test
  void a_complete_disk_starts_without_its_source() throws Exception {
    String config = source() + "autofetch: true\n";
    initMetadata(config);
    try (BackendProcess process = serve(config)) {
      awaitStatus(process, "\"fetched\":2");
      stop(process);
    }
    Files.delete(image);
    try (BackendProcess process = serve(config)) {
      awaitStatus(process, "\"fetched\":2");
      stop(process);
    }
    try (BackendProcess process = serve("track_written: true\n")) {
      awaitStatus(process, "\"fetched\":2");
      stop(process);
    }
  }

  @Test
  void a_disk_whose_source_is_gone_does_not_start() throws Exception {
    initMetadata(source());
    assertRefused("", "2 stripes are not fetched yet, and there is no stripe source");
    Files.delete(image);
    assertRefused(source(), image.toString());
  }

  @Test
  void a_disk_that_is_its_own_source_does_not_start() throws Exception {
    initMetadata(source());
    Files.delete(image);
    Files.createSymbolicLink(image, disk);
    assertRefused(source(), "the raw image " + image + " is the disk " + disk + " itself");
  }

  @Test
  void what_does_not_fit_does_not_start() throws Exception {
    initMetadata(source());
    Files.write(image, imageBytes(STRIPE_BYTES));
    assertRefused(source(), "stripe 1 has a source, but raw image " + image + " does not have it");
    Files.write(image, imageBytes(4 * STRIPE_BYTES + 1));
    assertRefused(source(), "has 4194305 bytes, more than the disk, which has 4194304");
    Files.write(image, imageBytes(2 * STRIPE_BYTES));
    makeDisk(5 * STRIPE_BYTES);
    assertRefused(source(), metadata + ": is for 4 stripes", "the disk has 5");
    Files.delete(metadata);
    assertRefused(source(), metadata.toString());
  }

  @Test
  void two_disks_cannot_share_a_metadata_file() throws Exception {
    initMetadata(source());
    try (BackendProcess process = serve(source())) {
      Path other = directory.resolve("other.raw");
      Files.copy(disk, other);
      Path config = directory.resolve("other.yaml");
      Files.writeString(
          config,
          "path: %s\nsocket: %s2\nmetadata_path: %s\n%s\n"
              .formatted(other, socket, metadata, source()));
      try (BackendProcess second =
          BackendProcess.start(directory, BackendProcess.launcher("--config", config.toString()))) {
        assertThat(second.exitStatus()).isEqualTo(1);
        assertThat(second.output()).contains(metadata + " is locked by process " + process.pid());
      }
      stop(process);
    }
  }

  @Test
  void fetching_in_the_background_is_paused_and_resumed() throws Exception {
    initMetadata(source());
    try (BackendProcess process = serve(source())) {
      assertThat(status()).contains("\"autofetch\":\"off\"", "\"fetched\":0");
      assertThat(ask("{\"command\":\"retry\"}")).contains("{\"retry\":0}");
      assertThat(ask("{\"command\":\"autofetch\",\"action\":\"resume\"}")).contains("autofetch");
      awaitStatus(process, "\"fetched\":2");
      awaitStatus(process, "\"autofetch\":\"done\"");
      stop(process);
    }
  }

  @Test
  void an_image_that_comes_back_is_fetched_from_without_a_restart() throws Exception {
    initMetadata(source());
    try (BackendProcess process = serve(source())) {
      byte[] content = Files.readAllBytes(image);
      try (RandomAccessFile file = new RandomAccessFile(image.toFile(), "rw")) {
        file.setLength(10);
        ask("{\"command\":\"autofetch\",\"action\":\"resume\"}");
        awaitStatus(process, "it had 2097152 when it was opened");
        assertThat(status()).contains("\"fetched\":0");
        file.seek(0);
        file.write(content);
      }
      ask("{\"command\":\"retry\"}");
      awaitStatus(process, "\"fetched\":2");
      stop(process);
    }
    assertThat(sha256(Files.readAllBytes(disk))).isEqualTo(expected("plain_disk_sha256"));
  }
}
