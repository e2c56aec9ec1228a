// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.cli;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** The command line of xts. */
class XtsCommandTest extends CommandHarness {
  private static final String KEYS =
      "encryption_key: [AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=,"
          + " gIGCg4SFhoeIiYqLjI2Oj5CRkpOUlZaXmJmam5ydnp8=]\n";

  private Path config;
  private Path other;

  @BeforeEach
  void makeConfigs() throws IOException {
    config = Files.writeString(directory.resolve("vm.yaml"), "path: /d\n" + KEYS);
    other = Files.writeString(directory.resolve("new.yaml"), "path: /new\n" + KEYS);
  }

  private int xts(String arguments) {
    String line = "xts -f " + config + " " + arguments.replace("OTHER", other.toString());
    return run((Object[]) line.strip().split(" "));
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "in out | false | 0 | OptionalLong.empty | 4 | false",
        "--action decode in out | false | 0 | OptionalLong.empty | 4 | false",
        "--action=encode --start 3 --len 2 in out | true | 3 | OptionalLong[2] | 4 | false",
        "--start 18446744073709551615 --quiet in out | false | -1 | OptionalLong.empty | 4 | true",
        "--len 0 --threads 64 in out | false | 0 | OptionalLong[0] | 64 | false",
      })
  void options_of_encode_and_decode_reach_the_work(
      String arguments, boolean encode, long start, String length, int threads, boolean quiet) {
    assertThat(xts(arguments)).isZero();
    assertThat(programs.calls)
        .containsExactly(
            "prepare",
            ("recode Recoding[input=in, output=out, encode=%s, start=%d, length=%s, threads=%d,"
                    + " quiet=%s]")
                .formatted(encode, start, length, threads, quiet));
    assertThat(programs.keysWereThere).isTrue();
  }

  @Test
  void options_of_reencrypt_reach_the_work_with_what_resumes_it() {
    assertThat(
            xts("--action reencrypt --to-config OTHER --journal /j --assume-old-key --skip-holes"))
        .isZero();
    String command =
        ("xts --action reencrypt --config %s --to-config %s --journal /j --assume-old-key"
                + " --skip-holes")
            .formatted(config, other);
    assertThat(programs.calls)
        .containsExactly(
            "prepare",
            ("reencrypt to /new Reencryption[journal=Optional[/j], assumeOldKey=true,"
                    + " skipHoles=true, threads=4, command=%s, quiet=false]")
                .formatted(command));
    assertThat(programs.served.orElseThrow().path()).isEqualTo("/d");
  }

  @Test
  void the_command_that_resumes_can_be_given_to_a_shell() throws IOException {
    Path odd = Files.copy(config, directory.resolve("it's odd.yaml"));
    assertThat(run("xts", "-f", odd, "--action=reencrypt", "--to-config=" + other)).isZero();
    assertThat(programs.calls.get(1))
        .contains("--config '" + directory + "/it'\\''s odd.yaml' --to-config " + other);
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "in",
        "",
        "in out more",
        "--action rot13 in out",
        "--start -1 in out",
        "--start 18446744073709551616 in out",
        "--len many in out",
        "--threads 0 in out",
        "--threads 65 in out",
        "--unlink-kek --kek k in out",
        "-u in out",
        "--to-config OTHER in out",
        "--journal j in out",
        "--action reencrypt",
        "--action reencrypt --to-config OTHER in out",
        "--action reencrypt --to-config OTHER --start 1",
        "--action reencrypt --to-config OTHER --len 1",
      })
  void a_wrong_command_line_exits_2(String arguments) {
    assertThat(xts(arguments)).isEqualTo(2);
    assertThat(err.toString()).contains("Usage: xts ");
    assertThat(programs.calls).isEmpty();
  }

  @Test
  void keys_are_required_in_both_configurations() throws IOException {
    Files.writeString(other, "path: /new\n");
    assertThat(xts("--action reencrypt --to-config OTHER")).isEqualTo(1);
    Files.writeString(config, "path: /d\n");
    assertThat(xts("in out")).isEqualTo(1);
    assertThat(programs.calls).containsExactly("prepare", "prepare");
  }

  @Test
  void help_names_what_this_program_has() {
    assertThat(xts("--help")).isZero();
    assertThat(out.toString())
        .contains("Usage: xts ")
        .contains("INPUT OUTPUT")
        .contains("--assume-old-key")
        .doesNotContain("--unlink-kek")
        .contains("Exit status:");
  }
}
