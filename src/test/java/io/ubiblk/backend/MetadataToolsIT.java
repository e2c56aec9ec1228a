// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.backend;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** The two tools as an operator runs them, on the disk that the vectors describe. */
@Timeout(180)
class MetadataToolsIT {
  private static final Path LAUNCHERS = Path.of(System.getProperty("ubiblk.launchers", "bin"));
  private static final Path VECTORS = Path.of("src/test/resources/vectors");

  @TempDir private Path directory;
  private Path disk;
  private Path image;
  private Path metadata;
  private Path config;

  private record Outcome(int status, String out, String err) {}

  @BeforeEach
  void makeFiles() throws IOException {
    disk = sized("disk.raw", 4 << 20);
    image = sized("image.raw", 2 << 20);
    metadata = directory.resolve("metadata");
    config = directory.resolve("vm.yaml");
    configure("");
  }

  private Path sized(String name, long bytes) throws IOException {
    Path file = directory.resolve(name);
    try (RandomAccessFile access = new RandomAccessFile(file.toFile(), "rw")) {
      access.setLength(bytes);
    }
    return file;
  }

  private void configure(String more) throws IOException {
    Files.writeString(
        config,
        "path: %s\nmetadata_path: %s\nstripe_source: {source: raw, path: %s}\n%s\n"
            .formatted(disk, metadata, image, more));
  }

  private Outcome run(String program, String... arguments) throws Exception {
    List<String> command = new ArrayList<>();
    command.add(LAUNCHERS.resolve(program).toString());
    command.addAll(List.of("--config", config.toString()));
    command.addAll(List.of(arguments));
    Path out = directory.resolve("out");
    Path err = directory.resolve("err");
    var builder = new ProcessBuilder(command);
    builder.redirectOutput(out.toFile()).redirectError(err.toFile());
    builder.environment().put("JAVA_HOME", System.getProperty("java.home"));
    builder.environment().remove("UBIBLK_LOG");
    Process process = builder.start();
    assertThat(process.waitFor(60, TimeUnit.SECONDS)).isTrue();
    return new Outcome(
        process.exitValue(), Files.readString(out, UTF_8), Files.readString(err, UTF_8));
  }

  private static byte[] vector(String name) throws IOException {
    return Files.readAllBytes(VECTORS.resolve(name));
  }

  @ParameterizedTest
  @CsvSource({
    "1.0, metadata/fresh_8k.bin, false",
    "2.0, head/metadata_v2_fresh.bin, false",
    "1.0, metadata/fresh_8k_encrypted_K1K2.bin, true",
  })
  void a_pre_sized_file_becomes_the_vector_byte_for_byte(
      String version, String name, boolean encrypted) throws Exception {
    Files.write(metadata, new byte[8192]);
    String[] kek = {};
    if (encrypted) {
      String keys = Files.readString(VECTORS.resolve("kek/config-wrapped.yaml"));
      configure(keys.substring(keys.indexOf("encryption_key:")));
      kek = new String[] {"--kek", VECTORS.resolve("kek/kek.yaml").toString()};
    }
    List<String> arguments = new ArrayList<>(List.of("--metadata-version", version, "-s", "11"));
    arguments.addAll(List.of(kek));
    assertThat(run("init-metadata", arguments.toArray(new String[0])))
        .isEqualTo(new Outcome(0, "", ""));
    assertThat(Files.readAllBytes(metadata)).isEqualTo(vector(name));
    assertThat(run("dump-metadata", kek))
        .isEqualTo(
            new Outcome(
                0,
                """
                data file: %s (4194304 bytes)
                source: raw (path: %s, size: 2097152 bytes)
                metadata version: %s
                stripe size: 1048576 bytes
                fetched stripes:\s
                written stripes:\s
                has-source stripes: 0, 1
                """
                    .formatted(disk, image, version),
                ""));
  }

  @Test
  void metadata_is_replaced_by_force_only() throws Exception {
    assertThat(run("init-metadata")).isEqualTo(new Outcome(0, "", ""));
    Outcome again = run("init-metadata");
    assertThat(again.status).isEqualTo(1);
    assertThat(again.out).isEmpty();
    assertThat(again.err)
        .startsWith("[ERROR] init-metadata - " + metadata + ": holds metadata already");
    Outcome forced = run("init-metadata", "--force", "--log-level", "info");
    assertThat(forced.status).isZero();
    assertThat(forced.err).contains(metadata + ": metadata 2.0 for stripes of 1048576 bytes");
  }

  @Test
  void a_disk_that_somebody_has_is_left_alone_and_printed_with_a_warning() throws Exception {
    assertThat(run("init-metadata").status).isZero();
    byte[] before = Files.readAllBytes(metadata);
    Path socket = directory.resolve("vhost.sock");
    Path served = directory.resolve("served.yaml");
    Files.writeString(served, "path: %s\nsocket: %s\nio_engine: sync\n".formatted(disk, socket));
    List<String> command = BackendProcess.launcher("--config", served.toString());
    try (BackendProcess holder = BackendProcess.start(directory, command).awaitSocket(socket)) {
      Outcome init = run("init-metadata", "--force");
      assertThat(init.status).isEqualTo(1);
      assertThat(init.err).contains(disk + " is locked by process " + holder.pid());
      Outcome dump = run("dump-metadata");
      assertThat(dump.status).isZero();
      assertThat(dump.out).endsWith("has-source stripes: 0, 1\n");
      assertThat(dump.err)
          .startsWith(
              "[WARN] MetadataDump - %s is in use by process %d (".formatted(disk, holder.pid()));
      assertThat(Files.readAllBytes(metadata)).isEqualTo(before);
    }
  }

  @Test
  void a_closed_output_is_a_failure() throws Exception {
    assertThat(run("init-metadata").status).isZero();
    String script = "exec \"$0\" -f \"$1\" >/dev/full";
    Path err = directory.resolve("err");
    var builder =
        new ProcessBuilder(
            "sh", "-c", script, LAUNCHERS.resolve("dump-metadata").toString(), config.toString());
    builder.environment().put("JAVA_HOME", System.getProperty("java.home"));
    Process process = builder.redirectError(err.toFile()).start();
    assertThat(process.waitFor(60, TimeUnit.SECONDS)).isTrue();
    assertThat(process.exitValue()).isEqualTo(1);
    assertThat(Files.readString(err))
        .isEqualTo("[ERROR] dump-metadata - cannot write to standard output\n");
  }
}
