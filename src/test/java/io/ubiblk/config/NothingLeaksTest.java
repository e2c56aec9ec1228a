// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.config;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.ubiblk.secret.KeyEncryption;
import io.ubiblk.secret.Secret;
import java.nio.file.Path;
import java.security.SecureRandom;
import java.util.ArrayList;
import java.util.Base64;
import java.util.List;
import java.util.Optional;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** A marked secret at every place that may hold one, wrong in every way: no message repeats it. */
class NothingLeaksTest {
  private static final String MARKER = "5ecretMarker5ecretMarker5ecretMa";
  private static final String BASE64 = Base64.getEncoder().encodeToString(MARKER.getBytes(UTF_8));

  /** Forms that are refused, and two that are not. */
  private static final List<String> VALUES =
      List.of(
          BASE64,
          '"' + BASE64 + '"',
          MARKER,
          BASE64 + "=",
          '"' + BASE64 + " \"",
          "[" + BASE64 + "]",
          "{" + BASE64 + ": " + BASE64 + "}",
          "{a: " + BASE64 + "}",
          "!!binary " + BASE64,
          "!" + MARKER + " x",
          "*" + MARKER,
          "&" + MARKER + " *" + MARKER,
          "\"" + BASE64,
          "\"\\" + MARKER + "\"",
          "\"\\x" + MARKER + "\"",
          "@" + MARKER,
          "%" + MARKER,
          "|" + MARKER,
          "|\n    " + BASE64 + "\n   " + BASE64,
          BASE64 + ": " + BASE64,
          BASE64 + "\n" + BASE64 + ": x",
          "[" + BASE64,
          "\"" + MARKER + "\0\"",
          "\"" + MARKER + "\\uD800\"",
          "123456789 # " + MARKER,
          "~");

  @TempDir private Path directory;
  private ConfigFixture fixture;

  @BeforeEach
  void makeFixture() {
    fixture = new ConfigFixture(directory);
  }

  private static Stream<String> values() {
    return VALUES.stream();
  }

  @ParameterizedTest
  @MethodSource("values")
  void in_a_configuration(String value) {
    List<String> places =
        List.of(
            "encryption_key: [\"%1$s\", %1$s]",
            "encryption_key:\n  - %s\n  - QQ==",
            "encryption_key: %s",
            "encryption_key:\n  - QQ==\n  - QQ==\n  - %s",
            "unknown: %s",
            "stripe_source: {source: remote, address: a, psk_identity: i, psk_secret: %s}",
            "stripe_source:\n  source: remote\n  address: a\n  psk_secret: %s",
            "stripe_source: {source: archive, type: s3, bucket: b, credentials: %s}",
            "stripe_source:\n  source: archive\n  type: s3\n  bucket: b\n  credentials:\n"
                + "    access_key_id: %1$s\n    secret_access_key: %1$s",
            "stripe_source:\n  source: archive\n  type: filesystem\n  path: p\n  archive_kek:\n"
                + "    method: %s",
            """
            stripe_source:
              source: archive
              type: filesystem
              path: p
              archive_kek:
                method: aes256-gcm
                key: %1$s
                init_vector: %1$s
                auth_data: %1$s
            """);
    for (String place : places) {
      tell(() -> fixture.device("path: /d\n" + place.formatted(value) + "\n").close());
      tell(
          () -> {
            try (KekFile kek = fixture.kek("method: aes256-gcm\nkey: " + BASE64 + "\n")) {
              fixture.device(kek, "path: /d\n" + place.formatted(value) + "\n").close();
            }
          });
    }
  }

  @ParameterizedTest
  @MethodSource("values")
  void in_a_kek_file(String value) {
    for (String place :
        List.of(
            "method: aes256-gcm\nkey: %s",
            "method: aes256-gcm\ninit_vector: %s\nkey: " + BASE64,
            "method: aes256-gcm\nauth_data: %s\nkey: " + BASE64,
            "method: %s",
            "%s",
            "%s: x",
            "method: none\nunknown: %s")) {
      tell(
          () -> {
            try (KekFile kek = fixture.kek(place.formatted(value))) {
              fixture.device(kek, "path: /d\nencryption_key: [QQ==, QQ==]\n").close();
            }
          });
    }
  }

  @ParameterizedTest
  @MethodSource("values")
  void in_the_files_of_other_programs(String value) {
    tell(() -> fixture.remote("address: a\npsk_secret: " + value).close());
    tell(() -> fixture.remote("address: a\npsk_identity: i\npsk_secret: " + value).close());
    tell(() -> fixture.archive("type: s3\nbucket: b\ncredentials: " + value).close());
    tell(
        () ->
            fixture
                .archive("type: s3\nbucket: b\ncredentials: {access_key_id: " + value + "}")
                .close());
  }

  @ParameterizedTest
  @MethodSource("values")
  void in_the_tools_for_keys(String value) {
    Path path =
        fixture.file("server.yaml", "address: a\npsk_identity: i\npsk_secret: " + value + "\n");
    var out = new StringBuilder();
    tell(
        () -> {
          try (KekFile kek = fixture.kek("method: aes256-gcm\nkey: " + BASE64)) {
            SecretCheck.file(path, Optional.empty(), kek, out, fixture.warnings::add);
          }
        });
    tell(
        () -> {
          try (KekFile kek = fixture.kek("method: aes256-gcm\nkey: " + BASE64)) {
            var request = new Rewrap.Request(path, Optional.empty(), Optional.empty());
            Rewrap.run(request, null, kek, new SecureRandom(), fixture.warnings::add);
          }
        });
    assertClean(out.toString());
  }

  @Test
  void in_what_was_loaded() throws Exception {
    DeviceConfig config =
        fixture.device(
            """
            path: /d
            metadata_path: /m
            copy_on_read: true
            encryption_key: [%1$s, %1$s]
            stripe_source:
              source: archive
              type: s3
              bucket: b
              credentials: {access_key_id: %1$s, secret_access_key: %1$s}
              archive_kek: {method: aes256-gcm, key: %1$s, auth_data: %1$s}
            """
                .formatted(BASE64));
    assertClean(config.toString());
    assertClean(fixture.remote("address: a\npsk_identity: i\npsk_secret: " + BASE64).toString());
    try (KekFile kek = fixture.kek("method: aes256-gcm\nkey: " + BASE64)) {
      assertClean(kek.keyEncryption().toString());
    }
  }

  @Test
  void secrets_of_a_load_that_failed_are_zeroed() throws Exception {
    List<Secret> seen = new ArrayList<>();
    try (var file = new ConfigFile("f", fixture.warnings::add)) {
      Secret wrapped = file.wrapped(Secret.take(new byte[] {1}));
      seen.add(wrapped);
      seen.add(file.open(KeyEncryption.none(), "k", "k", wrapped));
    }
    for (Secret secret : seen) {
      assertThatThrownBy(secret::length).isInstanceOf(IllegalStateException.class);
    }
  }

  @Test
  void closing_a_configuration_zeroes_what_was_not_handed_on() throws Exception {
    DeviceConfig config =
        fixture.device("path: /d\nencryption_key: [%1$s, %1$s]\n".formatted(BASE64));
    config.close();
    assertThatThrownBy(() -> config.encryptionKey().orElseThrow().halvesEqual())
        .isInstanceOf(IllegalStateException.class);
  }

  private interface Load {
    void run() throws Exception;
  }

  /** Whatever comes of the load, nothing that it says has the secret in it. */
  private void tell(Load load) {
    fixture.warnings.clear();
    try {
      load.run();
    } catch (Exception e) {
      assertThat(e).isInstanceOf(ConfigException.class).hasNoCause();
      assertThat(e.getSuppressed()).isEmpty();
      assertClean(e.toString());
    }
    fixture.warnings.forEach(NothingLeaksTest::assertClean);
  }

  private static void assertClean(String text) {
    assertThat(text)
        .doesNotContain("5ecret")
        .doesNotContain("Marker")
        .doesNotContain(BASE64.substring(0, 8));
  }
}
