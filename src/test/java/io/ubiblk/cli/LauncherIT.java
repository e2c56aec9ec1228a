// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.cli;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** The launcher passes on arguments and exit status, whatever the environment. */
class LauncherIT {
  private static final Path LAUNCHER =
      Path.of(System.getProperty("ubiblk.launchers", "bin"), "vhost-backend");

  @TempDir private Path directory;

  private String run(String script, int status, String... variables) throws Exception {
    Path err = directory.resolve("err");
    var builder = new ProcessBuilder("sh", "-c", script, LAUNCHER.toAbsolutePath().toString());
    builder.environment().keySet().removeAll(List.of("LC_ALL", "LC_CTYPE", "LANG"));
    for (String variable : variables) {
      builder.environment().put(variable, "C");
    }
    Process process = builder.directory(directory.toFile()).redirectError(err.toFile()).start();
    assertThat(process.waitFor(60, TimeUnit.SECONDS)).isTrue();
    assertThat(process.exitValue()).isEqualTo(status);
    return Files.readString(err, UTF_8);
  }

  @ParameterizedTest
  @ValueSource(strings = {"", "LC_ALL", "LANG"})
  void a_file_name_needs_no_locale(String variable) throws Exception {
    // The shell writes the name: this JVM's own locale may not have its characters.
    String script = "mkdir -p 'ü' && echo 'path: /d' >'ü/vm.yaml' && exec \"$0\" -f 'ü/vm.yaml'";
    String[] variables = variable.isEmpty() ? new String[0] : new String[] {variable};
    assertThat(run(script, 1, variables))
        .isEqualTo("[ERROR] vhost-backend - ü/vm.yaml: socket: is required by vhost-backend\n");
  }

  @Test
  void the_kek_may_come_from_a_pipe() throws Exception {
    Path vectors = Path.of("src/test/resources/vectors/kek").toAbsolutePath();
    String script =
        "cat %1$s/kek.yaml | \"$0\" -f %1$s/config-wrapped.yaml -k /dev/stdin".formatted(vectors);
    // The keys opened, since what is missing is the disk.
    assertThat(run(script, 1)).contains("/path/to/disk").doesNotContain("KEK");
  }

  @Test
  void a_wrong_command_line_is_status_2() throws Exception {
    assertThat(run("exec \"$0\" --unlink-kek -f x", 2)).contains("Usage: vhost-backend ");
  }
}
