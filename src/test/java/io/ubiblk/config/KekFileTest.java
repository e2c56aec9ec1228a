// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.config;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assertions.assertTimeoutPreemptively;

import io.ubiblk.secret.Hex;
import io.ubiblk.secret.KeyEncryption;
import io.ubiblk.secret.Secret;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.security.SecureRandom;
import java.time.Duration;
import java.util.Base64;
import java.util.HexFormat;
import java.util.concurrent.CompletableFuture;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class KekFileTest {
  private static final String KEY = base64("11".repeat(32));
  private static final String GOOD =
      "method: aes256-gcm\nkey: "
          + KEY
          + "\ninit_vector: IiIiIiIiIiIiIiIi\nauth_data: dGVzdC1hYWQ=\n";
  private static final String WITHOUT_VECTOR = "method: aes256-gcm\nkey: " + KEY + "\n";

  @TempDir private Path directory;
  private ConfigFixture fixture;

  @BeforeEach
  void makeFixture() {
    fixture = new ConfigFixture(directory);
  }

  private static String base64(String hex) {
    return Base64.getEncoder().encodeToString(HexFormat.of().parseHex(hex));
  }

  private static String wrappedConfig() throws IOException {
    return Files.readString(ConfigFixture.vector("config-wrapped.yaml"));
  }

  private String openingRefusal(String kek, String config) throws ConfigException {
    try (KekFile file = fixture.kek(kek)) {
      return fixture.refusal(() -> fixture.device(file, config));
    }
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "key: QQ== | method: is required, but not there",
        "method: | method: must be one of none, aes256-gcm, is null (line 1)",
        "method: aes128 | method: must be one of none, aes256-gcm, is a string (line 1)",
        "{method: none, key: Q} | key: is not canonical base64 (line 1)",
        "{method: none, key: [Q]} | key: must be base64, is a list (line 1)",
        "{method: none, method: none} | method: is there twice (line 1)",
        "- method | is not a mapping of keys to values",
      })
  void what_a_kek_file_lacks_is_named(String yaml, String message) {
    assertThat(fixture.refusal(() -> fixture.kek(yaml))).isEqualTo("kek.yaml: " + message);
  }

  @Test
  void method_none_leaves_values_as_they_are() throws Exception {
    try (KekFile kek = fixture.kek("method: none\nkey: QQ==\n");
        Secret value = Hex.secret("01")) {
      assertThat(Hex.of(kek.keyEncryption().open("n", value))).isEqualTo("01");
    }
  }

  @Test
  void values_are_judged_when_they_are_needed() throws Exception {
    String short31 = GOOD.replace(KEY, base64("11".repeat(31)));
    assertThat(fixture.kek(short31)).isNotNull();
    assertThat(fixture.kek("method: aes256-gcm\n")).isNotNull();
    assertThat(fixture.device(fixture.kek(short31), "path: /d").path()).isEqualTo("/d");
    String sentence = "vm.yaml: encryption_key[0]: ";
    assertThat(openingRefusal(short31, wrappedConfig()))
        .isEqualTo(sentence + "does not open: the KEK's key must be 32 bytes, is 31");
    assertThat(
            openingRefusal(GOOD.replace("IiIiIiIiIiIiIiIi", "IiIiIiIiIiIiIiI="), wrappedConfig()))
        .isEqualTo(sentence + "does not open: the KEK's init_vector must be 12 bytes, is 11");
    assertThat(
            openingRefusal(GOOD.replace("auth_data: dGVzdC1hYWQ=", "auth_data:"), wrappedConfig()))
        .startsWith(sentence + "does not open: the KEK has init_vector but no auth_data");
    assertThat(openingRefusal("method: aes256-gcm\nkey: ~\n", wrappedConfig()))
        .isEqualTo(sentence + "is wrapped, and the KEK has no key");
    assertThat(openingRefusal(GOOD, "path: /d\nencryption_key: [\"\", \"\"]"))
        .contains("a wrapped value has at least 16");
  }

  @Test
  void empty_auth_data_is_not_absent() throws Exception {
    assertThat(openingRefusal(GOOD.replace("dGVzdC1hYWQ=", "\"\""), wrappedConfig()))
        .contains("does not open under the KEK");
  }

  @Test
  void a_wrong_kek_is_told_before_a_mistake_of_logic() throws Exception {
    String wrong = GOOD.replace(KEY, base64("12".repeat(32)));
    String config = wrappedConfig() + "image_path: /i\nnum_queues: 64\nqueue_size: 100\n";
    assertThat(openingRefusal(wrong, config)).contains("encryption_key[0]: does not open");
    assertThat(openingRefusal(GOOD, config)).contains("num_queues: must be 1 to 63, is 64");
    String inRange = wrappedConfig() + "image_path: /i\n";
    assertThat(openingRefusal(wrong, inRange)).contains("encryption_key[0]: does not open");
    assertThat(openingRefusal(GOOD, inRange)).contains("metadata_path: is required");
  }

  @Test
  void a_mistake_of_type_is_told_before_a_wrong_kek() throws Exception {
    String wrong = GOOD.replace(KEY, base64("12".repeat(32)));
    for (String line :
        new String[] {
          "num_queues: 18446744073709551616", "device_id: 123456789012345678901", "autofetch: on"
        }) {
      assertThat(openingRefusal(wrong, wrappedConfig() + line + "\n"))
          .startsWith("vm.yaml: " + line.split(":", 2)[0]);
    }
  }

  @Test
  void keys_are_opened_before_the_secrets_of_the_source() throws Exception {
    String source =
        "copy_on_read: true\nmetadata_path: /m\n"
            + "stripe_source: {source: archive, type: s3, bucket: b,"
            + " credentials: {access_key_id: \"QQ==\", secret_access_key: \"QQ==\"},"
            + " archive_kek: {method: aes256-gcm, key: \"QQ==\", init_vector: \"QQ==\"}}\n";
    String keys = wrappedConfig();
    assertThat(openingRefusal(WITHOUT_VECTOR, keys + source)).contains(": encryption_key[0]: ");
    assertThat(openingRefusal(GOOD, keys + source))
        .contains(": stripe_source.archive_kek.key: does not open");
    assertThat(openingRefusal(GOOD, keys + source.replace("key: \"QQ==\", init", "init")))
        .contains(": stripe_source.archive_kek.init_vector: does not open");
    assertThat(openingRefusal(GOOD, keys + source.replaceAll(", archive_kek: [{][^}]*[}]", "")))
        .contains(": stripe_source.credentials.access_key_id: does not open");
  }

  @Test
  void new_values_are_wrapped_with_their_own_nonce_and_bound_to_their_key() throws Exception {
    try (KekFile kek = fixture.kek(WITHOUT_VECTOR)) {
      String first = sealed(kek, "encryption_key[0]", "aa".repeat(32));
      String second = sealed(kek, "encryption_key[1]", "bb".repeat(32));
      String shape = "path: /d\nencryption_key: [%s, %s]\n";
      DeviceConfig config = fixture.device(kek, shape.formatted(first, second));
      String opened =
          config.encryptionKey().orElseThrow().handOver((data, tweak) -> data[0] + " " + tweak[0]);
      assertThat(opened).isEqualTo("-86 -69");
      assertThat(fixture.refusal(() -> fixture.device(kek, shape.formatted(second, first))))
          .contains("encryption_key[0]: does not open under the KEK");
    }
  }

  @Test
  void every_secret_has_a_name_to_be_bound_to() throws Exception {
    try (KekFile kek = fixture.kek(WITHOUT_VECTOR)) {
      String s3 =
          """
          path: /d
          copy_on_read: true
          metadata_path: /m
          stripe_source:
            source: archive
            type: s3
            bucket: b
            credentials: {access_key_id: "%s", secret_access_key: "%s"}
            archive_kek: {method: aes256-gcm, key: "%s", init_vector: "%s", auth_data: "%s"}
          """
              .formatted(
                  sealed(kek, "access_key_id", "41"),
                  sealed(kek, "secret_access_key", "42"),
                  sealed(kek, "archive_kek.key", "33".repeat(32)),
                  sealed(kek, "archive_kek.init_vector", "44".repeat(12)),
                  sealed(kek, "archive_kek.auth_data", ""));
      var archive =
          (StripeSourceConfig.Archive) fixture.device(kek, s3).stripeSource().orElseThrow();
      var target = (ArchiveTargetConfig.S3) archive.target();
      assertThat(Hex.of(target.credentials().orElseThrow().accessKeyId())).isEqualTo("41");
      String remote =
          """
          path: /d
          copy_on_read: true
          metadata_path: /m
          stripe_source: {source: remote, address: a, psk_identity: i, psk_secret: "%s"}
          """
              .formatted(sealed(kek, "psk_secret", "0102"));
      var server =
          (StripeSourceConfig.Remote) fixture.device(kek, remote).stripeSource().orElseThrow();
      assertThat(Hex.of(server.server().pskSecret().orElseThrow())).isEqualTo("0102");
    }
  }

  private static String sealed(KekFile kek, String name, String hex) throws Exception {
    KeyEncryption encryption = kek.keyEncryption();
    return Base64.getEncoder()
        .encodeToString(encryption.seal(name, Hex.secret(hex), new SecureRandom()));
  }

  @Test
  void a_fifo_is_opened_once_and_read_to_its_end() throws Exception {
    Path fifo = directory.resolve("kek.fifo");
    assertThat(new ProcessBuilder("mkfifo", fifo.toString()).start().waitFor()).isZero();
    CompletableFuture<Void> writer =
        CompletableFuture.runAsync(
            () -> {
              // In two pieces, so that one read does not get it all.
              try (var out = Files.newOutputStream(fifo)) {
                out.write(GOOD.substring(0, 20).getBytes(UTF_8));
                out.flush();
                out.write(GOOD.substring(20).getBytes(UTF_8));
              } catch (IOException e) {
                throw new UncheckedIOException(e);
              }
            });
    assertTimeoutPreemptively(
        Duration.ofSeconds(20),
        () -> {
          try (KekFile kek = KekFile.load(fifo, fixture.warnings::add)) {
            assertThat(fixture.device(kek, wrappedConfig()).encryptionKey()).isPresent();
            kek.unlink();
          }
          writer.get();
        });
    assertThat(fifo).doesNotExist();
  }

  @Test
  void unlink_removes_the_path() throws Exception {
    Path target = fixture.file("real.yaml", GOOD);
    Path link = Files.createSymbolicLink(directory.resolve("link.yaml"), target);
    KekFile kek = KekFile.load(link, fixture.warnings::add);
    assertThat(link).exists();
    kek.unlink();
    assertThat(Files.exists(link, LinkOption.NOFOLLOW_LINKS)).isFalse();
    assertThat(target).exists();
  }

  @Test
  void unlink_fails_when_there_is_nothing_to_remove() throws Exception {
    KekFile kek = fixture.kek(GOOD);
    kek.unlink();
    assertThat(fixture.refusal(kek::unlink))
        .isEqualTo("kek.yaml: cannot be removed: it does not exist");
  }

  @Test
  void a_file_that_does_not_parse_stays() {
    assertThat(fixture.refusal(() -> fixture.kek("method: ["))).startsWith("kek.yaml: is not YAML");
    assertThat(directory.resolve("kek.yaml")).exists();
  }

  @Test
  void unknown_keys_warn() throws Exception {
    fixture.kek("method: none\ninit_vektor: x\n").close();
    assertThat(fixture.warnings)
        .hasSize(1)
        .first()
        .asString()
        .endsWith("init_vektor: unknown key is ignored; the nearest known one is init_vector");
  }
}
