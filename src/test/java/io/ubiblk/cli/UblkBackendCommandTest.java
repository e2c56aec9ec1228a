// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.cli;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class UblkBackendCommandTest extends CommandHarness {
  private Path config;

  @BeforeEach
  void makeConfig() throws IOException {
    config = Files.writeString(directory.resolve("vm.yaml"), "path: /d\n");
  }

  private int ublk(Object... arguments) {
    return run(Stream.concat(Stream.of("ublk-backend"), Arrays.stream(arguments)).toArray());
  }

  @Test
  void a_disk_is_served_without_a_socket() {
    assertThat(ublk("--config", config)).isZero();
    assertThat(programs.calls)
        .containsExactly("prepare", "ublk Options[link=Optional.empty, devId=OptionalInt.empty]");
  }

  @Test
  void the_link_and_the_number_are_handed_on() {
    assertThat(ublk("-f", config, "--device-symlink", "/run/disk", "--dev-id", "7")).isZero();
    assertThat(programs.calls)
        .contains("ublk Options[link=Optional[/run/disk], devId=OptionalInt[7]]");
  }

  @Test
  void a_configuration_is_required_to_serve() {
    assertThat(ublk()).isEqualTo(2);
    assertThat(err.toString()).contains("Missing required option: '--config=PATH'");
    assertThat(programs.calls).isEmpty();
  }

  @Test
  void operators_need_no_configuration() {
    assertThat(ublk("--list")).isZero();
    assertThat(ublk("--stop", "3")).isZero();
    assertThat(ublk("--delete", "4")).isZero();
    assertThat(programs.calls)
        .containsExactly("prepare", "list", "prepare", "stop 3", "prepare", "delete 4");
    assertThat(out.toString()).isEqualTo("listed\n");
  }

  @ParameterizedTest
  @CsvSource({
    "--list --stop 1, one at a time",
    "--stop 1 --delete 1, one at a time",
    "--list --dev-id 1, for serving a disk",
    "--delete 1 --device-symlink /l, for serving a disk",
    "--list --config /c, for serving a disk",
    "--stop -1, '--stop must be 0 to 1048575, is -1'",
    "--delete 1048576, --delete must be",
    "--stop x, --stop",
  })
  void what_makes_no_sense_together_is_refused(String arguments, String sentence) {
    assertThat(ublk((Object[]) arguments.split(" "))).isEqualTo(2);
    assertThat(err.toString()).contains(sentence);
    assertThat(programs.calls).isEmpty();
  }

  @Test
  void a_number_that_cannot_be_is_refused() {
    assertThat(ublk("-f", config, "--dev-id", "-2")).isEqualTo(2);
    assertThat(err.toString()).contains("--dev-id must be 0 to 1048575, is -2");
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "io_engine: sync",
        "queue_size: 8192",
        "queue_size: 512 | seg_size_max: 2097152 | num_queues: 2",
        "cpus: [1, 2]",
        "metadata_path: /m | copy_on_read: true | stripe_source: {source: remote, address: 'h:1'}",
      })
  void disks_that_it_cannot_serve_are_refused(String lines) throws IOException {
    Files.writeString(config, "path: /d\n" + lines.replace(" | ", "\n") + "\n");
    assertThat(ublk("-f", config)).isEqualTo(1);
    assertThat(programs.calls).containsExactly("prepare");
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "socket: /s",
        "queue_size: 4096",
        "queue_size: 256 | seg_size_max: 1073741824",
        "num_queues: 2 | cpus: [1, 0]",
        "metadata_path: /m"
      })
  void disks_that_it_can_serve_are_served(String lines) throws IOException {
    Files.writeString(config, "path: /d\n" + lines.replace(" | ", "\n") + "\n");
    assertThat(ublk("-f", config)).isZero();
  }

  @Test
  void the_help_names_every_option() {
    assertThat(ublk("--help")).isZero();
    assertThat(out.toString())
        .contains("--device-symlink", "--dev-id", "--list", "--stop", "--delete", "--kek");
    assertThat(out.toString().replaceAll("\\s+", " ").split("whichever program made it"))
        .hasSize(3);
  }
}
