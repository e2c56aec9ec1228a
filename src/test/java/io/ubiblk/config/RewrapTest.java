// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.config;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.ubiblk.secret.Hex;
import io.ubiblk.secret.KeyEncryption;
import io.ubiblk.secret.Secret;
import io.ubiblk.secret.StrictBase64;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.security.SecureRandom;
import java.util.Base64;
import java.util.HexFormat;
import java.util.List;
import java.util.Optional;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class RewrapTest {
  private static final String NEW_KEK =
      "method: aes256-gcm\nkey: " + base64("77".repeat(32)) + "\n";
  private static final Pattern BASE64 = Pattern.compile("\"([A-Za-z0-9+/]{30,}=*)\"");

  @TempDir private Path directory;
  private ConfigFixture fixture;
  private Path config;

  @BeforeEach
  void makeFixture() {
    fixture = new ConfigFixture(directory);
    config = directory.resolve("vm.yaml");
  }

  private static String base64(String hex) {
    return Base64.getEncoder().encodeToString(HexFormat.of().parseHex(hex));
  }

  private Path copyOf(String vector) throws IOException {
    return Files.copy(ConfigFixture.vector(vector), config);
  }

  private KekFile vectorKek() throws ConfigException {
    return KekFile.load(ConfigFixture.vector("kek.yaml"), fixture.warnings::add);
  }

  private KekFile newKek() throws ConfigException {
    return fixture.kek(NEW_KEK);
  }

  private void rewrap(KekFile from, KekFile to) throws ConfigException, IOException {
    rewrap(from, to, new SecureRandom());
  }

  private void rewrap(KekFile from, KekFile to, SecureRandom random)
      throws ConfigException, IOException {
    var request = new Rewrap.Request(config, Optional.empty(), Optional.empty());
    Rewrap.run(request, from, to, random, fixture.warnings::add);
  }

  private List<String> names() throws IOException {
    try (Stream<Path> files = Files.list(directory)) {
      return files.map(path -> path.getFileName().toString()).sorted().toList();
    }
  }

  /** Refused with this sentence about the configuration, which stays as it is. */
  private void assertRefused(String yaml, KekFile from, String sentence) throws Exception {
    Files.writeString(config, yaml);
    try (KekFile to = newKek()) {
      assertThat(fixture.refusal(() -> rewrap(from, to))).isEqualTo("vm.yaml: " + sentence);
    }
    assertThat(Files.readString(config)).isEqualTo(yaml);
    assertThat(names()).containsExactly("kek.yaml", "vm.yaml");
  }

  @ParameterizedTest
  @CsvSource({
    "config-wrapped.yaml, 000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
        + " 808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f,"
        + " encryption_key[0] encryption_key[1]",
    "remote-wrapped.yaml, 30313233343536373839414243444546, psk_secret",
    "s3-wrapped.yaml, 414b4941564543544f52564543544f5230303031"
        + " 766563746f722d7365637265742d6b65792d30303031, access_key_id secret_access_key",
    "archive-target-wrapped.yaml, 3333333333333333333333333333333333333333333333333333333333333333"
        + " 444444444444444444444444 617263686976652d616164,"
        + " archive_kek.key archive_kek.init_vector archive_kek.auth_data",
  })
  void files_of_others_come_into_the_dialect_that_binds(String vector, String secrets, String names)
      throws Exception {
    String before = Files.readString(copyOf(vector));
    try (KekFile from = vectorKek();
        KekFile to = newKek()) {
      rewrap(from, to);
      String after = Files.readString(config);
      assertThat(BASE64.matcher(after).replaceAll("\"…\""))
          .isEqualTo(BASE64.matcher(before).replaceAll("\"…\""));
      Matcher values = BASE64.matcher(after);
      for (int i = 0; i < secrets.split(" ", -1).length; i++) {
        assertThat(values.find()).isTrue();
        try (Secret wrapped = StrictBase64.decode(values.group(1));
            Secret plain = to.keyEncryption().open(names.split(" ", -1)[i], wrapped)) {
          assertThat(Hex.of(plain)).isEqualTo(secrets.split(" ", -1)[i]);
        }
      }
    }
    assertThat(fixture.warnings).isEmpty();
    assertThat(names()).containsExactly("kek.yaml", "vm.yaml");
  }

  @Test
  void a_file_that_was_rewrapped_is_rewrapped_again() throws Exception {
    copyOf("config-wrapped.yaml");
    try (KekFile first = vectorKek();
        KekFile second = newKek()) {
      rewrap(first, second);
      String once = Files.readString(config);
      rewrap(second, second);
      assertThat(Files.readString(config)).hasSameSizeAs(once).isNotEqualTo(once);
      ConfigLoader.load(config, second, fixture.warnings::add).close();
      assertThatThrownBy(() -> rewrap(first, second)).isInstanceOf(ConfigException.class);
    }
  }

  @Test
  void secrets_in_clear_become_wrapped() throws Exception {
    copyOf("config-plain.yaml");
    try (KekFile to = newKek()) {
      rewrap(null, to);
      ConfigLoader.load(config, to, fixture.warnings::add).close();
    }
    assertThat(Files.readString(config)).doesNotContain("AAECAwQFBgcICQoL");
  }

  @Test
  void the_published_sample_is_refused_and_stays() throws Exception {
    JsonNode sample =
        new ObjectMapper()
            .readTree(ConfigFixture.vector("readme_sample_is_not_valid.json").toFile());
    String yaml =
        "path: /d\nencryption_key:\n- %s\n- %s\n"
            .formatted(
                sample.get("encryption_key_base64").get(0).asText(),
                sample.get("encryption_key_base64").get(1).asText());
    Path oldKek =
        Files.writeString(
            Files.createDirectory(directory.resolve("old")).resolve("kek.yaml"),
            "method: aes256-gcm\nkey: %s\ninit_vector: %s\nauth_data: %s\n"
                .formatted(
                    base64(sample.get("kek_key").asText()),
                    base64(sample.get("init_vector").asText()),
                    base64(sample.get("auth_data").asText())));
    Files.writeString(config, yaml);
    try (KekFile from = KekFile.load(oldKek, fixture.warnings::add);
        KekFile to = newKek()) {
      assertThat(fixture.refusal(() -> rewrap(from, to)))
          .contains("encryption_key[0]: does not open under the KEK");
    }
    assertThat(Files.readString(config)).isEqualTo(yaml);
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "{method: aes256-gcm, key: K, init_vector: QUFBQUFBQUFBQUFB} | init_vector: must not be",
        "{method: none} | method: is none, which wraps nothing",
        "{method: aes256-gcm} | key: is required, but not there",
        "{method: aes256-gcm, key: QQ==} | key: must be 32 bytes, is 1",
      })
  void a_new_kek_that_wraps_nothing_is_refused(String yaml, String sentence) throws Exception {
    String before = Files.readString(copyOf("config-plain.yaml"));
    try (KekFile to = fixture.kek(yaml.replace("K,", base64("11".repeat(32)) + ","))) {
      assertThat(fixture.refusal(() -> rewrap(null, to))).startsWith("kek.yaml: " + sentence);
    }
    assertThat(Files.readString(config)).isEqualTo(before);
  }

  @Test
  void a_new_kek_with_auth_data_binds_no_names_and_warns() throws Exception {
    copyOf("config-plain.yaml");
    try (KekFile to = fixture.kek(NEW_KEK + "auth_data: QQ==\n")) {
      rewrap(null, to);
      ConfigLoader.load(config, to, fixture.warnings::add).close();
    }
    assertThat(fixture.warnings).hasSize(1).first().asString().contains("not bound to their names");
  }

  @Test
  void a_file_without_secrets_is_refused() throws Exception {
    assertRefused("path: /d\n", null, "has no secrets, so there is nothing to wrap");
  }

  @Test
  void a_file_that_does_not_load_is_refused() throws Exception {
    String key = base64("01".repeat(32));
    String keys = "encryption_key: [" + key + ", " + key.replace('B', 'F') + "]\n";
    assertRefused("num_queues: 1\n" + keys, null, "path: is required, but not there");
    assertRefused("path: /d\nnum_queues: 64\n" + keys, null, "num_queues: must be 1 to 63, is 64");
  }

  @Test
  void secrets_that_are_wrapped_already_are_not_taken_for_plain_keys() throws Exception {
    assertRefused(
        Files.readString(ConfigFixture.vector("config-wrapped.yaml")),
        null,
        "encryption_key[0]: must be 32 bytes, is 48");
  }

  @ParameterizedTest
  @CsvSource({
    "archive-target-wrapped.yaml, 'archive_kek.key: must be 32 bytes, is 48'",
    "s3-wrapped.yaml, 'credentials.access_key_id: is not UTF-8'",
  })
  void other_secrets_that_are_wrapped_already_are_told_where_they_can_be(
      String vector, String sentence) throws Exception {
    String yaml = Files.readString(copyOf(vector));
    try (KekFile to = newKek()) {
      assertThat(fixture.refusal(() -> rewrap(null, to))).startsWith("vm.yaml: " + sentence);
    }
    assertThat(Files.readString(config)).isEqualTo(yaml);
  }

  @Test
  void one_text_for_two_names_is_refused_with_both_lines() throws Exception {
    String key = base64("01".repeat(32));
    assertRefused(
        "path: /d\nencryption_key:\n- &k " + key + "\n- *k\n",
        null,
        "encryption_key[0] and encryption_key[1] are one value (lines 3 and 4), and a wrapped value"
            + " is bound to one name; write it once for each");
    assertRefused(
        """
        path: /d
        metadata_path: /m
        copy_on_read: true
        encryption_key:
        - &k "%s"
        - "%s"
        stripe_source:
          source: remote
          address: h:1
          psk_identity: i
          psk_secret: *k
        """
            .formatted(key, base64("02".repeat(32))),
        null,
        "stripe_source.psk_secret and encryption_key[0] are one value (lines 5 and 11), and a"
            + " wrapped value is bound to one name; write it once for each");
  }

  @Test
  void a_text_that_is_a_setting_as_well_is_refused() throws Exception {
    assertRefused(
        "address: h:1\npsk_identity: &i QUJDREVGR0hJSktMTU5PUFFS\npsk_secret: *i\n",
        null,
        "psk_identity and psk_secret are one value (lines 2 and 3), and a wrapped value is bound to"
            + " one name; write it once for each");
  }

  @Test
  void a_text_that_stands_elsewhere_is_wrapped_there() throws Exception {
    String shape =
        """
        keys: # ignored by every program
          data: &data "%s" # data
          tweak: &tweak '%s'
        path: /d
        encryption_key: [*data, *tweak]
        """;
    Files.writeString(config, shape.formatted(base64("01".repeat(32)), base64("02".repeat(32))));
    try (KekFile to = newKek()) {
      rewrap(null, to);
      ConfigLoader.load(config, to, fixture.warnings::add).close();
    }
    assertThat(Files.readString(config).replaceAll("(\"|')[A-Za-z0-9+/=]{80}(\"|')", "$1%s$2"))
        .isEqualTo(shape);
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "&a type: filesystem | the result would not load: ",
        "type: filesystem    | the result would load to something else",
      })
  void a_result_that_loads_to_something_else_is_not_kept(String type, String sentence)
      throws Exception {
    // The secret is an alias of the name of a key, so the key is renamed with it.
    String yaml =
        sentence.contains("not load")
            ? type + "\npath: /a\narchive_kek: {method: none, auth_data: *a}\n"
            : """
            path: /d
            metadata_path: /m
            copy_on_read: true
            &a cpus: [0]
            stripe_source: {source: archive, %s, path: /a, archive_kek: {method: none, auth_data: *a}}
            """
                .formatted(type);
    Files.writeString(config, yaml);
    try (KekFile to = newKek()) {
      assertThatThrownBy(() -> rewrap(null, to))
          .isInstanceOf(IOException.class)
          .hasMessageStartingWith(config + ": cannot be rewrapped: " + sentence);
    }
    assertThat(Files.readString(config)).isEqualTo(yaml);
    assertThat(names()).containsExactly("kek.yaml", "vm.yaml");
  }

  @Test
  void an_edit_that_was_made_meanwhile_is_not_lost() throws Exception {
    copyOf("config-plain.yaml");
    // Nonces are drawn after the file was read.
    SecureRandom editor =
        new SecureRandom() {
          private static final long serialVersionUID = 1L;

          @Override
          public void nextBytes(byte[] bytes) {
            try {
              Files.writeString(config, "# edited\n", UTF_8, StandardOpenOption.APPEND);
            } catch (IOException e) {
              throw new UncheckedIOException(e);
            }
            super.nextBytes(bytes);
          }
        };
    try (KekFile to = newKek()) {
      assertThat(fixture.refusal(() -> rewrap(null, to, editor)))
          .isEqualTo("vm.yaml: was changed meanwhile; nothing was written");
    }
    assertThat(Files.readString(config)).contains("AAECAwQF").endsWith("# edited\n# edited\n");
    assertThat(names()).containsExactly("kek.yaml", "vm.yaml");
  }

  @Test
  void the_result_may_go_elsewhere_and_overwrites_nothing() throws Exception {
    String before = Files.readString(copyOf("config-plain.yaml"));
    Path output = directory.resolve("new.yaml");
    var request = new Rewrap.Request(config, Optional.of(ConfigKind.DEVICE), Optional.of(output));
    try (KekFile to = newKek()) {
      Rewrap.run(request, null, to, new SecureRandom(), fixture.warnings::add);
      ConfigLoader.load(output, to, fixture.warnings::add).close();
      byte[] first = Files.readAllBytes(output);
      assertThatThrownBy(
              () -> Rewrap.run(request, null, to, new SecureRandom(), fixture.warnings::add))
          .isInstanceOf(IOException.class)
          .hasMessageContaining("is there already");
      assertThat(output).hasBinaryContent(first);
    }
    assertThat(Files.readString(config)).isEqualTo(before);
    assertThat(Files.getPosixFilePermissions(output)).hasSize(2);
  }

  @Test
  void a_link_leads_to_the_file_that_is_rewrapped() throws Exception {
    Path target = Files.copy(ConfigFixture.vector("config-plain.yaml"), directory.resolve("real"));
    Files.createSymbolicLink(config, Path.of("real"));
    try (KekFile to = newKek()) {
      rewrap(null, to);
      ConfigLoader.load(target, to, fixture.warnings::add).close();
    }
    assertThat(Files.isSymbolicLink(config)).isTrue();
  }

  @Test
  void the_kind_that_is_given_is_what_the_file_is_read_as() throws Exception {
    Files.writeString(config, "address: h:1\npsk_identity: i\npsk_secret: " + "QUJD".repeat(6));
    var request = new Rewrap.Request(config, Optional.of(ConfigKind.ARCHIVE), Optional.empty());
    try (KekFile to = newKek()) {
      assertThat(
              fixture.refusal(
                  () -> Rewrap.run(request, null, to, new SecureRandom(), fixture.warnings::add)))
          .isEqualTo("vm.yaml: type: is required, but not there");
    }
  }

  @Test
  void a_value_is_wrapped_as_one_that_came_from_elsewhere_in_the_same_dialect() throws Exception {
    JsonNode vector =
        new ObjectMapper()
            .readTree(Path.of("src/test/resources/vectors/head/wrapped_secret_v2.json").toFile());
    // Recorded elsewhere under another name, which auth_data stands for.
    String kek =
        "method: aes256-gcm\nkey: %s\nauth_data: %s\n"
            .formatted(
                base64(vector.get("key").asText()),
                Base64.getEncoder().encodeToString(vector.get("aad").asText().getBytes(UTF_8)));
    Path old = Files.createDirectory(directory.resolve("old")).resolve("kek.yaml");
    Files.writeString(old, kek);
    Files.writeString(
        config,
        "address: h:1\npsk_identity: i\npsk_secret: %s\n"
            .formatted(vector.get("value_base64").asText()));
    try (KekFile from = KekFile.load(old, fixture.warnings::add);
        KekFile to = newKek()) {
      rewrap(from, to);
      RemoteConfig remote = ConfigLoader.loadRemote(config, to, fixture.warnings::add);
      assertThat(Hex.of(remote.pskSecret().orElseThrow()))
          .isEqualTo(vector.get("plaintext").asText());
      assertThat(to.keyEncryption().dialect()).isEqualTo(KeyEncryption.Dialect.OWN_NONCE);
    }
  }
}
