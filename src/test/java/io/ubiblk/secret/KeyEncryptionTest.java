// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.secret;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.nio.file.Path;
import java.security.GeneralSecurityException;
import java.security.SecureRandom;
import java.util.Arrays;
import java.util.Base64;
import java.util.HexFormat;
import java.util.Optional;
import javax.crypto.Cipher;
import javax.crypto.spec.GCMParameterSpec;
import javax.crypto.spec.SecretKeySpec;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import org.junit.jupiter.api.Test;

class KeyEncryptionTest {
  private static final String KEY = "11".repeat(32);
  private static final String NONCE = "22".repeat(12);
  private static final String AAD = HexFormat.of().formatHex("test-aad".getBytes(UTF_8));
  private static final SecureRandom RANDOM = new SecureRandom();

  private static JsonNode vector(String path) throws IOException {
    return new ObjectMapper().readTree(Path.of("src/test/resources/vectors", path).toFile());
  }

  private static KeyEncryption withVector(String key, String nonce, String aad) {
    return KeyEncryption.aes256Gcm(Hex.present(key), Hex.present(nonce), Hex.present(aad));
  }

  private static KeyEncryption withoutVector() {
    return KeyEncryption.aes256Gcm(Hex.present(KEY), Optional.empty(), Optional.empty());
  }

  @Test
  void opens_every_recorded_value_with_init_vector() throws Exception {
    JsonNode vectors = vector("kek/aes256_gcm.json");
    KeyEncryption kek =
        withVector(
            vectors.get("key").asText(),
            vectors.get("nonce").asText(),
            vectors.get("aad").asText());
    assertThat(vectors.get("items")).hasSize(9);
    for (JsonNode item : vectors.get("items")) {
      try (Secret wrapped = StrictBase64.decode(item.get("base64").asText());
          Secret plain = kek.open("any name", wrapped)) {
        assertThat(Hex.of(plain)).as(item.get("name").asText()).isEqualTo(plaintext(item));
      }
    }
  }

  @Test
  void the_recorded_values_are_what_gcm_makes_of_their_plaintexts() throws Exception {
    JsonNode vectors = vector("kek/aes256_gcm.json");
    for (JsonNode item : vectors.get("items")) {
      Cipher cipher = Cipher.getInstance("AES/GCM/NoPadding");
      cipher.init(
          Cipher.ENCRYPT_MODE,
          new SecretKeySpec(HexFormat.of().parseHex(KEY), "AES"),
          new GCMParameterSpec(128, HexFormat.of().parseHex(NONCE)));
      cipher.updateAAD(HexFormat.of().parseHex(AAD));
      byte[] sealed = cipher.doFinal(HexFormat.of().parseHex(plaintext(item)));
      assertThat(HexFormat.of().formatHex(sealed))
          .isEqualTo(item.get("ciphertext_and_tag").asText());
      assertThat(Base64.getEncoder().encodeToString(sealed)).isEqualTo(item.get("base64").asText());
    }
  }

  private static String plaintext(JsonNode item) {
    return item.get("plaintext").asText();
  }

  @Test
  void opens_the_recorded_value_that_carries_its_nonce() throws Exception {
    JsonNode vector = vector("head/wrapped_secret_v2.json");
    Optional<Secret> key = Hex.present(vector.get("key").asText());
    byte[] name = vector.get("aad").asText().getBytes(UTF_8);
    Secret wrapped = StrictBase64.decode(vector.get("value_base64").asText());

    KeyEncryption byName = KeyEncryption.aes256Gcm(key, Optional.empty(), Optional.empty());
    assertThat(Hex.of(byName.open("xts-key", wrapped))).isEqualTo(vector.get("plaintext").asText());
    assertRefuses(byName, "another-name", wrapped, "does not open under the KEK");

    KeyEncryption byAuthData =
        KeyEncryption.aes256Gcm(key, Optional.empty(), Optional.of(Secret.take(name)));
    assertThat(Hex.of(byAuthData.open("whatever", wrapped)))
        .isEqualTo(vector.get("plaintext").asText());
  }

  @Test
  void refuses_the_recorded_value_with_a_changed_tag() throws Exception {
    JsonNode vectors = vector("kek/aes256_gcm.json");
    Secret tampered = StrictBase64.decode(vectors.get("tampered_last_tag_byte_base64").asText());
    assertRefuses(withVector(KEY, NONCE, AAD), "n", tampered, "does not open under the KEK");
  }

  @Test
  void refuses_the_published_sample_under_its_published_key() throws Exception {
    JsonNode sample = vector("kek/readme_sample_is_not_valid.json");
    KeyEncryption kek =
        withVector(
            sample.get("kek_key").asText(),
            sample.get("init_vector").asText(),
            sample.get("auth_data").asText());
    assertThat(sample.get("encryption_key_base64")).hasSize(2);
    for (JsonNode value : sample.get("encryption_key_base64")) {
      assertRefuses(kek, "n", StrictBase64.decode(value.asText()), "does not open under the KEK");
    }
  }

  @Test
  void refuses_every_changed_bit() throws Exception {
    KeyEncryption kek = withoutVector();
    byte[] sealed = kek.seal("name", Hex.secret("00112233"), RANDOM);
    for (int bit = 0; bit < sealed.length * 8; bit++) {
      byte[] changed = sealed.clone();
      changed[bit / 8] ^= (byte) (1 << bit % 8);
      assertRefuses(kek, "name", Secret.take(changed), "does not open under the KEK");
    }
  }

  @Test
  void refuses_a_wrong_key() throws Exception {
    Secret wrapped = Secret.take(withoutVector().seal("name", Hex.secret("00"), RANDOM));
    KeyEncryption other =
        KeyEncryption.aes256Gcm(
            Hex.present("12" + KEY.substring(2)), Optional.empty(), Optional.empty());
    assertRefuses(other, "name", wrapped, "does not open under the KEK");
  }

  @Test
  void a_value_is_bound_to_its_name() throws Exception {
    KeyEncryption kek = withoutVector();
    Secret wrapped = Secret.take(kek.seal("encryption_key[0]", Hex.secret(KEY), RANDOM));
    assertThat(Hex.of(kek.open("encryption_key[0]", wrapped))).isEqualTo(KEY);
    assertRefuses(kek, "encryption_key[1]", wrapped, "does not open under the KEK");
  }

  @Property(tries = 200)
  void opens_what_it_sealed(@ForAll byte[] plain, @ForAll String name) throws Exception {
    KeyEncryption kek = withoutVector();
    byte[] sealed = kek.seal(name, Secret.take(plain.clone()), RANDOM);
    assertThat(sealed).hasSize(KeyEncryption.NONCE_BYTES + plain.length + KeyEncryption.TAG_BYTES);
    try (Secret opened = kek.open(name, Secret.take(sealed))) {
      assertThat(opened.sameBytes(Secret.take(plain))).isTrue();
    }
  }

  @Test
  void seals_every_value_under_a_nonce_of_its_own() throws Exception {
    KeyEncryption kek = withoutVector();
    byte[] first = kek.seal("name", Hex.secret(KEY), RANDOM);
    byte[] second = kek.seal("name", Hex.secret(KEY), RANDOM);
    assertThat(Arrays.copyOf(first, 12)).isNotEqualTo(Arrays.copyOf(second, 12));
    assertThat(Arrays.copyOfRange(first, 12, 44)).isNotEqualTo(Arrays.copyOfRange(second, 12, 44));
  }

  @Test
  void seals_nothing_under_a_kek_with_init_vector_or_without_method() {
    assertThatThrownBy(() -> withVector(KEY, NONCE, AAD).seal("n", Hex.secret("00"), RANDOM))
        .isInstanceOf(IllegalStateException.class);
    assertThatThrownBy(() -> KeyEncryption.none().seal("n", Hex.secret("00"), RANDOM))
        .isInstanceOf(IllegalStateException.class);
  }

  @Test
  void judges_its_parts_when_a_value_is_opened() {
    Secret wrapped = Secret.take(new byte[48]);
    assertRefuses(
        withVector("11".repeat(31), NONCE, AAD),
        "n",
        wrapped,
        "the KEK's key must be 32 bytes, is 31");
    assertRefuses(
        withVector(KEY, "22".repeat(11), AAD),
        "n",
        wrapped,
        "the KEK's init_vector must be 12 bytes, is 11");
    assertRefuses(
        KeyEncryption.aes256Gcm(Hex.present(KEY), Hex.present(NONCE), Optional.empty()),
        "n",
        wrapped,
        "has init_vector but no auth_data");
    assertRefuses(
        KeyEncryption.aes256Gcm(Optional.empty(), Hex.present(NONCE), Hex.present(AAD)),
        "n",
        wrapped,
        "the KEK has no key");
  }

  @Test
  void says_how_it_wraps_and_whether_it_binds() {
    var byAuthData = KeyEncryption.aes256Gcm(Hex.present(KEY), Optional.empty(), Hex.present(AAD));
    assertThat(KeyEncryption.none().dialect()).isEqualTo(KeyEncryption.Dialect.NONE);
    assertThat(withVector(KEY, NONCE, AAD).dialect()).isEqualTo(KeyEncryption.Dialect.INIT_VECTOR);
    assertThat(withoutVector().dialect()).isEqualTo(KeyEncryption.Dialect.OWN_NONCE);
    assertThat(byAuthData.dialect()).isEqualTo(KeyEncryption.Dialect.OWN_NONCE);
    assertThat(withoutVector().bindsNames()).isTrue();
    assertThat(byAuthData.bindsNames()).isFalse();
    assertThat(withVector(KEY, NONCE, AAD).bindsNames()).isFalse();
    assertThat(KeyEncryption.none().bindsNames()).isFalse();
  }

  @Test
  void says_why_it_seals_nothing() {
    assertThat(withoutVector().sealingRefusal()).isEmpty();
    assertThat(KeyEncryption.none().sealingRefusal())
        .contains("method: is none, which wraps nothing");
    assertThat(withVector(KEY, NONCE, AAD).sealingRefusal().orElseThrow())
        .startsWith("init_vector: must not be there");
    assertThat(
            KeyEncryption.aes256Gcm(Optional.empty(), Optional.empty(), Optional.empty())
                .sealingRefusal())
        .contains("key: is required, but not there");
    assertThat(
            KeyEncryption.aes256Gcm(Hex.present("11"), Optional.empty(), Optional.empty())
                .sealingRefusal())
        .contains("key: must be 32 bytes, is 1");
  }

  @Test
  void empty_auth_data_is_enough() throws Exception {
    Cipher cipher = Cipher.getInstance("AES/GCM/NoPadding");
    cipher.init(
        Cipher.ENCRYPT_MODE,
        new SecretKeySpec(HexFormat.of().parseHex(KEY), "AES"),
        new GCMParameterSpec(128, HexFormat.of().parseHex(NONCE)));
    Secret wrapped = Secret.take(cipher.doFinal(new byte[] {9}));
    assertThat(Hex.of(withVector(KEY, NONCE, "").open("n", wrapped))).isEqualTo("09");
  }

  @Test
  void refuses_values_too_short_to_hold_nonce_and_tag() {
    for (int length = 0; length < 28; length++) {
      assertRefuses(
          withoutVector(),
          "n",
          Secret.take(new byte[length]),
          "it is " + length + " bytes, and a wrapped value has at least 28");
    }
    for (int length = 0; length < 16; length++) {
      assertRefuses(
          withVector(KEY, NONCE, AAD),
          "n",
          Secret.take(new byte[length]),
          "it is " + length + " bytes, and a wrapped value has at least 16");
    }
  }

  @Test
  void method_none_takes_values_as_they_are() throws Exception {
    assertThat(Hex.of(KeyEncryption.none().open("n", Hex.secret("0102")))).isEqualTo("0102");
  }

  @Test
  void zeroes_its_parts_on_close() {
    byte[] key = HexFormat.of().parseHex(KEY);
    KeyEncryption kek =
        KeyEncryption.aes256Gcm(Optional.of(Secret.take(key)), Optional.empty(), Optional.empty());
    kek.close();
    assertThat(key).containsOnly(0);
    assertThat(kek.toString()).doesNotContain("11");
  }

  private static void assertRefuses(
      KeyEncryption kek, String name, Secret wrapped, String sentence) {
    assertThatThrownBy(() -> kek.open(name, wrapped))
        .isInstanceOf(GeneralSecurityException.class)
        .hasMessageContaining(sentence)
        .hasNoCause();
  }
}
