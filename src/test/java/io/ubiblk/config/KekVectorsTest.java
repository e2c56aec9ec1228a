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
import io.ubiblk.secret.XtsKeys;
import java.nio.file.Path;
import java.util.Base64;
import java.util.HexFormat;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Files made by others load to the keys that they were made from. */
class KekVectorsTest {
  private static final String K1 =
      "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
  private static final String K2 =
      "808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f";

  @TempDir private Path directory;

  private static KekFile kek(String name) throws ConfigException {
    return KekFile.load(ConfigFixture.vector(name), KekVectorsTest::refuseWarning);
  }

  private static void refuseWarning(String warning) {
    throw new AssertionError(warning);
  }

  private static String keys(String config, KekFile kek) throws ConfigException {
    try (DeviceConfig device =
        ConfigLoader.load(ConfigFixture.vector(config), kek, KekVectorsTest::refuseWarning)) {
      XtsKeys keys = device.encryptionKey().orElseThrow();
      return keys.handOver(
          (data, tweak) -> HexFormat.of().formatHex(data) + HexFormat.of().formatHex(tweak));
    }
  }

  @Test
  void wrapped_and_plain_configurations_load_to_the_same_keys() throws Exception {
    assertThat(keys("config-wrapped.yaml", kek("kek.yaml"))).isEqualTo(K1 + K2);
    assertThat(keys("config-plain.yaml", kek("kek-none.yaml"))).isEqualTo(K1 + K2);
    assertThat(keys("config-plain.yaml", null)).isEqualTo(K1 + K2);
  }

  @Test
  void a_plain_configuration_does_not_open_under_a_kek() {
    assertThatThrownBy(() -> keys("config-plain.yaml", kek("kek.yaml")))
        .isInstanceOf(ConfigException.class)
        .hasMessageContaining("encryption_key[0]: does not open under the KEK");
  }

  @Test
  void a_wrapped_configuration_does_not_load_without_its_kek() {
    assertThatThrownBy(() -> keys("config-wrapped.yaml", null))
        .isInstanceOf(ConfigException.class)
        .hasMessageContaining("encryption_key[0]: must be 32 bytes, is 48");
  }

  @Test
  void the_wrapped_psk_opens() throws Exception {
    RemoteConfig remote =
        ConfigLoader.loadRemote(
            ConfigFixture.vector("remote-wrapped.yaml"),
            kek("kek.yaml"),
            KekVectorsTest::refuseWarning);
    assertThat(remote.address()).isEqualTo("127.0.0.1:4555");
    assertThat(remote.pskIdentity()).contains("client1");
    assertThat(Hex.of(remote.pskSecret().orElseThrow()))
        .isEqualTo("30313233343536373839414243444546");
  }

  @Test
  void the_wrapped_credentials_open() throws Exception {
    var target =
        (ArchiveTargetConfig.S3)
            ConfigLoader.loadArchiveTarget(
                ConfigFixture.vector("s3-wrapped.yaml"),
                kek("kek.yaml"),
                KekVectorsTest::refuseWarning);
    assertThat(target.bucket()).isEqualTo("backups");
    ArchiveTargetConfig.Credentials credentials = target.credentials().orElseThrow();
    assertThat(text(credentials.accessKeyId())).isEqualTo("AKIAVECTORVECTOR0001");
    assertThat(text(credentials.secretAccessKey())).isEqualTo("vector-secret-key-0001");
  }

  @Test
  void the_wrapped_archive_kek_equals_the_plain_one() throws Exception {
    KeyEncryption wrapped = archiveKek("archive-target-wrapped.yaml", kek("kek.yaml"));
    KeyEncryption plain = archiveKek("archive-target-plain.yaml", null);
    // AES-256-GCM of one zero byte under key 32 × 33, nonce 12 × 44, data "archive-aad".
    try (Secret value = Hex.secret(ONE_ZERO_BYTE_UNDER_THE_ARCHIVE_KEK)) {
      assertThat(Hex.of(wrapped.open("n", value))).isEqualTo("00");
      assertThat(Hex.of(plain.open("n", value))).isEqualTo("00");
    }
  }

  private static final String ONE_ZERO_BYTE_UNDER_THE_ARCHIVE_KEK =
      "30a9ce4c1f1f080d275bea621845ac8952";

  private static KeyEncryption archiveKek(String target, KekFile kek) throws ConfigException {
    return ConfigLoader.loadArchiveTarget(
            ConfigFixture.vector(target), kek, KekVectorsTest::refuseWarning)
        .archiveKek();
  }

  @Test
  void the_published_sample_is_refused_with_its_kek_and_without() throws Exception {
    JsonNode sample =
        new ObjectMapper()
            .readTree(ConfigFixture.vector("readme_sample_is_not_valid.json").toFile());
    var fixture = new ConfigFixture(directory);
    String config =
        "path: /d\nencryption_key:\n- %s\n- %s\n"
            .formatted(
                sample.get("encryption_key_base64").get(0).asText(),
                sample.get("encryption_key_base64").get(1).asText());
    KekFile kek =
        fixture.kek(
            "method: aes256-gcm\nkey: %s\ninit_vector: %s\nauth_data: %s\n"
                .formatted(
                    base64(sample.get("kek_key")),
                    base64(sample.get("init_vector")),
                    base64(sample.get("auth_data"))));
    assertThat(fixture.refusal(() -> fixture.device(kek, config)))
        .contains("encryption_key[0]: does not open under the KEK");
    assertThat(fixture.deviceRefusal(config)).contains("must be 32 bytes, is 48");
  }

  @Test
  void items_that_were_recorded_as_faulty_are_refused() throws Exception {
    JsonNode vectors =
        new ObjectMapper().readTree(ConfigFixture.vector("aes256_gcm.json").toFile());
    var fixture = new ConfigFixture(directory);
    String good = vectors.get("items").get(0).get("base64").asText();
    String tooShort = vectors.get("items").get(7).get("base64").asText();
    String tampered = vectors.get("tampered_last_tag_byte_base64").asText();
    String shape = "path: /d\nencryption_key: [\"%s\", \"%s\"]\n";
    try (KekFile kek = kek("kek.yaml")) {
      assertThat(fixture.refusal(() -> fixture.device(kek, shape.formatted(good, tooShort))))
          .isEqualTo("vm.yaml: encryption_key[1]: must be 32 bytes, is 31");
      assertThat(fixture.refusal(() -> fixture.device(kek, shape.formatted(tampered, good))))
          .contains("encryption_key[0]: does not open under the KEK");
    }
  }

  private static String base64(JsonNode hex) {
    return Base64.getEncoder().encodeToString(HexFormat.of().parseHex(hex.asText()));
  }

  private static String text(Secret secret) {
    return secret.lend(bytes -> new String(bytes, UTF_8));
  }
}
