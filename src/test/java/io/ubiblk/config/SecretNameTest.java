// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.config;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;

import io.ubiblk.secret.Hex;
import io.ubiblk.secret.Secret;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class SecretNameTest {
  @Test
  void every_name_is_found_by_its_text() {
    assertThat(SecretName.all()).hasSize(8);
    for (SecretName name : SecretName.values()) {
      assertThat(SecretName.of(name.text())).contains(name);
      assertThat(SecretName.nearest(name.text())).isEqualTo(name.text());
    }
  }

  @ParameterizedTest
  @CsvSource({
    "stripe_source.psk_secret, psk_secret",
    "credentials.access_key_id, access_key_id",
    "stripe_source.credentials.secret_access_key, secret_access_key",
    "stripe_source.archive_kek.key, archive_kek.key",
  })
  void a_path_of_a_message_is_a_name(String path, String name) {
    assertThat(SecretName.of(path).orElseThrow().text()).isEqualTo(name);
  }

  @ParameterizedTest
  @CsvSource({
    "encryption_key, encryption_key[0]",
    "encryption_key[2], encryption_key[0]",
    "psk, psk_secret",
    "stripe_source.psk_sekret, psk_secret",
    "secret_key, secret_access_key",
    "archive_key.key, archive_kek.key",
    "init_vector, archive_kek.init_vector",
  })
  void names_the_nearest_one(String typed, String meant) {
    assertThat(SecretName.of(typed)).isEmpty();
    assertThat(SecretName.nearest(typed)).isEqualTo(meant);
  }

  @ParameterizedTest
  @CsvSource({
    "encryption_key[0], 31, 'must be 32 bytes, is 31'",
    "encryption_key[1], 33, 'must be 32 bytes, is 33'",
    "psk_secret, 15, 'must be at least 16 bytes, is 15'",
    "access_key_id, 0, 'must be at least 1 bytes, is 0'",
    "archive_kek.key, 16, 'must be 32 bytes, is 16'",
    "archive_kek.init_vector, 16, 'must be 12 bytes, is 16'",
  })
  void a_wrong_length_is_refused(String name, int bytes, String sentence) {
    assertThat(refusal(name, Hex.secret("41".repeat(bytes)))).isEqualTo(sentence);
  }

  @ParameterizedTest
  @CsvSource({
    "encryption_key[0], 32",
    "psk_secret, 16",
    "psk_secret, 99",
    "secret_access_key, 1",
    "archive_kek.init_vector, 12",
    "archive_kek.auth_data, 0",
    "archive_kek.auth_data, 5",
  })
  void a_right_length_is_taken(String name, int bytes) {
    assertThat(SecretName.of(name).orElseThrow().refusal(Hex.secret("41".repeat(bytes)))).isEmpty();
  }

  @ParameterizedTest
  @ValueSource(strings = {"AKIA\n", "AKIA\r", "\tAKIA", "A\0", "A\u007f"})
  void credentials_are_one_line(String text) {
    assertThat(refusal("access_key_id", Secret.take(text.getBytes(UTF_8))))
        .isEqualTo("must be one line of UTF-8, with no line feed at its end");
  }

  @Test
  void credentials_are_utf_8() {
    assertThat(refusal("secret_access_key", Hex.secret("41ff"))).contains("one line of UTF-8");
    Secret text = Secret.take("schlüssel".getBytes(UTF_8));
    assertThat(SecretName.SECRET_ACCESS_KEY.refusal(text)).isEmpty();
  }

  private static String refusal(String name, Secret plain) {
    return SecretName.of(name).orElseThrow().refusal(plain).orElseThrow();
  }
}
