// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.cli;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;

import io.ubiblk.config.ConfigLoader;
import io.ubiblk.config.KekFile;
import io.ubiblk.config.SecretName;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.security.SecureRandom;
import java.util.Arrays;
import java.util.Base64;
import java.util.Optional;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** The command lines of keys, and what they do with files and streams. */
class KeysCommandTest extends CommandHarness {
  private static final Path VECTORS = Path.of("src/test/resources/vectors/kek");

  private final ByteArrayOutputStream secretOut = new ByteArrayOutputStream();
  private Path kek;

  @BeforeEach
  void makeKek() throws IOException {
    programs.out = secretOut;
    kek =
        Files.writeString(
            directory.resolve("kek.yaml"),
            "method: aes256-gcm\nkey: ERERERERERERERERERERERERERERERERERERERERERE=\n");
  }

  private int runLine(String arguments) {
    String line = "keys " + arguments.replace("KEK", kek.toString()).replace("DIR", dir());
    return run((Object[]) line.strip().split(" "));
  }

  private String dir() {
    return directory.toString();
  }

  private String printed() {
    return secretOut.toString(UTF_8);
  }

  private void loadDevice(String keys, KekFile kekFile) throws Exception {
    Path config = Files.writeString(directory.resolve("vm.yaml"), "path: /d\n" + keys);
    try (var device = ConfigLoader.load(config, kekFile, unused -> {})) {
      assertThat(device.encryptionKey().orElseThrow().halvesEqual()).isFalse();
    }
  }

  @Test
  void a_new_kek_is_a_kek_file() throws Exception {
    Path file = directory.resolve("new.yaml");
    assertThat(run("keys", "generate", "kek", "--output", file)).isZero();
    assertThat(PosixFilePermissions.toString(Files.getPosixFilePermissions(file)))
        .isEqualTo("rw-------");
    assertThat(Files.readString(file)).matches("method: aes256-gcm\nkey: \"[A-Za-z0-9+/]{43}=\"\n");
    try (KekFile made = KekFile.load(file, unused -> {})) {
      assertThat(made.sealing(unused -> {}).bindsNames()).isTrue();
    }
    assertThat(printed()).isEmpty();
    assertThat(programs.calls).containsExactly("prepare", "streams");
  }

  @Test
  void new_keys_of_a_disk_are_lines_of_its_configuration() throws Exception {
    assertThat(run("keys", "generate", "xts")).isZero();
    assertThat(printed())
        .matches("encryption_key:\n  - \"[A-Za-z0-9+/]{43}=\"\n  - \"[A-Za-z0-9+/]{43}=\"\n");
    loadDevice(printed(), null);
  }

  @Test
  void new_keys_of_a_disk_are_wrapped_by_a_kek() throws Exception {
    assertThat(run("keys", "generate", "xts", "--kek", kek)).isZero();
    try (KekFile kekFile = KekFile.load(kek, unused -> {})) {
      loadDevice(printed(), kekFile);
    }
  }

  @Test
  void a_new_psk_is_a_line_of_a_configuration() throws Exception {
    Path config = directory.resolve("server.yaml");
    String rest = "address: h:1\npsk_identity: i\n";
    assertThat(run("keys", "generate", "psk", "-k", kek)).isZero();
    Files.writeString(config, rest + printed());
    try (KekFile kekFile = KekFile.load(kek, unused -> {});
        var remote = ConfigLoader.loadRemote(config, kekFile, unused -> {})) {
      assertThat(remote.pskSecret().orElseThrow().length()).isEqualTo(32);
    }
    secretOut.reset();
    assertThat(run("keys", "generate", "psk")).isZero();
    assertThat(printed()).matches("psk_secret: \"[A-Za-z0-9+/]{43}=\"\n");
  }

  @Test
  void nothing_is_overwritten() throws Exception {
    String before = Files.readString(kek);
    assertThat(run("keys", "generate", "kek", "-o", kek)).isEqualTo(1);
    assertThat(Files.readString(kek)).isEqualTo(before);
  }

  @Test
  void a_random_source_that_is_stuck_makes_no_keys() {
    programs.random =
        new SecureRandom() {
          private static final long serialVersionUID = 1L;

          @Override
          public void nextBytes(byte[] bytes) {
            Arrays.fill(bytes, (byte) 7);
          }
        };
    assertThat(run("keys", "generate", "xts", "-o", directory.resolve("new"))).isEqualTo(1);
    assertThat(directory.resolve("new")).doesNotExist();
    assertThat(run("keys", "generate", "psk")).isZero();
  }

  @Test
  void a_kek_of_the_old_dialect_wraps_nothing() {
    Path old = VECTORS.resolve("kek.yaml");
    programs.in = "QUJD".getBytes(UTF_8);
    assertThat(run("keys", "generate", "xts", "-k", old)).isEqualTo(1);
    assertThat(run("keys", "wrap", "-k", old, "-n", "psk_secret")).isEqualTo(1);
    assertThat(printed()).isEmpty();
  }

  @ParameterizedTest
  @ValueSource(strings = {"", "\n", "\r\n"})
  void a_secret_in_base64_is_wrapped_without_its_line_end(String end) throws Exception {
    byte[] psk = "0123456789abcdef".getBytes(UTF_8);
    programs.in = (Base64.getEncoder().encodeToString(psk) + end).getBytes(UTF_8);
    assertThat(run("keys", "wrap", "--kek", kek, "--name", "psk_secret")).isZero();
    assertThat(opened("psk_secret")).isEqualTo(psk);
    assertThat(printed()).endsWith("=\n").hasLineCount(1);
  }

  @Test
  void a_raw_secret_is_wrapped_to_its_last_byte() throws Exception {
    programs.in = "0123456789abcdef\n".getBytes(UTF_8);
    assertThat(run("keys", "wrap", "-k", kek, "-n", "stripe_source.psk_secret", "--raw")).isZero();
    assertThat(opened("psk_secret")).isEqualTo(programs.in);
  }

  private byte[] opened(String name) throws Exception {
    byte[] wrapped = Base64.getDecoder().decode(printed().strip());
    try (KekFile kekFile = KekFile.load(kek, unused -> {});
        var value = io.ubiblk.secret.Secret.take(wrapped);
        var plain = kekFile.keyEncryption().open(name, value)) {
      return plain.<byte[], RuntimeException>lend(byte[]::clone);
    }
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "-n psk_secret              | QUJD",
        "-n psk_secret              | ''",
        "-n psk_secret              | no base64",
        "-n psk_secret              | QUJDREVGR0hJSktMTU5PUFFS QUJD",
        "-n encryption_key[0]       | QUJDREVGR0hJSktMTU5PUFFS",
        "-n access_key_id --raw     | ''",
      })
  void a_secret_that_cannot_be_one_is_refused(String options, String input) {
    programs.in = input.getBytes(UTF_8);
    assertThat(runLine("wrap -k KEK " + options)).isEqualTo(1);
    assertThat(printed()).isEmpty();
  }

  @Test
  void too_much_of_a_secret_is_refused() {
    programs.in = new byte[16 * 1024 + 1];
    assertThat(run("keys", "wrap", "-k", kek, "-n", "psk_secret", "--raw")).isEqualTo(1);
    assertThat(printed()).isEmpty();
  }

  @Test
  void output_that_cannot_be_written_is_a_failure() {
    programs.in = "0123456789abcdef".getBytes(UTF_8);
    programs.out =
        new OutputStream() {
          @Override
          public void write(int b) throws IOException {
            throw new IOException("no space left");
          }
        };
    assertThat(run("keys", "generate", "xts")).isEqualTo(1);
    assertThat(run("keys", "wrap", "-k", kek, "-n", "psk_secret", "--raw")).isEqualTo(1);
  }

  @Test
  void wrapped_values_are_checked() {
    Path old = VECTORS.resolve("kek.yaml");
    Path config = VECTORS.resolve("config-wrapped.yaml");
    assertThat(run("keys", "unwrap", "--check", "-f", config, "-k", old)).isZero();
    assertThat(out.toString()).hasLineCount(2).contains("encryption_key[1]: opens");
    assertThat(run("keys", "unwrap", "--check", "-f", config, "-k", kek)).isEqualTo(1);
    assertThat(out.toString()).contains("encryption_key[1]: does not open under the KEK");
    assertThat(printed()).isEmpty();
  }

  @Test
  void a_single_value_is_checked() {
    programs.in = "0123456789abcdef".getBytes(UTF_8);
    assertThat(run("keys", "wrap", "-k", kek, "-n", "psk_secret", "--raw")).isZero();
    programs.in = secretOut.toByteArray();
    assertThat(runLine("unwrap --check -k KEK -n psk_secret")).isZero();
    assertThat(out.toString())
        .isEqualTo("psk_secret: opens; wrapped with its own nonce, bound to its name\n");
    assertThat(runLine("unwrap --check -k KEK -n access_key_id")).isEqualTo(1);
  }

  @Test
  void a_configuration_is_rewrapped() throws Exception {
    Path config =
        Files.copy(VECTORS.resolve("config-wrapped.yaml"), directory.resolve("config.yaml"));
    Path old = VECTORS.resolve("kek.yaml");
    assertThat(run("keys", "rewrap", "-f", config, "-k", old, "--new-kek", kek)).isZero();
    assertThat(runLine("unwrap --check -k KEK -f DIR/config.yaml")).isZero();
    assertThat(runLine("rewrap -k KEK --new-kek KEK -f DIR/config.yaml --kind=device -o DIR/o"))
        .isZero();
    assertThat(runLine("unwrap --check -k KEK -f DIR/o --kind device")).isZero();
    assertThat(run("keys", "rewrap", "-f", config, "-k", old, "--new-kek", kek)).isEqualTo(1);
  }

  @Test
  void nothing_with_a_key_is_opened_before_the_process_is_prepared() throws Exception {
    programs.prepareFailure = Optional.of(new IOException("no library"));
    assertThat(runLine("generate kek -o DIR/new")).isEqualTo(1);
    assertThat(runLine("wrap -k DIR/missing -n psk_secret")).isEqualTo(1);
    assertThat(programs.calls).containsExactly("prepare", "prepare");
    assertThat(directory.resolve("new")).doesNotExist();
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "",
        "print",
        "generate",
        "generate rsa",
        "generate kek xts",
        "generate kek -k KEK",
        "generate xts --log-level loud",
        "wrap -k KEK",
        "wrap -n psk_secret",
        "wrap -k KEK -n psk_secret secret",
        "wrap -k KEK -n psk",
        "unwrap -k KEK -f x",
        "unwrap --check=false -k KEK -f x",
        "unwrap --check -f x",
        "unwrap --check -k KEK",
        "unwrap --check -k KEK -f x -n psk_secret",
        "unwrap --check -k KEK -n psk",
        "unwrap --check -k KEK -f x --kind disk",
        "rewrap -f x",
        "rewrap --new-kek KEK",
        "rewrap -f x --new-kek KEK --kind disk",
      })
  void a_wrong_command_line_exits_2(String arguments) {
    assertThat(runLine(arguments)).isEqualTo(2);
    assertThat(err.toString()).contains("Usage: keys");
    assertThat(programs.calls).isEmpty();
  }

  @Test
  void a_name_that_does_not_exist_is_answered_with_those_that_do() {
    assertThat(runLine("wrap -k KEK -n psk")).isEqualTo(2);
    assertThat(err.toString().replaceAll("\\s+", " "))
        .contains("--name must be one of " + String.join(", ", SecretName.all()))
        .contains("; the nearest to psk is psk_secret");
  }

  @ParameterizedTest
  @ValueSource(strings = {"wrap", "unwrap"})
  void help_has_every_name(String command) {
    assertThat(runLine(command + " --help")).isZero();
    assertThat(out.toString().replaceAll("\\s+", " "))
        .contains(String.join(", ", SecretName.all()));
  }

  @ParameterizedTest
  @ValueSource(strings = {"generate", "wrap", "unwrap", "rewrap"})
  void help_and_version_are_there(String command) {
    assertThat(runLine(command + " --help")).isZero();
    assertThat(out.toString()).contains("Usage: keys " + command, "Exit status:", "101");
    assertThat(runLine(command + " -V")).isZero();
    assertThat(out.toString()).contains("\nubiblk ");
  }

  @Test
  void the_programs_help_names_its_commands() {
    assertThat(runLine("--help")).isZero();
    assertThat(out.toString()).contains("generate", "wrap", "unwrap", "rewrap");
    assertThat(runLine("--version")).isZero();
  }
}
