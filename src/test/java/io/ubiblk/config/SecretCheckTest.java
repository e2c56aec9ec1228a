// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.config;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.ubiblk.secret.Hex;
import io.ubiblk.secret.Secret;
import java.io.IOException;
import java.nio.file.Path;
import java.security.SecureRandom;
import java.util.Base64;
import java.util.Optional;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class SecretCheckTest {
  private static final String OWN_NONCE =
      "method: aes256-gcm\nkey: ERERERERERERERERERERERERERERERERERERERERERE=\n";

  @TempDir private Path directory;
  private final StringBuilder out = new StringBuilder();
  private ConfigFixture fixture;

  @BeforeEach
  void makeFixture() {
    fixture = new ConfigFixture(directory);
  }

  private void check(Path path, KekFile kek) throws ConfigException, IOException {
    SecretCheck.file(path, Optional.empty(), kek, out, fixture.warnings::add);
  }

  private static KekFile vectorKek() throws ConfigException {
    return KekFile.load(ConfigFixture.vector("kek.yaml"), unused -> {});
  }

  private static String sealed(KekFile kek, String name, String hex) throws Exception {
    try (Secret plain = Hex.secret(hex)) {
      return Base64.getEncoder()
          .encodeToString(kek.keyEncryption().seal(name, plain, new SecureRandom()));
    }
  }

  @Test
  void every_value_that_opens_is_named_with_its_dialect() throws Exception {
    try (KekFile kek = vectorKek()) {
      check(ConfigFixture.vector("config-wrapped.yaml"), kek);
      check(ConfigFixture.vector("remote-wrapped.yaml"), kek);
      check(ConfigFixture.vector("s3-wrapped.yaml"), kek);
      check(ConfigFixture.vector("archive-target-wrapped.yaml"), kek);
    }
    assertThat(out.toString().lines().map(line -> line.split(": ", -1)[0]))
        .containsExactly(
            "encryption_key[0]",
            "encryption_key[1]",
            "psk_secret",
            "credentials.access_key_id",
            "credentials.secret_access_key",
            "archive_kek.key",
            "archive_kek.init_vector",
            "archive_kek.auth_data");
    assertThat(out.toString().lines())
        .allMatch(
            line -> line.endsWith(": opens; wrapped with the KEK's init_vector, so rewrap it"));
  }

  @Test
  void the_safe_dialect_is_told_from_the_other() throws Exception {
    try (KekFile kek = fixture.kek(OWN_NONCE)) {
      String yaml =
          "path: /d\nencryption_key: [%s, %s]\n"
              .formatted(
                  sealed(kek, "encryption_key[0]", "aa".repeat(32)),
                  sealed(kek, "encryption_key[1]", "bb".repeat(32)));
      check(fixture.file("vm.yaml", yaml), kek);
    }
    assertThat(out)
        .hasToString(
            """
            encryption_key[0]: opens; wrapped with its own nonce, bound to its name
            encryption_key[1]: opens; wrapped with its own nonce, bound to its name
            """);
    out.setLength(0);
    try (KekFile kek = fixture.kek(OWN_NONCE + "auth_data: QQ==\n")) {
      String yaml =
          "address: h:1\npsk_identity: i\npsk_secret: " + sealed(kek, "n", "01".repeat(16));
      check(fixture.file("vm.yaml", yaml), kek);
    }
    assertThat(out)
        .hasToString("psk_secret: opens; wrapped with its own nonce, not bound to its name\n");
  }

  @Test
  void every_value_is_tried_also_after_one_that_does_not_open() throws Exception {
    try (KekFile kek = fixture.kek(OWN_NONCE)) {
      String second = sealed(kek, "encryption_key[1]", "bb".repeat(32));
      Path path =
          fixture.file("vm.yaml", "path: /d\nencryption_key: [%s, %1$s]\n".formatted(second));
      assertThat(fixture.refusal(() -> check(path, kek)))
          .isEqualTo("vm.yaml: 1 of 2 values do not open");
    }
    assertThat(out)
        .hasToString(
            """
            encryption_key[0]: does not open under the KEK: another KEK sealed it, or it was altered
            encryption_key[1]: opens; wrapped with its own nonce, bound to its name
            """);
  }

  @Test
  void what_opens_and_does_not_load_is_refused() throws Exception {
    try (KekFile kek = fixture.kek(OWN_NONCE)) {
      String yaml =
          "path: /d\nencryption_key: [%s, %s]\n"
              .formatted(
                  sealed(kek, "encryption_key[0]", "aa".repeat(31)),
                  sealed(kek, "encryption_key[1]", "bb".repeat(32)));
      Path path = fixture.file("vm.yaml", yaml);
      assertThat(fixture.refusal(() -> check(path, kek)))
          .isEqualTo("vm.yaml: encryption_key[0]: must be 32 bytes, is 31");
    }
  }

  @Test
  void a_kek_of_method_none_says_that_nothing_is_wrapped() throws Exception {
    try (KekFile kek = fixture.kek("method: none\n")) {
      check(ConfigFixture.vector("config-plain.yaml"), kek);
    }
    assertThat(out.toString().lines())
        .hasSize(2)
        .allMatch(line -> line.endsWith(": is not wrapped, says the KEK file: its method is none"));
  }

  @Test
  void one_value_is_tried_under_its_name() throws Exception {
    try (KekFile kek = fixture.kek(OWN_NONCE);
        Secret value = wrapped(sealed(kek, "psk_secret", "01".repeat(16)));
        Secret tooShort = wrapped(sealed(kek, "psk_secret", "01".repeat(15)))) {
      SecretCheck.value(SecretName.PSK_SECRET, value, kek, out);
      assertThat(out)
          .hasToString("psk_secret: opens; wrapped with its own nonce, bound to its name\n");
      assertThatThrownBy(() -> SecretCheck.value(SecretName.ACCESS_KEY_ID, value, kek, out))
          .isInstanceOf(ConfigException.class)
          .hasMessage("the value does not open");
      assertThatThrownBy(() -> SecretCheck.value(SecretName.PSK_SECRET, tooShort, kek, out))
          .isInstanceOf(ConfigException.class)
          .hasMessage("the value opens, but must be at least 16 bytes, is 15");
    }
    assertThat(out.toString())
        .contains("access_key_id: does not open under the KEK")
        .endsWith("psk_secret: must be at least 16 bytes, is 15\n");
  }

  private static Secret wrapped(String base64) {
    return Secret.take(Base64.getDecoder().decode(base64));
  }
}
