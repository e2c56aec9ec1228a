// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.cli;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The program as a process: what it prints, and with which status it exits. */
class ProcessTest {
  private static final Path VECTORS = Path.of("src/test/resources/vectors/kek");

  @TempDir private Path directory;
  private Path config;

  private record Outcome(int status, String out, String err) {}

  @BeforeEach
  void makeConfig() throws IOException {
    config = Files.writeString(directory.resolve("vm.yaml"), "path: /d\nsocket: /s\nsockett: /s\n");
  }

  private Outcome run(String level, Path stdin, Object... arguments) throws Exception {
    List<String> command = new ArrayList<>();
    command.add(Path.of(System.getProperty("java.home"), "bin", "java").toString());
    command.addAll(List.of("-XX:TieredStopAtLevel=1", "-Xshare:auto", "-cp"));
    command.add(System.getProperty("java.class.path"));
    command.add(ServingNothing.class.getName());
    command.add("vhost-backend");
    for (Object argument : arguments) {
      command.add(argument.toString());
    }
    Path out = directory.resolve("out");
    Path err = directory.resolve("err");
    var builder = new ProcessBuilder(command);
    builder.redirectOutput(out.toFile()).redirectError(err.toFile());
    if (stdin != null) {
      builder.redirectInput(stdin.toFile());
    }
    builder.environment().remove(Logging.VARIABLE);
    if (level != null) {
      builder.environment().put(Logging.VARIABLE, level);
    }
    Process process = builder.start();
    assertThat(process.waitFor(60, TimeUnit.SECONDS)).isTrue();
    return new Outcome(
        process.exitValue(), Files.readString(out, UTF_8), Files.readString(err, UTF_8));
  }

  @Test
  void warnings_are_lines_on_stderr() throws Exception {
    Outcome outcome = run(null, null, "-f", config);
    assertThat(outcome.status).isZero();
    assertThat(outcome.out).isEmpty();
    assertThat(outcome.err)
        .isEqualTo(
            "[WARN] vhost-backend - "
                + config
                + ": sockett: unknown key is ignored; the nearest known one is socket\n");
  }

  @Test
  void the_environment_sets_the_level_and_the_flag_wins() throws Exception {
    assertThat(run("error", null, "-f", config).err).isEmpty();
    assertThat(run("error", null, "-f", config, "--log-level", "warn").err).contains("sockett");
    assertThat(run("trace", null, "-f", config, "--log-level=Error").err).isEmpty();
  }

  @Test
  void a_level_that_does_not_exist_is_told() throws Exception {
    assertThat(run("loud", null, "-f", config).err)
        .startsWith("[WARN] vhost-backend - UBIBLK_LOG names no level");
  }

  @Test
  void a_failure_is_one_line_and_status_1() throws Exception {
    Files.writeString(config, "path: /d\n");
    Outcome outcome = run(null, null, "-f", config);
    assertThat(outcome.status).isEqualTo(1);
    assertThat(outcome.err)
        .isEqualTo(
            "[ERROR] vhost-backend - " + config + ": socket: is required by vhost-backend\n");
    assertThat(run("off", null, "-f", config)).isEqualTo(new Outcome(1, "", ""));
  }

  @Test
  void what_is_not_served_is_told_in_a_sentence() throws Exception {
    Files.writeString(
        config,
        """
        path: /d
        socket: /s
        metadata_path: /m
        copy_on_read: true
        stripe_source: {source: remote, address: 'h:1'}
        """);
    assertThat(run(null, null, "-f", config).err)
        .isEqualTo(
            "[ERROR] vhost-backend - "
                + config
                + ": stripe_source: this version fetches from raw images only\n");
  }

  @Test
  void a_kek_comes_from_standard_input_but_cannot_be_removed_there() throws Exception {
    Path kek = VECTORS.resolve("kek.yaml");
    Path wrapped = VECTORS.resolve("config-wrapped.yaml");
    Outcome read = run(null, kek, "-f", wrapped, "-k", "/dev/stdin");
    assertThat(read).isEqualTo(new Outcome(0, "", ""));
    Outcome unlinked = run(null, kek, "-f", wrapped, "-k", "/dev/stdin", "-u");
    assertThat(unlinked.status).isEqualTo(1);
    assertThat(unlinked.err).contains("/dev/stdin: cannot be removed: it is no file of its own");
    assertThat(Path.of("/dev/stdin")).exists();
  }
}
