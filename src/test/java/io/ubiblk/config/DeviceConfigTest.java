// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.config;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;

import io.ubiblk.secret.XtsKeys;
import java.io.IOException;
import java.math.BigInteger;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;

/** The keys of a device: defaults, types, limits, and what is refused. */
class DeviceConfigTest {
  private static final String PATH = "path: /disk\n";
  private static final String KEY = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
  private static final String OTHER_KEY = "gIGCg4SFhoeIiYqLjI2Oj5CRkpOUlZaXmJmam5ydnp8=";

  @TempDir private Path directory;
  private ConfigFixture fixture;

  @BeforeEach
  void makeFixture() {
    fixture = new ConfigFixture(directory);
  }

  @Test
  void a_path_is_enough() throws ConfigException {
    DeviceConfig config = fixture.device(PATH);
    assertThat(config)
        .isEqualTo(
            new DeviceConfig(
                "/disk",
                Optional.empty(),
                Optional.empty(),
                Optional.empty(),
                Optional.empty(),
                Optional.empty(),
                Optional.empty(),
                1,
                64,
                65536,
                4,
                1000,
                false,
                false,
                false,
                false,
                Optional.empty(),
                "ubiblk",
                IoEngine.IO_URING,
                DirectIo.AUTO,
                512,
                XtsEngine.AUTO,
                4194304,
                32,
                67108864,
                0,
                10000));
    assertThat(config.source()).isEmpty();
    assertThat(fixture.warnings).isEmpty();
  }

  @Test
  void every_key_reaches_its_component() throws ConfigException {
    DeviceConfig config =
        fixture.device(
            """
            path: /disk
            stripe_source: {source: raw, path: /image}
            metadata_path: /metadata
            rpc_socket_path: /rpc
            socket: /socket
            cpus: [3, 0x4]
            num_queues: 2
            queue_size: 128
            seg_size_max: 4096
            seg_count_max: 8
            poll_queue_timeout_us: 7
            copy_on_read: true
            track_written: true
            write_through: true
            autofetch: true
            encryption_key: [%s, %s]
            device_id: vm1
            io_engine: sync
            direct_io: false
            logical_block_size: 4096
            xts_engine: isa-l
            bounce_bytes: 2097152
            fetch_concurrency: 9
            fetch_bytes: 1048577
            fetch_timeout_ms: 11
            stop_timeout_ms: 12
            """
                .formatted(KEY, OTHER_KEY));
    XtsKeys keys = config.encryptionKey().orElseThrow();
    assertThat(config)
        .isEqualTo(
            new DeviceConfig(
                "/disk",
                Optional.empty(),
                Optional.of(new StripeSourceConfig.Raw("/image")),
                Optional.of("/metadata"),
                Optional.of("/rpc"),
                Optional.of("/socket"),
                Optional.of(List.of(3, 4)),
                2,
                128,
                4096,
                8,
                7,
                true,
                true,
                true,
                true,
                Optional.of(keys),
                "vm1",
                IoEngine.SYNC,
                DirectIo.NEVER,
                4096,
                XtsEngine.ISA_L,
                2097152,
                9,
                1048577,
                11,
                12));
    String order = keys.handOver((data, tweak) -> data[0] + " " + tweak[0]);
    assertThat(order).isEqualTo("0 -128");
    assertThat(fixture.warnings).isEmpty();
  }

  @ParameterizedTest
  @CsvSource({
    "123, 123",
    "on, on",
    "true, true",
    "null, null",
    "~, ~",
    "'', ''",
    "0x10, 0x10",
    "1.50, 1.50",
    "\"12\", 12",
    "010, 010",
  })
  void a_string_is_the_text_of_any_scalar(String scalar, String text) throws ConfigException {
    assertThat(fixture.device(PATH + "device_id: " + scalar).deviceId()).isEqualTo(text);
  }

  @Test
  void a_required_string_may_even_be_null() throws ConfigException {
    assertThat(fixture.device("path: null").path()).isEqualTo("null");
    assertThat(fixture.device("path: true").path()).isEqualTo("true");
  }

  @ParameterizedTest
  @ValueSource(strings = {"", "~", "null", "Null", "NULL"})
  void optional_keys_may_be_null(String nothing) throws ConfigException {
    StringBuilder yaml = new StringBuilder(PATH);
    for (String key :
        List.of(
            "image_path",
            "stripe_source",
            "metadata_path",
            "rpc_socket_path",
            "socket",
            "cpus",
            "encryption_key")) {
      yaml.append(key).append(": ").append(nothing).append('\n');
    }
    DeviceConfig config = fixture.device(yaml.toString());
    assertThat(config).isEqualTo(fixture.device(PATH));
  }

  @ParameterizedTest
  @ValueSource(strings = {"null", "~", "Null"})
  void a_quoted_null_is_a_string(String text) throws ConfigException {
    assertThat(fixture.device(PATH + "socket: \"" + text + "\"").socket()).contains(text);
    assertThat(fixture.deviceRefusal(PATH + "cpus: \"" + text + "\""))
        .isEqualTo("vm.yaml: cpus: must be a list, is a string (line 2)");
  }

  @ParameterizedTest
  @ValueSource(strings = {"", "~", "null"})
  void keys_with_a_default_may_not_be_null(String nothing) {
    for (Key key : Keys.DEVICE.keys()) {
      if (key instanceof Key.Whole || key instanceof Key.Flag || key instanceof Key.Choice<?>) {
        assertThat(fixture.deviceRefusal(PATH + key.name() + ": " + nothing))
            .startsWith("vm.yaml: " + key.name() + ": must be ")
            .contains("is " + (nothing.isEmpty() ? "empty" : nothing));
      }
    }
  }

  @ParameterizedTest
  @CsvSource({
    "true, true",
    "True, true",
    "TRUE, true",
    "false, false",
    "False, false",
    "FALSE, false"
  })
  void booleans_have_six_spellings(String text, boolean value) throws ConfigException {
    assertThat(fixture.device(PATH + "autofetch: " + text).autofetch()).isEqualTo(value);
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "yes",
        "no",
        "on",
        "off",
        "y",
        "n",
        "Yes",
        "ON",
        "tRUE",
        "1",
        "0",
        "\"true\"",
        "'false'",
        "[true]"
      })
  void other_booleans_are_refused(String text) {
    assertThat(fixture.deviceRefusal(PATH + "autofetch: " + text))
        .startsWith("vm.yaml: autofetch: must be true or false, is ")
        .endsWith("(line 2)");
  }

  @ParameterizedTest
  @CsvSource({"5, 5", "+5, 5", "0x10, 16", "0o20, 16", "0b101, 5", "+0xFf, 255", "0, 0"})
  void integers_have_four_notations(String text, long value) throws ConfigException {
    assertThat(fixture.device(PATH + "poll_queue_timeout_us: " + text).pollQueueTimeoutUs())
        .isEqualTo(value);
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "010", "00", "1_000", "1.0", "1e3", "-1", "-0x1", "\"5\"", "'5'", "0x", "0o8", "0b2", "++5",
        "1:30", ".5", "true", "five", "[5]", "{a: 5}", "5 5"
      })
  void other_integers_are_refused(String text) {
    assertThat(fixture.deviceRefusal(PATH + "poll_queue_timeout_us: " + text))
        .startsWith(
            "vm.yaml: poll_queue_timeout_us: must be an unsigned integer without quotes, is ")
        .endsWith("(line 2)");
  }

  private static Stream<Key.Whole> wholeKeys() {
    return Keys.DEVICE.keys().stream()
        .filter(Key.Whole.class::isInstance)
        .map(Key.Whole.class::cast);
  }

  @ParameterizedTest
  @MethodSource("wholeKeys")
  void an_integer_keeps_to_its_type_and_its_range(Key.Whole key) {
    String beyondType = BigInteger.ONE.shiftLeft(key.bits()).toString();
    String sentence = "vm.yaml: %s: must be %s, is ".formatted(key.name(), key.rangeText());
    assertThat(fixture.deviceRefusal(PATH + key.name() + ": " + beyondType))
        .isEqualTo(sentence + beyondType);
    String atType = BigInteger.ONE.shiftLeft(key.bits()).subtract(BigInteger.ONE).toString();
    assertThat(fixture.deviceRefusal(PATH + key.name() + ": " + atType))
        .isEqualTo(sentence + atType);
  }

  @ParameterizedTest
  @CsvSource({
    "num_queues, 1, 63, 0, 64",
    "queue_size, 2, 32768, 1, 65536",
    "queue_size, 64, 1024, 0, 100",
    "seg_size_max, 512, 1073741824, 511, 1073741825",
    "seg_count_max, 1, 1024, 0, 1025",
    "poll_queue_timeout_us, 0, 10000000, 10000001, 18446744073709551616",
    "logical_block_size, 512, 4096, 1024, 0",
    "bounce_bytes, 1048576, 1073741824, 1048575, 1073741825",
    "fetch_concurrency, 1, 256, 0, 257",
    "fetch_bytes, 1048576, 17179869184, 1048575, 17179869185",
    "fetch_timeout_ms, 0, 604800000, 604800001, 9223372036854775808",
    "stop_timeout_ms, 0, 600000, 600001, 9223372036854775807",
  })
  void ranges_end_where_they_should(String key, String low, String high, String bad, String worse)
      throws ConfigException {
    assertThat(fixture.device(PATH + key + ": " + low)).isNotNull();
    assertThat(fixture.device(PATH + key + ": " + high)).isNotNull();
    for (String value : List.of(bad, worse)) {
      assertThat(fixture.deviceRefusal(PATH + key + ": " + value))
          .startsWith("vm.yaml: " + key + ": must be ")
          .endsWith(", is " + value);
    }
  }

  @ParameterizedTest
  @CsvSource({
    "io_engine, SYNC, 'io_uring, sync'",
    "io_engine, io-uring, 'io_uring, sync'",
    "direct_io, yes, 'auto, true, false'",
    "xts_engine, isal, 'auto, vaes512, vaes256, aesni, isa-l, openssl'",
  })
  void choices_are_named_when_another_was_made(String key, String value, String choices) {
    assertThat(fixture.deviceRefusal(PATH + key + ": " + value))
        .isEqualTo("vm.yaml: %s: must be one of %s, is %s (line 2)".formatted(key, choices, value));
  }

  @Test
  void a_choice_may_be_quoted() throws ConfigException {
    DeviceConfig config = fixture.device(PATH + "io_engine: \"sync\"\ndirect_io: 'true'\n");
    assertThat(config.ioEngine()).isEqualTo(IoEngine.SYNC);
    assertThat(config.directIo()).isEqualTo(DirectIo.ALWAYS);
  }

  @Test
  void the_path_is_required() {
    assertThat(fixture.deviceRefusal("socket: /s\n"))
        .isEqualTo("vm.yaml: path: is required, but not there");
    assertThat(fixture.deviceRefusal("path:\n")).isEqualTo("vm.yaml: path: must not be empty");
    assertThat(fixture.deviceRefusal("path: [a]\n"))
        .isEqualTo("vm.yaml: path: must be a string, is a list (line 1)");
    assertThat(fixture.deviceRefusal("path: \"a\\0b\"\n"))
        .isEqualTo("vm.yaml: path: has a NUL character (line 1)");
  }

  @Test
  void a_device_id_has_at_most_20_bytes() throws ConfigException {
    assertThat(fixture.device(PATH + "device_id: 12345678901234567890").deviceId()).hasSize(20);
    assertThat(fixture.device(PATH + "device_id: ääääääääää").deviceId()).hasSize(10);
    assertThat(fixture.deviceRefusal(PATH + "device_id: 123456789012345678901"))
        .isEqualTo("vm.yaml: device_id: must be at most 20 bytes of UTF-8, is 21");
    assertThat(fixture.deviceRefusal(PATH + "device_id: äääääääääää")).endsWith("is 22");
  }

  @Test
  void cpus_are_integers_of_a_range() throws ConfigException {
    assertThat(fixture.device(PATH + "cpus: [0, 1023]").cpus()).contains(List.of(0, 1023));
    assertThat(fixture.device(PATH + "cpus: []").cpus()).contains(List.of());
    assertThat(fixture.deviceRefusal(PATH + "cpus: [0, 1024]"))
        .isEqualTo("vm.yaml: cpus[1]: must be 0 to 1023, is 1024");
    assertThat(fixture.deviceRefusal(PATH + "cpus: [\"0\"]")).startsWith("vm.yaml: cpus[0]: must");
    assertThat(fixture.deviceRefusal(PATH + "cpus: [~]")).startsWith("vm.yaml: cpus[0]: must");
    assertThat(fixture.deviceRefusal(PATH + "cpus: 3"))
        .isEqualTo("vm.yaml: cpus: must be a list, is a number (line 2)");
  }

  @Test
  void an_encryption_key_is_two_base64_strings() {
    String one = "vm.yaml: encryption_key: must be a list of exactly 2 keys, has ";
    assertThat(fixture.deviceRefusal(PATH + "encryption_key: []")).isEqualTo(one + "0");
    assertThat(fixture.deviceRefusal(PATH + "encryption_key: [" + KEY + "]")).isEqualTo(one + "1");
    assertThat(
            fixture.deviceRefusal(
                PATH + "encryption_key: [%s, %s, %s]".formatted(KEY, OTHER_KEY, KEY)))
        .isEqualTo(one + "3");
    assertThat(fixture.deviceRefusal(PATH + "encryption_key: " + KEY))
        .isEqualTo("vm.yaml: encryption_key: must be a list, is a string (line 2)");
    assertThat(fixture.deviceRefusal(PATH + "encryption_key: {a: b}"))
        .isEqualTo("vm.yaml: encryption_key: must be a list, is a mapping (line 2)");
    assertThat(fixture.deviceRefusal(PATH + "encryption_key: [[a], b]"))
        .isEqualTo("vm.yaml: encryption_key[0]: must be base64, is a list (line 2)");
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8",
        "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh9=",
        "\" AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\"",
        "\"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBka GxwdHh8=\"",
        "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8-",
      })
  void a_key_is_strict_base64(String text) {
    assertThat(
            fixture.deviceRefusal(
                PATH + "encryption_key:\n- %s\n- %s\n".formatted(OTHER_KEY, text)))
        .isEqualTo("vm.yaml: encryption_key[1]: is not canonical base64 (line 4)");
  }

  @Test
  void a_key_has_32_bytes() {
    String yaml = PATH + "encryption_key: [%s, %s]\n";
    assertThat(fixture.deviceRefusal(yaml.formatted("AAECAw==", KEY)))
        .isEqualTo("vm.yaml: encryption_key[0]: must be 32 bytes, is 4");
    assertThat(fixture.deviceRefusal(yaml.formatted(KEY, "AAECAw==")))
        .isEqualTo("vm.yaml: encryption_key[1]: must be 32 bytes, is 4");
  }

  @Test
  void equal_keys_warn() throws ConfigException {
    DeviceConfig config = fixture.device(PATH + "encryption_key: [%s, %s]\n".formatted(KEY, KEY));
    assertThat(config.encryptionKey()).isPresent();
    assertThat(fixture.warnings)
        .hasSize(1)
        .first()
        .asString()
        .contains("vm.yaml: encryption_key: both keys are the same")
        .doesNotContain(KEY);
  }

  @Test
  void a_known_key_stands_once() {
    assertThat(fixture.deviceRefusal(PATH + "socket: /a\nsocket: /a\n"))
        .isEqualTo("vm.yaml: socket: is there twice (line 3)");
    assertThat(fixture.deviceRefusal(PATH + "path: ~\n"))
        .isEqualTo("vm.yaml: path: is there twice (line 2)");
    assertThat(fixture.deviceRefusal(PATH + "stripe_source: {source: raw, path: /i, path: /j}\n"))
        .isEqualTo("vm.yaml: stripe_source.path: is there twice (line 2)");
    assertThat(
            fixture.deviceRefusal(PATH + "stripe_source: {source: raw, source: raw, path: /i}\n"))
        .isEqualTo("vm.yaml: stripe_source.source: is there twice (line 2)");
  }

  @Test
  void unknown_keys_warn_and_name_the_nearest_known_one() throws ConfigException {
    fixture.device(PATH + "num_queue: 2\nnum_queue: 3\nqueue_sise: {a: [b]}\n");
    assertThat(fixture.warnings)
        .extracting(warning -> warning.substring(directory.toString().length() + 1))
        .containsExactly(
            "vm.yaml: num_queue: unknown key is ignored; the nearest known one is num_queues",
            "vm.yaml: queue_sise: unknown key is ignored; the nearest known one is queue_size");
  }

  @Test
  void unknown_keys_warn_at_every_level() throws ConfigException {
    fixture.device(
        PATH
            + """
            copy_on_read: true
            metadata_path: /m
            stripe_source:
              source: archive
              type: s3
              buckett: x
              bucket: b
              credentials: {access_key_id: "QQ==", secret_access_key: "QQ==", token: x}
              archive_kek: {method: none, methods: none}
            """);
    assertThat(fixture.warnings)
        .extracting(warning -> warning.split(": ", 3)[1])
        .containsExactly(
            "stripe_source.buckett",
            "stripe_source.credentials.token",
            "stripe_source.archive_kek.methods");
  }

  @Test
  void a_key_that_looks_like_a_secret_is_not_repeated() throws ConfigException {
    fixture.device(PATH + KEY + ": 1\n");
    assertThat(fixture.warnings)
        .hasSize(1)
        .first()
        .asString()
        .contains("line 2")
        .doesNotContain(KEY);
  }

  @Test
  void merge_keys_are_not_expanded() throws ConfigException {
    DeviceConfig config = fixture.device("x: &x {num_queues: 5}\n<<: *x\npath: /disk\n");
    assertThat(config.numQueues()).isEqualTo(1);
    assertThat(fixture.warnings).hasSize(2).last().asString().contains("merge keys are not");
  }

  @Test
  void anchors_and_aliases_work() throws ConfigException {
    DeviceConfig config =
        fixture.device(
            "path: &p /disk\nsocket: *p\ncpus: [&c 1, *c]\nstripe_source: ~\nnum_queues: *c\n");
    assertThat(config.socket()).contains("/disk");
    assertThat(config.cpus()).contains(List.of(1, 1));
  }

  @ParameterizedTest
  @CsvSource({
    "'', is empty",
    "'# remark', is empty",
    "---, is not a mapping of keys to values",
    "text, is not a mapping of keys to values",
    "'- a', is not a mapping of keys to values",
    "'[]', is not a mapping of keys to values",
    "'path: a: b', 'is not YAML: a '':'' where no key can be (line 1, column 8)'",
  })
  void a_file_is_one_mapping(String yaml, String sentence) {
    assertThat(fixture.deviceRefusal(yaml)).isEqualTo("vm.yaml: " + sentence);
  }

  @Test
  void a_second_document_is_refused() {
    assertThat(fixture.deviceRefusal(PATH + "---\n" + PATH)).contains("second document");
  }

  @Test
  void a_file_has_a_length_limit() throws IOException {
    Path file = directory.resolve("long.yaml");
    byte[] content = new byte[ConfigFile.BYTES_MAX + 1];
    Arrays.fill(content, (byte) '\n');
    byte[] path = PATH.getBytes(UTF_8);
    System.arraycopy(path, 0, content, 0, path.length);
    Files.write(file, content);
    assertThat(fixture.refusal(() -> ConfigLoader.load(file, null, fixture.warnings::add)))
        .isEqualTo("long.yaml: is longer than 1048576 bytes");
    Files.write(file, Arrays.copyOf(content, ConfigFile.BYTES_MAX));
    assertThat(load(file).path()).isEqualTo("/disk");
  }

  private DeviceConfig load(Path file) {
    try {
      return ConfigLoader.load(file, null, fixture.warnings::add);
    } catch (ConfigException e) {
      throw new AssertionError(e);
    }
  }

  @Test
  void a_file_that_cannot_be_read_is_told() {
    Path missing = directory.resolve("missing.yaml");
    assertThat(fixture.refusal(() -> ConfigLoader.load(missing, null, fixture.warnings::add)))
        .isEqualTo("missing.yaml: cannot be read: it does not exist");
    assertThat(
            fixture.refusal(
                () ->
                    ConfigLoader.load(
                        Files.createDirectory(directory.resolve("d")),
                        null,
                        fixture.warnings::add)))
        .startsWith("d: cannot be read: ");
  }

  @Test
  void long_and_strange_values_are_shown_short_and_on_one_line() {
    assertThat(fixture.deviceRefusal(PATH + "io_engine: \"a\\nb\""))
        .isEqualTo(
            "vm.yaml: io_engine: must be one of io_uring, sync, is \"a?b\" in quotes (line 2)");
    assertThat(fixture.deviceRefusal(PATH + "io_engine: " + "x".repeat(5000))).hasSizeLessThan(200);
  }
}
