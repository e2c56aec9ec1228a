// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.backend;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import io.ubiblk.TestScale;
import io.ubiblk.config.ConfigLoader;
import io.ubiblk.config.DeviceConfig;
import io.ubiblk.config.KekFile;
import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** The tool for keys as an operator runs it, with a disk whose keys it made. */
@Timeout(300)
class KeysIT {
  private static final Path LAUNCHERS = Path.of(System.getProperty("ubiblk.launchers", "bin"));

  private static final int KILLS = TestScale.count(5, 50);

  @TempDir private Path directory;
  private Path config;
  private Path kek;

  private record Outcome(int status, String out, String err) {
    static final Outcome DONE = new Outcome(0, "", "");
  }

  @BeforeEach
  void makeFiles() throws IOException {
    config = directory.resolve("vm.yaml");
    kek = directory.resolve("kek.yaml");
    Path disk = directory.resolve("disk.raw");
    try (RandomAccessFile access = new RandomAccessFile(disk.toFile(), "rw")) {
      access.setLength(1 << 20);
    }
    Files.writeString(
        config,
        "# the disk of vm1\npath: %s\nsocket: %s\nio_engine: sync # ü\n"
            .formatted(disk, directory.resolve("vhost.sock")));
  }

  private Outcome keys(Object... arguments) throws Exception {
    List<String> command = new ArrayList<>(List.of(LAUNCHERS.resolve("keys").toString()));
    for (Object argument : arguments) {
      command.add(argument.toString());
    }
    return run(command);
  }

  /** A shell line, with the program as {@code $0} and {@code arguments} behind it. */
  private Outcome shell(String script, Object... arguments) throws Exception {
    List<String> command = new ArrayList<>(List.of("sh", "-c", script));
    command.add(LAUNCHERS.resolve("keys").toString());
    for (Object argument : arguments) {
      command.add(argument.toString());
    }
    return run(command);
  }

  private Outcome run(List<String> command) throws Exception {
    Path out = directory.resolve("out");
    Path err = directory.resolve("err");
    var builder = new ProcessBuilder(command);
    builder.redirectOutput(out.toFile()).redirectError(err.toFile());
    builder.redirectInput(Path.of("/dev/null").toFile());
    builder.environment().put("JAVA_HOME", System.getProperty("java.home"));
    builder.environment().remove("UBIBLK_LOG");
    Process process = builder.start();
    assertThat(process.waitFor(60, TimeUnit.SECONDS)).isTrue();
    return new Outcome(
        process.exitValue(), Files.readString(out, UTF_8), Files.readString(err, UTF_8));
  }

  /** Serves the disk for a moment. */
  private void serve(Path kekFile) throws Exception {
    List<String> command =
        BackendProcess.launcher("--config", config.toString(), "--kek", kekFile.toString());
    Path socket = directory.resolve("vhost.sock");
    try (BackendProcess backend = BackendProcess.start(directory, command).awaitSocket(socket)) {
      backend.signal("TERM");
      assertThat(backend.exitStatus()).as(backend.output()).isZero();
    }
  }

  @Test
  void a_disk_is_served_with_keys_that_were_made_and_rewrapped() throws Exception {
    assertThat(keys("generate", "kek", "--output", kek)).isEqualTo(Outcome.DONE);
    assertThat(PosixFilePermissions.toString(Files.getPosixFilePermissions(kek)))
        .isEqualTo("rw-------");
    Outcome xts = keys("generate", "xts", "--kek", kek);
    assertThat(xts.status).isZero();
    assertThat(xts.err).isEmpty();
    Files.writeString(config, xts.out, StandardOpenOption.APPEND);
    serve(kek);

    Path next = directory.resolve("next.yaml");
    assertThat(keys("generate", "kek", "--output", next)).isEqualTo(Outcome.DONE);
    String before = Files.readString(config);
    assertThat(keys("rewrap", "--config", config, "--kek", kek, "--new-kek", next))
        .isEqualTo(Outcome.DONE);
    String after = Files.readString(config);
    assertThat(after).isNotEqualTo(before);
    String value = "\"[A-Za-z0-9+/=]{80}\"";
    assertThat(after.replaceAll(value, "…")).isEqualTo(before.replaceAll(value, "…"));
    serve(next);

    Outcome old = keys("unwrap", "--check", "--config", config, "--kek", kek);
    assertThat(old.status).isEqualTo(1);
    assertThat(old.out).hasLineCount(2).contains("encryption_key[0]: does not open under the KEK");
    assertThat(old.err).isEqualTo("[ERROR] keys - " + config + ": 2 of 2 values do not open\n");
    Outcome current = keys("unwrap", "--check", "--config", config, "--kek", next);
    assertThat(current.status).isZero();
    assertThat(current.out)
        .contains("encryption_key[1]: opens; wrapped with its own nonce, bound to its name\n");
  }

  @Test
  void keys_in_clear_come_with_a_warning() throws Exception {
    Outcome xts = keys("generate", "xts");
    assertThat(xts.status).isZero();
    assertThat(xts.out).hasLineCount(3);
    assertThat(xts.err)
        .isEqualTo(
            "[WARN] keys - these keys are in clear: whoever reads them reads the data; --kek wraps"
                + " them\n");
  }

  @Test
  void keks_may_come_through_pipes_that_are_read_once() throws Exception {
    assertThat(keys("generate", "kek", "-o", kek)).isEqualTo(Outcome.DONE);
    Outcome xts = shell("\"$0\" generate xts -k /dev/stdin <\"$1\"", kek);
    assertThat(xts.status).isZero();
    Files.writeString(config, xts.out, StandardOpenOption.APPEND);
    Path next = directory.resolve("next.yaml");
    assertThat(keys("generate", "kek", "-o", next)).isEqualTo(Outcome.DONE);
    String script =
        "mkfifo \"$4\" \"$5\" && { cat \"$2\" >\"$4\" & cat \"$3\" >\"$5\" & }"
            + " && exec \"$0\" rewrap -f \"$1\" -k \"$4\" --new-kek \"$5\"";
    assertThat(shell(script, config, kek, next, directory.resolve("f1"), directory.resolve("f2")))
        .isEqualTo(Outcome.DONE);
    serve(next);
  }

  @Test
  void a_kill_leaves_the_old_file_or_the_new_one() throws Exception {
    Path next = makeWrappedConfig();
    Files.setPosixFilePermissions(config, PosixFilePermissions.fromString("rw-------"));
    String before = Files.readString(config);
    int replaced = 0;
    for (int round = 0; round < KILLS; round++) {
      Files.writeString(config, before);
      Process rewrap = startRewrap(next);
      while (rewrap.isAlive() && temporaryFiles().isEmpty()) {
        Thread.onSpinWait();
      }
      rewrap.destroyForcibly().waitFor();
      boolean untouched = Files.readString(config).equals(before);
      replaced += untouched ? 0 : 1;
      try (KekFile opening = KekFile.load(untouched ? kek : next, unused -> {});
          DeviceConfig loaded = ConfigLoader.load(config, opening, unused -> {})) {
        assertThat(loaded.encryptionKey()).isPresent();
      }
      for (Path left : temporaryFiles()) {
        assertThat(PosixFilePermissions.toString(Files.getPosixFilePermissions(left)))
            .isEqualTo("rw-------");
        Files.delete(left);
      }
    }
    System.out.println(KILLS + " kills, of which " + replaced + " after the file was replaced");
    Files.writeString(config, before);
    assertThat(startRewrap(next).waitFor()).isZero();
    assertThat(temporaryFiles()).isEmpty();
    serve(next);
  }

  /** Wraps fresh keys for the configuration under one KEK, and makes another. */
  private Path makeWrappedConfig() throws Exception {
    assertThat(keys("generate", "kek", "-o", kek)).isEqualTo(Outcome.DONE);
    Files.writeString(config, keys("generate", "xts", "-k", kek).out, StandardOpenOption.APPEND);
    Path next = directory.resolve("next.yaml");
    assertThat(keys("generate", "kek", "-o", next)).isEqualTo(Outcome.DONE);
    return next;
  }

  private Process startRewrap(Path next) throws IOException {
    var builder =
        new ProcessBuilder(
            LAUNCHERS.resolve("keys").toString(),
            "rewrap",
            "--config=" + config,
            "--kek=" + kek,
            "--new-kek=" + next);
    builder.environment().put("JAVA_HOME", System.getProperty("java.home"));
    return builder.inheritIO().start();
  }

  private List<Path> temporaryFiles() throws IOException {
    try (Stream<Path> files = Files.list(directory)) {
      return files.filter(path -> path.getFileName().toString().startsWith(".keys-")).toList();
    }
  }

  @Test
  void who_may_not_keep_the_owner_makes_the_file_private() throws Exception {
    Path next = makeWrappedConfig();
    assumeTrue(
        Files.getAttribute(directory, "unix:uid").equals(0)
            && shell("setpriv --reuid=65534 --clear-groups test -r \"$0\"").status == 0,
        "being somebody else needs root, and a tree that others can read");
    String nobody = "setpriv --reuid=65534 --clear-groups \"$0\" ";
    for (Path file : List.of(config, kek, next)) {
      Files.setPosixFilePermissions(file, PosixFilePermissions.fromString("rw-r--r--"));
    }
    Files.setPosixFilePermissions(directory, PosixFilePermissions.fromString("rwxr-xr-x"));
    String before = Files.readString(config);
    String rewrap = nobody + "rewrap -f \"$1\" -k \"$2\" --new-kek \"$3\"";
    Outcome readOnly = shell(rewrap, config, kek, next);
    assertThat(readOnly.status).isEqualTo(1);
    assertThat(readOnly.err).endsWith(": cannot be made: permission denied\n");
    assertThat(Files.readString(config)).isEqualTo(before);

    Files.setAttribute(directory, "unix:uid", 65534);
    Outcome given = shell(rewrap, config, kek, next);
    assertThat(given.status).isZero();
    assertThat(given.err)
        .isEqualTo(
            "[WARN] keys - "
                + config
                + ": its owner and group cannot be kept, so from now on it has mode 0600\n");
    assertThat(Files.getAttribute(config, "unix:uid")).isEqualTo(65534);
    assertThat(PosixFilePermissions.toString(Files.getPosixFilePermissions(config)))
        .isEqualTo("rw-------");
    assertThat(temporaryFiles()).isEmpty();
  }

  @Test
  void a_secret_comes_from_standard_input_and_none_is_an_argument() throws Exception {
    assertThat(keys("generate", "kek", "-o", kek)).isEqualTo(Outcome.DONE);
    Outcome wrapped =
        shell("printf AKIAEXAMPLE | \"$0\" wrap -k \"$1\" -n access_key_id --raw", kek);
    assertThat(wrapped.err).isEmpty();
    assertThat(wrapped.out).hasLineCount(1);
    Path value = Files.writeString(directory.resolve("value"), wrapped.out);
    assertThat(shell("\"$0\" unwrap --check -k \"$1\" -n access_key_id <\"$2\"", kek, value))
        .isEqualTo(
            new Outcome(
                0, "access_key_id: opens; wrapped with its own nonce, bound to its name\n", ""));
    Outcome other = shell("\"$0\" unwrap --check -k \"$1\" -n psk_secret <\"$2\"", kek, value);
    assertThat(other.status).isEqualTo(1);
  }

  @Test
  void a_closed_output_is_a_failure() throws Exception {
    Outcome full = shell("exec \"$0\" generate kek >/dev/full");
    assertThat(full.status).isEqualTo(1);
    assertThat(full.err)
        .isEqualTo("[ERROR] keys - cannot write to standard output: No space left on device\n");
  }

  @Test
  void the_jar_has_the_program_as_well() throws Exception {
    Outcome version = run(BackendProcess.jar(List.of(), "keys", "generate", "kek"));
    assertThat(version.status).isZero();
    assertThat(version.out).startsWith("method: aes256-gcm\nkey: ");
  }
}
