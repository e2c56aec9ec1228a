// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.cli;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.ubiblk.nativelib.NativeLibrary;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Optional;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class VhostBackendCommandTest extends CommandHarness {
  private static final Path VECTORS = Path.of("src/test/resources/vectors/kek");
  private static final String SERVABLE = "path: /d\nsocket: /s\n";

  private Path config;
  private Path kek;

  @BeforeEach
  void makeFiles() throws IOException {
    config = Files.writeString(directory.resolve("vm.yaml"), SERVABLE);
    kek = Files.copy(VECTORS.resolve("kek.yaml"), directory.resolve("kek.yaml"));
  }

  private int vhost(Object... arguments) {
    return run(Stream.concat(Stream.of("vhost-backend"), Arrays.stream(arguments)).toArray());
  }

  private int serve(String yaml) throws IOException {
    return vhost("-f", Files.writeString(config, yaml));
  }

  @Test
  void serves_and_exits_0() {
    assertThat(vhost("--config", config)).isZero();
    assertThat(programs.calls).containsExactly("prepare", "run");
    assertThat(programs.served.orElseThrow().path()).isEqualTo("/d");
  }

  @Test
  void keys_are_there_while_it_serves_and_zeroed_afterwards() {
    assertThat(vhost("-f", VECTORS.resolve("config-wrapped.yaml"), "-k", kek)).isZero();
    assertThat(programs.keysWereThere).isTrue();
    assertThatThrownBy(
            () -> programs.served.orElseThrow().encryptionKey().orElseThrow().halvesEqual())
        .isInstanceOf(IllegalStateException.class);
    assertThat(kek).exists();
  }

  @Test
  void the_kek_is_removed_before_the_configuration_is_read() {
    assertThat(vhost("-f", directory.resolve("missing"), "-k", kek, "-u")).isEqualTo(1);
    assertThat(kek).doesNotExist();
    assertThat(programs.calls).containsExactly("prepare");
  }

  @Test
  void a_kek_that_does_not_parse_is_not_removed() throws IOException {
    Files.writeString(kek, "method: rot13\n");
    assertThat(vhost("-f", config, "--kek", kek, "--unlink-kek")).isEqualTo(1);
    assertThat(kek).exists();
  }

  @Test
  void a_kek_that_cannot_be_removed_is_fatal() throws Exception {
    // The writer removes the FIFO once the reader has it open, so nothing is left to unlink.
    Path fifo = directory.resolve("fifo");
    assertThat(new ProcessBuilder("mkfifo", fifo.toString()).start().waitFor()).isZero();
    String script = "exec 3>\"$1\"; rm \"$1\"; cat \"$2\" >&3";
    Process writer =
        new ProcessBuilder("sh", "-c", script, "sh", fifo.toString(), kek.toString()).start();
    assertThat(vhost("-f", config, "-k", fifo, "-u")).isEqualTo(1);
    assertThat(writer.waitFor()).isZero();
    assertThat(programs.calls).containsExactly("prepare");
  }

  @Test
  void nothing_with_a_key_is_opened_before_the_process_is_prepared() {
    programs.prepareFailure = Optional.of(new IOException("no library"));
    assertThat(vhost("-f", config, "-k", kek, "-u")).isEqualTo(1);
    assertThat(kek).exists();
    assertThat(programs.calls).containsExactly("prepare");
  }

  @Test
  void unlinking_needs_a_kek() {
    assertThat(vhost("-f", config, "-u")).isEqualTo(2);
    assertThat(err.toString()).contains("--unlink-kek needs --kek").contains("Usage:");
    assertThat(programs.calls).isEmpty();
  }

  @ParameterizedTest
  @ValueSource(strings = {"", "-x", "-f", "-f a b", "-f a --log-level loud", "-f a -f b"})
  void a_wrong_command_line_exits_2(String arguments) {
    Object[] split = arguments.isEmpty() ? new Object[0] : arguments.split(" ");
    assertThat(vhost(split)).isEqualTo(2);
    assertThat(err.toString()).contains("Usage: vhost-backend ");
    assertThat(programs.calls).isEmpty();
  }

  @ParameterizedTest
  @ValueSource(strings = {"", "nbd-backend", "-f"})
  void a_program_that_does_not_exist_exits_2(String arguments) {
    Object[] split = arguments.isEmpty() ? new Object[0] : arguments.split(" ");
    assertThat(run(split)).isEqualTo(2);
    assertThat(err.toString()).contains("vhost-backend");
  }

  @Test
  void the_jars_own_help_names_the_programs() {
    assertThat(run("--help")).isZero();
    assertThat(out.toString()).contains("Usage: ubiblk").contains("vhost-backend");
  }

  @Test
  void help_tells_options_and_exit_status() {
    assertThat(vhost("--help")).isZero();
    assertThat(out.toString())
        .contains("Usage: vhost-backend ")
        .contains("-f, --config")
        .contains("-k, --kek")
        .contains("-u, --unlink-kek")
        .contains("--log-level")
        .contains("UBIBLK_LOG")
        .contains("Exit status:")
        .contains("101");
    assertThat(vhost("-h")).isZero();
  }

  @Test
  void version_is_the_builds() {
    assertThat(vhost("-V")).isZero();
    assertThat(out.toString().strip()).isEqualTo("ubiblk " + NativeLibrary.VERSION);
    assertThat(run("--version")).isZero();
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "num_queues: 2 | cpus: [1]",
        "num_queues: 1 | cpus: []",
        "num_queues: 64 | device_id: x",
      })
  void what_is_not_served_exits_1(String one, String other) throws IOException {
    assertThat(serve(SERVABLE + one + "\n" + other + "\n")).isEqualTo(1);
    assertThat(programs.calls).containsExactly("prepare");
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "{source: remote, address: 'h:1'}",
        "{source: archive, type: filesystem, path: /a}",
      })
  void sources_that_cannot_be_fetched_from_yet_exit_1(String source) throws IOException {
    String lazy = "metadata_path: /m\ncopy_on_read: true\nstripe_source: " + source + "\n";
    assertThat(serve(SERVABLE + lazy)).isEqualTo(1);
    assertThat(programs.calls).containsExactly("prepare");
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "stripe_source: {source: raw, path: /i} | metadata_path: /m",
        "image_path: /i | metadata_path: /m",
        "metadata_path: /m | track_written: true",
      })
  void disks_that_are_filled_from_an_image_are_served(String one, String other) throws IOException {
    assertThat(serve(SERVABLE + one + "\n" + other + "\n")).isZero();
  }

  @Test
  void a_socket_is_required() throws IOException {
    assertThat(serve("path: /d\n")).isEqualTo(1);
    assertThat(programs.calls).containsExactly("prepare");
  }

  @Test
  void one_cpu_per_queue_is_served() throws IOException {
    assertThat(serve(SERVABLE + "num_queues: 2\ncpus: [1, 0]\n")).isZero();
  }

  @Test
  void a_failing_back_end_exits_1_and_a_broken_one_101() {
    programs.runFailure = Optional.of(new IOException("the socket's directory is missing"));
    assertThat(vhost("-f", config)).isEqualTo(1);
    programs.runFailure = Optional.of(new IllegalStateException("a mistake of ours"));
    assertThat(vhost("-f", config)).isEqualTo(101);
  }
}
