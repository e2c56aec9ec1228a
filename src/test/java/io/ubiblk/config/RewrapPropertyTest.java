// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.config;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;

import io.ubiblk.secret.Hex;
import io.ubiblk.secret.KeyEncryption;
import io.ubiblk.secret.Secret;
import io.ubiblk.secret.StrictBase64;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.SecureRandom;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Base64;
import java.util.HexFormat;
import java.util.List;
import java.util.Optional;
import java.util.Random;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.IntRange;
import net.jqwik.api.lifecycle.AfterContainer;
import net.jqwik.api.lifecycle.BeforeContainer;

/**
 * Random documents with comments, quotes and anchors of all kinds: once rewrapped they are the same
 * but for the texts of their secrets, and load to the same secrets.
 */
class RewrapPropertyTest {
  private static final SecureRandom NONCES = new SecureRandom();
  private static Path directory;

  @BeforeContainer
  static void makeDirectory() throws IOException {
    directory = Files.createTempDirectory("rewrap");
  }

  @AfterContainer
  static void removeDirectory() throws IOException {
    for (String name : List.of("old.yaml", "new.yaml", "vm.yaml")) {
      Files.deleteIfExists(directory.resolve(name));
    }
    Files.delete(directory);
  }

  /** How the secrets of the document are wrapped before. */
  private enum Before {
    PLAIN,
    INIT_VECTOR,
    OWN_NONCE;

    String kek() {
      String key = "method: aes256-gcm\nkey: " + "ERER".repeat(10) + "ERE=\n";
      return switch (this) {
        case PLAIN -> "method: none\n";
        case INIT_VECTOR -> key + "init_vector: IiIiIiIiIiIiIiIi\nauth_data: dGVzdC1hYWQ=\n";
        case OWN_NONCE -> key;
      };
    }
  }

  /** A secret of the document: its name and what it is in clear. */
  private record Value(String name, String hex) {}

  /** Writes a document, and beside it a pattern that its rewrapped form matches. */
  private static final class Document {
    private final Random random;
    private final KeyEncryption kek;
    private final StringBuilder text = new StringBuilder();
    private final StringBuilder pattern = new StringBuilder();
    private final List<Value> values = new ArrayList<>();
    private int anchors;

    Document(Random random, KeyEncryption kek) {
      this.random = random;
      this.kek = kek;
    }

    private String one(String... choices) {
      return choices[random.nextInt(choices.length)];
    }

    private Document add(String literal) {
      text.append(literal);
      pattern.append(Pattern.quote(literal));
      return this;
    }

    /** The end of a line, perhaps with a comment, and perhaps lines without content after it. */
    private Document end() {
      return add(one("", "", " # remark", "  # 'ü' \"€\" 🔑 |- &a *a"))
          .add("\n")
          .add(one("", "", "", "\n", "   # between\n", "# at the margin\n"));
    }

    private String anchor() {
      return random.nextInt(4) == 0 ? "&s" + anchors++ + one(" ", "  ", " # why\n      ") : "";
    }

    /** A secret at a place where a block scalar may stand, indented by more than {@code indent}. */
    private Document blockValue(String name, int bytes, int indent) throws Exception {
      if (random.nextInt(3) > 0) {
        return flowValue(name, bytes).end();
      }
      String base64 = sealed(name, bytes);
      String header = one("|-", ">-", "|-  # remark", ">2-", "|-2");
      add(random.nextInt(4) == 0 ? "&s" + anchors++ + " " : "").add(header).add("\n");
      int deeper = header.contains("2") ? 2 : 1 + random.nextInt(4);
      add(" ".repeat(indent + deeper));
      return secret(base64).add("\n").add(one("", "\n"));
    }

    private Document flowValue(String name, int bytes) throws Exception {
      String base64 = sealed(name, bytes);
      add(anchor());
      return switch (random.nextInt(5)) {
        case 0 -> secret(base64);
        case 1 -> add("'").secret(base64).add("'");
        case 2 -> add("\"").secret(base64).add("\"");
        case 3 ->
            add("\"")
                .secret("\\x%02x".formatted((int) base64.charAt(0)) + base64.substring(1))
                .add("\"");
        default -> {
          int fold = base64.length() / 2;
          yield add("\"")
              .secret(base64.substring(0, fold) + "\\\n        " + base64.substring(fold))
              .add("\"");
        }
      };
    }

    private String sealed(String name, int bytes) throws Exception {
      byte[] plain = new byte[bytes];
      random.nextBytes(plain);
      for (int i = 0; name.contains("access") && i < bytes; i++) {
        plain[i] = (byte) ('a' + Math.floorMod(plain[i], 26));
      }
      values.add(new Value(name, HexFormat.of().formatHex(plain)));
      try (Secret secret = Secret.take(plain.clone())) {
        return Base64.getEncoder().encodeToString(sealed(name, secret));
      }
    }

    private byte[] sealed(String name, Secret plain) throws Exception {
      return switch (kek.dialect()) {
        case NONE -> plain.lend(byte[]::clone);
        case OWN_NONCE -> kek.seal(name, plain, NONCES);
        case INIT_VECTOR -> OldDialect.seal(plain);
      };
    }

    private Document secret(String spelling) {
      text.append(spelling);
      pattern.append("([A-Za-z0-9+/]+=*)");
      return this;
    }

    /** Settings without secrets, with texts that look like other things. */
    private Document settings() {
      List<String> lines =
          List.of(
              "queue_size: 128",
              "device_id: 'on'",
              "unknown: [a, {b: \"c # d\"}]",
              "other: |\n  x: y\n  # text",
              "\"z\": 'it''s'");
      for (String line : lines) {
        if (random.nextInt(3) == 0) {
          add(line).end();
        }
      }
      return this;
    }

    Document file(ConfigKind kind) throws Exception {
      add(one("", "", "# 🔑 head\n", "\n\n")).add(one("", "---\n", "%YAML 1.1\n---\n"));
      switch (kind) {
        case DEVICE -> device();
        case REMOTE -> server();
        case ARCHIVE -> target();
      }
      return add(one("", "", "# end", "...\n"));
    }

    private void server() throws Exception {
      add("address: h:1").end();
      add(one("psk_secret: ", "\"psk_secret\":  ")).blockValue("psk_secret", 16, 0);
      add("psk_identity: \"i\"").end();
    }

    private void target() throws Exception {
      add("type: filesystem").end().add("path: '/a'").end();
      add("archive_kek:").end().add("   method: aes256-gcm").end();
      add("   init_vector: ").blockValue("archive_kek.init_vector", 12, 3);
      add("   auth_data: ").blockValue("archive_kek.auth_data", 9 + random.nextInt(30), 3);
      add("   key: ").blockValue("archive_kek.key", 32, 3);
    }

    private void device() throws Exception {
      add("path: /d").end();
      settings().add("metadata_path: \"/m\"").end();
      add("copy_on_read: true").end();
      if (random.nextBoolean()) {
        keys().source();
      } else {
        source().keys();
      }
    }

    private Document keys() throws Exception {
      if (random.nextBoolean()) {
        add("encryption_key: [").add(one("", " ", "\n    "));
        flowValue("encryption_key[0]", 32).add(one(",", " ,", ", # comma\n  "));
        return add(" ").flowValue("encryption_key[1]", 32).add(one("]", " ]", "\n  ]")).end();
      }
      add(one("encryption_key:", "'encryption_key' :")).end();
      int indent = random.nextInt(3);
      for (String name : List.of("encryption_key[0]", "encryption_key[1]")) {
        add(" ".repeat(indent)).add("- ").blockValue(name, 32, indent);
      }
      return this;
    }

    private Document source() throws Exception {
      return switch (random.nextInt(3)) {
        case 0 -> remote();
        case 1 -> archive();
        default -> flowArchive();
      };
    }

    private Document remote() throws Exception {
      add("stripe_source:").end().add("  source: remote").end();
      add("  psk_secret: ").blockValue("psk_secret", 16 + random.nextInt(40), 2);
      return add("  address: 'h:1'").end().add("  psk_identity: i").end();
    }

    private Document archive() throws Exception {
      add("stripe_source:\n  source: archive\n  type: s3\n  bucket: b").end();
      add("  credentials:").end();
      add("    secret_access_key: ").blockValue("secret_access_key", 1 + random.nextInt(60), 4);
      add("    access_key_id: ").blockValue("access_key_id", 20, 4);
      return add("  prefix: p").end();
    }

    private Document flowArchive() throws Exception {
      add("stripe_source: {source: archive, type: filesystem, path: /a, ").add(one("", "\n  "));
      add("archive_kek: {method: aes256-gcm, \"key\": ").flowValue("archive_kek.key", 32);
      add(", init_vector: ").flowValue("archive_kek.init_vector", 12);
      return add(", auth_data: ").flowValue("archive_kek.auth_data", 9).add("}}").end();
    }
  }

  /** Seals as programs did whose KEK has an init_vector; nothing of ours does that. */
  private static final class OldDialect {
    static byte[] seal(Secret plain) throws Exception {
      var cipher = javax.crypto.Cipher.getInstance("AES/GCM/NoPadding");
      byte[] key = new byte[32];
      byte[] nonce = new byte[12];
      Arrays.fill(key, (byte) 0x11);
      Arrays.fill(nonce, (byte) 0x22);
      cipher.init(
          javax.crypto.Cipher.ENCRYPT_MODE,
          new javax.crypto.spec.SecretKeySpec(key, "AES"),
          new javax.crypto.spec.GCMParameterSpec(128, nonce));
      cipher.updateAAD("test-aad".getBytes(UTF_8));
      return plain.lend(cipher::doFinal);
    }
  }

  @Property(tries = 400)
  void all_but_the_secrets_stays(
      @ForAll long seed,
      @ForAll ConfigKind kind,
      @ForAll Before before,
      @ForAll @IntRange(max = 3) int ends,
      @ForAll boolean mark)
      throws Exception {
    String end = List.of("\n", "\r\n", "\r", "\u2028").get(ends);
    Path oldKek = Files.writeString(directory.resolve("old.yaml"), before.kek());
    Path newKek =
        Files.writeString(
            directory.resolve("new.yaml"),
            "method: aes256-gcm\nkey: " + "d3d3".repeat(10) + "d3c=\n");
    try (KekFile from = KekFile.load(oldKek, RewrapPropertyTest::noWarning);
        KekFile to = KekFile.load(newKek, RewrapPropertyTest::noWarning)) {
      Document document = new Document(new Random(seed), from.keyEncryption()).file(kind);
      String byteOrderMark = mark ? "\uFEFF" : "";
      String text = byteOrderMark + document.text.toString().replace("\n", end);
      Path config = Files.writeString(directory.resolve("vm.yaml"), text);
      Rewrap.run(
          new Rewrap.Request(config, Optional.empty(), Optional.empty()),
          from,
          to,
          NONCES,
          unused -> {});
      Matcher matcher =
          Pattern.compile(byteOrderMark + document.pattern.toString().replace("\n", end))
              .matcher(Files.readString(config));
      assertThat(matcher.matches()).as("%s became %s", text, Files.readString(config)).isTrue();
      for (int i = 0; i < document.values.size(); i++) {
        Value value = document.values.get(i);
        try (Secret wrapped = StrictBase64.decode(matcher.group(i + 1));
            Secret plain = to.keyEncryption().open(value.name, wrapped)) {
          assertThat(Hex.of(plain)).isEqualTo(value.hex);
        }
      }
      SecretCheck.file(config, Optional.of(kind), to, new StringBuilder(), unused -> {});
    }
  }

  private static void noWarning(String warning) {
    throw new AssertionError(warning);
  }
}
