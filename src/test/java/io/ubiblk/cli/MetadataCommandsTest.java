// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.cli;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.io.Writer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Optional;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** The command lines of init-metadata and dump-metadata. */
class MetadataCommandsTest extends CommandHarness {
  private Path config;

  @BeforeEach
  void makeConfig() throws IOException {
    config = Files.writeString(directory.resolve("vm.yaml"), "path: /d\nmetadata_path: /m\n");
  }

  private static Object[] line(String program, Path config, String arguments) {
    return (program + " -f " + config + " " + arguments).strip().split(" ");
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "                                          | 11 | 2.0 | false",
        "-s 6                                      | 6  | 2.0 | false",
        "--stripe-sector-count-shift=16            | 16 | 2.0 | false",
        "--metadata-version 1.0 --force            | 11 | 1.0 | true",
        "--metadata-version=2.0                    | 11 | 2.0 | false",
      })
  void options_of_init_reach_the_work(String arguments, int shift, String version, boolean force) {
    String given = arguments == null ? "" : arguments;
    assertThat(run(line("init-metadata", config, given))).isZero();
    assertThat(programs.calls)
        .containsExactly(
            "prepare",
            "init Options[shift=%d, version=%s, force=%s]".formatted(shift, version, force));
    assertThat(programs.served.orElseThrow().path()).isEqualTo("/d");
    assertThat(out.toString()).isEmpty();
  }

  @Test
  void dump_prints_lines_or_json() {
    assertThat(run("dump-metadata", "-f", config)).isZero();
    assertThat(run("dump-metadata", "-f", config, "--json")).isZero();
    assertThat(programs.calls).containsExactly("prepare", "dump", "prepare", "dump json");
    assertThat(out.toString()).isEqualTo("dumped\ndumped\n");
  }

  @Test
  void output_that_cannot_be_written_is_a_failure() {
    Writer full =
        new Writer() {
          @Override
          public void write(char[] chars, int offset, int length) throws IOException {
            throw new IOException("no space left");
          }

          @Override
          public void flush() {}

          @Override
          public void close() {}
        };
    assertThat(runTo(full, "dump-metadata", "-f", config)).isEqualTo(1);
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "-s many",
        "--metadata-version 3.0",
        "--metadata-version 2",
        "--json",
        "-u",
        "surplus",
      })
  void a_wrong_command_line_of_init_exits_2(String arguments) {
    assertThat(run(line("init-metadata", config, arguments))).isEqualTo(2);
    assertThat(err.toString()).contains("Usage: init-metadata ");
    assertThat(programs.calls).isEmpty();
  }

  @ParameterizedTest
  @ValueSource(strings = {"--force", "-s 11", "--unlink-kek", "--json=yes"})
  void a_wrong_command_line_of_dump_exits_2(String arguments) {
    assertThat(run(line("dump-metadata", config, arguments))).isEqualTo(2);
    assertThat(err.toString()).contains("Usage: dump-metadata ");
    assertThat(programs.calls).isEmpty();
  }

  @ParameterizedTest
  @ValueSource(ints = {5, 17, -1})
  void a_shift_out_of_range_is_refused_once_the_configuration_is_read(int shift) {
    assertThat(run("init-metadata", "-f", config, "--stripe-sector-count-shift=" + shift))
        .isEqualTo(1);
    assertThat(programs.calls).containsExactly("prepare");
  }

  @ParameterizedTest
  @ValueSource(strings = {"init-metadata", "dump-metadata"})
  void metadata_path_is_required(String program) throws IOException {
    Files.writeString(config, "path: /d\n");
    assertThat(run(program, "-f", config)).isEqualTo(1);
    assertThat(programs.calls).containsExactly("prepare");
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "{source: remote, address: \"h:1\"}",
        "{source: archive, type: filesystem, path: /a}"
      })
  void init_cannot_ask_other_sources_yet(String source) throws IOException {
    Files.writeString(
        config, "path: /d\nmetadata_path: /m\ncopy_on_read: true\nstripe_source: " + source + "\n");
    assertThat(run("init-metadata", "-f", config)).isEqualTo(1);
    assertThat(programs.calls).containsExactly("prepare");
    assertThat(run("dump-metadata", "-f", config)).isZero();
  }

  @Test
  void failures_of_the_work_exit_1_and_mistakes_101() {
    programs.runFailure = Optional.of(new IOException("no space left"));
    assertThat(run("init-metadata", "-f", config)).isEqualTo(1);
    assertThat(run("dump-metadata", "-f", config)).isEqualTo(1);
    programs.runFailure = Optional.of(new IllegalStateException("a bug"));
    assertThat(run("init-metadata", "-f", config)).isEqualTo(101);
  }

  @ParameterizedTest
  @ValueSource(strings = {"init-metadata", "dump-metadata"})
  void help_and_version_are_there(String program) {
    assertThat(run(program, "--help")).isZero();
    assertThat(out.toString())
        .contains("Usage: " + program + " ")
        .contains("-f, --config")
        .contains("Exit status:")
        .contains("101");
    assertThat(run(program, "-V")).isZero();
    assertThat(out.toString()).contains("\nubiblk ");
  }

  @Test
  void the_jars_help_names_every_program() {
    assertThat(run("--help")).isZero();
    assertThat(out.toString()).contains("vhost-backend", "init-metadata", "dump-metadata");
  }
}
