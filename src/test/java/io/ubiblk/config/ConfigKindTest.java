// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.config;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class ConfigKindTest {
  private static ConfigKind kind(String yaml) throws ConfigException {
    try (var file = new ConfigFile("f", unused -> {})) {
      return ConfigKind.of(file, file.mapping(yaml.getBytes(UTF_8)));
    }
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "path: /d                          | device",
        "{path: /d, socket: /s}            | device",
        "{path: /d, encryption_key: []}    | device",
        "{address: 'h:1'}                  | remote",
        "{psk_secret: x}                   | remote",
        "{type: filesystem, path: /a}      | archive",
        "{bucket: b}                       | archive",
        "{archive_kek: {}}                 | archive",
        "{unknown: x}                      | device",
      })
  void a_file_is_known_by_its_keys(String yaml, String kind) throws ConfigException {
    assertThat(kind(yaml)).isEqualTo(ConfigKind.of(kind).orElseThrow());
    assertThat(kind(yaml).text()).isEqualTo(kind);
  }

  @Test
  void keys_of_several_kinds_are_not_guessed_about() {
    assertThatThrownBy(() -> kind("{path: /d, type: s3, socket: /s}"))
        .isInstanceOf(ConfigException.class)
        .hasMessage(
            "f: has keys of more than one kind of file: device has socket, archive has type; say"
                + " which it is");
  }

  @Test
  void other_words_are_no_kind() {
    assertThat(ConfigKind.of("Device")).isEmpty();
    assertThat(ConfigKind.of("kek")).isEmpty();
  }
}
