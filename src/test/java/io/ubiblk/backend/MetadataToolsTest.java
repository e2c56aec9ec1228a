// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.backend;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.ubiblk.config.ConfigLoader;
import io.ubiblk.config.DeviceConfig;
import io.ubiblk.nativelib.NativeDiskFile;
import io.ubiblk.nativelib.NativeLibrary;
import io.ubiblk.nativelib.NativeLog;
import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** The work of init-metadata and dump-metadata. */
class MetadataToolsTest {
  private static final long MIB = 1 << 20;
  private static final String KEYS =
      "encryption_key: ["
          + "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=,"
          + " gIGCg4SFhoeIiYqLjI2Oj5CRkpOUlZaXmJmam5ydnp8=]";

  @TempDir private Path directory;
  private Path disk;
  private Path image;
  private Path metadata;

  @BeforeEach
  void makeFiles() throws IOException {
    NativeLibrary.load();
    disk = sized("disk.raw", 4 * MIB);
    image = sized("image.raw", 2 * MIB);
    metadata = directory.resolve("metadata");
  }

  private Path sized(String name, long bytes) throws IOException {
    Path file = directory.resolve(name);
    try (RandomAccessFile access = new RandomAccessFile(file.toFile(), "rw")) {
      access.setLength(bytes);
    }
    return file;
  }

  private DeviceConfig config(String... more) throws Exception {
    String text =
        "path: %s\nmetadata_path: %s\n%s\n".formatted(disk, metadata, String.join("\n", more));
    Path file = Files.writeString(directory.resolve("vm.yaml"), text);
    return ConfigLoader.load(file, null, warning -> {});
  }

  private String raw() {
    return "stripe_source: {source: raw, path: " + image + "}";
  }

  private static MetadataInit.Options version(String version) {
    return new MetadataInit.Options(11, version, false);
  }

  private static byte[] vector(String name) throws IOException {
    return Files.readAllBytes(Path.of("src/test/resources/vectors", name));
  }

  private String dump(boolean json, String... more) throws Exception {
    StringBuilder out = new StringBuilder();
    try (DeviceConfig config = config(more)) {
      MetadataDump.run(config, json, out);
    }
    return out.toString();
  }

  private JsonNode dumpJson(String... more) throws Exception {
    return new ObjectMapper().readTree(dump(true, more));
  }

  @ParameterizedTest
  @CsvSource({"1.0, metadata/fresh_8k.bin", "2.0, head/metadata_v2_fresh.bin"})
  void a_file_of_8_kib_becomes_the_one_that_others_made(String version, String name)
      throws Exception {
    Files.write(metadata, new byte[8192]);
    MetadataInit.run(config(raw()), version(version));
    assertThat(Files.readAllBytes(metadata)).isEqualTo(vector(name));
  }

  @Test
  void with_keys_it_becomes_the_enciphered_one_which_is_printed_with_them() throws Exception {
    Files.write(metadata, new byte[8192]);
    MetadataInit.run(config(raw(), KEYS), version("1.0"));
    assertThat(Files.readAllBytes(metadata))
        .isEqualTo(vector("metadata/fresh_8k_encrypted_K1K2.bin"));
    assertThat(dump(false, raw(), KEYS)).contains("has-source stripes: 0, 1\n");
    assertThatThrownBy(() -> dump(false, raw())).hasMessageContaining("enciphered with other keys");
  }

  @Test
  void the_metadata_of_a_half_re_encrypted_disk_is_not_printed() throws Exception {
    MetadataInit.run(config(raw(), KEYS), version("2.0"));
    Files.writeString(
        directory.resolve("disk.raw.ubiblk-keys"),
        """
        version=1
        state=reencrypting
        disk=%s
        command=xts --resume
        journal=/journal
        journal_id=%s
        sectors=8192
        salt=%s
        old_check=%s
        new_check=%s
        """
            .formatted(disk, "11".repeat(16), "22".repeat(32), "33".repeat(32), "44".repeat(32)));
    assertThatThrownBy(() -> dump(false, raw(), KEYS))
        .hasMessage(disk + " is half re-encrypted; this finishes it: xts --resume");
  }

  @ParameterizedTest
  @CsvSource({
    "0, ''",
    "1, 0",
    "32768, 0",
    "32769, '0, 1'",
    "98304, 0-2",
    "131072, 0-3",
  })
  void a_stripe_has_a_source_if_the_image_has_a_byte_of_it(int imageBytes, String stripes)
      throws Exception {
    disk = sized("disk.raw", 131072);
    image = sized("image.raw", imageBytes);
    MetadataInit.run(config(raw()), new MetadataInit.Options(6, "2.0", false));
    assertThat(dump(false, raw()))
        .isEqualTo(
            """
            data file: %s (131072 bytes)
            source: raw (path: %s, size: %d bytes)
            metadata version: 2.0
            stripe size: 32768 bytes
            fetched stripes:\s
            written stripes:\s
            has-source stripes: %s
            """
                .formatted(disk, image, imageBytes, stripes));
  }

  @Test
  void a_disk_without_a_source_has_none() throws Exception {
    MetadataInit.run(config("track_written: true"), version("2.0"));
    assertThat(dump(false)).contains("source: None\n").endsWith("has-source stripes: \n");
  }

  @Test
  void the_older_spelling_of_a_raw_source_counts() throws Exception {
    MetadataInit.run(config("image_path: " + image), version("2.0"));
    assertThat(dump(false, "image_path: " + image)).contains("has-source stripes: 0, 1\n");
  }

  @Test
  void an_image_longer_than_the_disk_is_refused() throws Exception {
    image = sized("image.raw", 4 * MIB + 1);
    assertThatThrownBy(() -> MetadataInit.run(config(raw()), version("2.0")))
        .isInstanceOf(IOException.class)
        .hasMessage(image + " has 4194305 bytes, more than the 4194304 of the disk " + disk);
    assertThat(metadata).doesNotExist();
  }

  @Test
  void an_image_that_is_the_disk_itself_is_refused_by_whatever_name() throws Exception {
    Path link = Files.createSymbolicLink(directory.resolve("link"), disk);
    Path hardLink = Files.createLink(directory.resolve("hard"), disk);
    for (Path name : List.of(disk, link, hardLink)) {
      image = name;
      assertThatThrownBy(() -> MetadataInit.run(config(raw()), version("2.0")))
          .isInstanceOf(IOException.class)
          .hasMessageContaining("the raw image " + name + " is the disk " + disk + " itself");
    }
    assertThat(metadata).doesNotExist();
  }

  @Test
  void files_that_are_missing_or_something_else_are_told() throws Exception {
    image = directory.resolve("missing");
    assertThatThrownBy(() -> MetadataInit.run(config(raw()), version("2.0")))
        .isInstanceOf(NoSuchFileException.class)
        .hasMessageContaining(image.toString());
    assertThatThrownBy(() -> dump(false, raw())).isInstanceOf(NoSuchFileException.class);
    image = directory;
    assertThatThrownBy(() -> MetadataInit.run(config(raw()), version("2.0")))
        .isInstanceOf(IOException.class)
        .hasMessage(directory + " is neither a regular file nor a block device");
    assertThatThrownBy(() -> dump(false))
        .isInstanceOf(NoSuchFileException.class)
        .hasMessageContaining(metadata.toString());
    disk = sized("disk.raw", 1000);
    assertThatThrownBy(() -> dump(false))
        .hasMessage("the size of " + disk + ", 1000 bytes, is not a multiple of 512 above 0");
  }

  @Test
  void memory_that_is_not_there_is_a_failure_of_the_world() throws Exception {
    DeviceConfig config = config();
    assertThatThrownBy(
            () ->
                DiskTool.run(
                    config,
                    (xts, log) -> {
                      throw new OutOfMemoryError("cannot allocate 5 bytes");
                    }))
        .isInstanceOf(IOException.class)
        .hasMessage("cannot allocate 5 bytes");
  }

  @Test
  void a_disk_in_use_gets_no_metadata() throws Exception {
    try (NativeLog log = NativeLog.open();
        NativeDiskFile held = NativeDiskFile.open(disk.toString(), 512, 0, log)) {
      assertThat(held.byteLength()).isEqualTo(4 * MIB);
      assertThatThrownBy(() -> MetadataInit.run(config(raw()), version("2.0")))
          .isInstanceOf(IOException.class)
          .hasMessageStartingWith(disk + " is locked by this process, ");
    }
    assertThat(metadata).doesNotExist();
  }

  @Test
  void only_force_replaces_metadata() throws Exception {
    Files.write(metadata, vector("metadata/after_fetch_stripe0.bin"));
    assertThatThrownBy(() -> MetadataInit.run(config(raw()), version("1.0")))
        .hasMessageContaining("holds metadata already");
    MetadataInit.run(config(raw()), new MetadataInit.Options(11, "1.0", true));
    assertThat(Files.readAllBytes(metadata)).isEqualTo(vector("metadata/fresh_8k.bin"));
  }

  @Test
  void ranges_are_written_as_short_as_the_others_do() throws Exception {
    byte[] flags = new byte[2048];
    System.arraycopy(vector("metadata/fresh_8k.bin"), 0, flags, 0, 512);
    Arrays.fill(flags, 512, 512 + 64, (byte) 4);
    for (int fetched : new int[] {0, 1, 2, 4, 5, 7, 63}) {
      flags[512 + fetched] = 5;
    }
    flags[512 + 64] = 2;
    Files.write(metadata, flags);
    disk = sized("disk.raw", 65 * MIB);
    assertThat(dump(false))
        .isEqualTo(
            """
            data file: %s (68157440 bytes)
            source: None
            metadata version: 1.0
            stripe size: 1048576 bytes
            fetched stripes: 0-2, 4, 5, 7, 63
            written stripes: 64
            has-source stripes: 0-63
            """
                .formatted(disk));
  }

  @Test
  void json_has_counts_percentages_and_ranges() throws Exception {
    Files.write(metadata, vector("metadata/all_fetched_stripe1_written_stripe3_written.bin"));
    String json = dump(true, raw());
    assertThat(json).endsWith("}\n").doesNotContain("\n{");
    JsonNode root = new ObjectMapper().readTree(json);
    assertThat(root.get("data_file").toString())
        .isEqualTo(
            "{\"path\":\"%s\",\"bytes\":4194304,\"in_use\":false,\"used_by\":null}"
                .formatted(disk));
    assertThat(root.get("source").asText())
        .isEqualTo("raw (path: " + image + ", size: 2097152 bytes)");
    assertThat(root.get("metadata_file").toString())
        .isEqualTo(
            "{\"path\":\"%s\",\"version\":\"1.0\",\"in_use\":false,\"used_by\":null}"
                .formatted(metadata));
    assertThat(root.get("stripe_bytes").asLong()).isEqualTo(MIB);
    assertThat(root.get("stripe_count").asInt()).isEqualTo(4);
    assertThat(json)
        .contains("\"fetched\":{\"count\":2,\"percent\":50.00,\"ranges\":[[0,1]]}")
        .contains("\"written\":{\"count\":2,\"percent\":50.00,\"ranges\":[[1,1],[3,3]]}")
        .contains("\"has_source\":{\"count\":2,\"percent\":50.00,\"ranges\":[[0,1]]}")
        .contains("\"to_fetch\":{\"count\":0,\"percent\":0.00,\"ranges\":[]}");
  }

  @Test
  void percentages_are_not_rounded_to_completeness() throws Exception {
    disk = sized("disk.raw", 100_000 * 32768L);
    image = sized("image.raw", 99_999 * 32768L);
    MetadataInit.run(config(raw()), new MetadataInit.Options(6, "2.0", false));
    assertThat(dumpJson(raw()).get("to_fetch").get("percent").toString()).isEqualTo("99.99");
  }

  @Test
  void a_disk_in_use_is_printed_and_said_to_be() throws Exception {
    MetadataInit.run(config(raw()), version("2.0"));
    try (NativeLog log = NativeLog.open();
        NativeDiskFile held = NativeDiskFile.open(disk.toString(), 512, 0, log);
        NativeDiskFile file = NativeDiskFile.open(metadata.toString(), 512, 0, log)) {
      assertThat(List.of(held.byteLength(), file.byteLength())).containsExactly(4 * MIB, 1024L);
      JsonNode root = dumpJson(raw());
      assertThat(root.get("data_file").get("in_use").asBoolean()).isTrue();
      assertThat(root.get("data_file").get("used_by").asText()).startsWith("this process, ");
      assertThat(root.get("metadata_file").get("in_use").asBoolean()).isTrue();
      // Damage that stays is told, however often it is looked at.
      byte[] damaged = Files.readAllBytes(metadata);
      damaged[600] ^= 1;
      Files.write(metadata, damaged);
      assertThatThrownBy(() -> dump(false)).hasMessageContaining("sector 1 is damaged");
    }
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "source: remote, address: \"h:1\" | remote (address: h:1, psk_identity: None)",
        "source: remote, address: \"h:1\", psk_identity: me, psk_secret: MDEyMzQ1Njc4OWFiY2RlZg=="
            + " | remote (address: h:1, psk_identity: me)",
        "source: archive, type: filesystem, path: /a | archive filesystem (path: /a)",
        "source: archive, type: s3, bucket: b | archive s3 (bucket: b, prefix: None,"
            + " endpoint: None, region: None, profile: None, connections: 16)",
        "source: archive, type: s3, bucket: b, prefix: /p/, endpoint: \"http://e\", region: r,"
            + " profile: q, connections: 3 | archive s3 (bucket: b, prefix: p, endpoint: http://e,"
            + " region: r, profile: q, connections: 3)",
      })
  void sources_are_described_without_asking_them(String source, String description)
      throws Exception {
    MetadataInit.run(config(raw()), version("2.0"));
    String yaml = "copy_on_read: true\nstripe_source: {" + source + "}";
    assertThat(dump(false, yaml)).contains("\nsource: " + description + "\n");
  }
}
