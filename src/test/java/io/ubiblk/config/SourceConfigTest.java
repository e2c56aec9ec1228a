// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.config;

import static org.assertj.core.api.Assertions.assertThat;

import io.ubiblk.secret.Hex;
import java.nio.file.Path;
import java.util.Optional;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Stripe sources, the files that hold one end of a connection or an archive, and the rules. */
class SourceConfigTest {
  private static final String DEVICE = "path: /d\nmetadata_path: /m\ncopy_on_read: true\n";

  @TempDir private Path directory;
  private ConfigFixture fixture;

  @BeforeEach
  void makeFixture() {
    fixture = new ConfigFixture(directory);
  }

  private StripeSourceConfig source(String flow) throws ConfigException {
    return fixture.device(DEVICE + "stripe_source: " + flow).stripeSource().orElseThrow();
  }

  private String refusal(String flow) {
    String message = fixture.deviceRefusal(DEVICE + "stripe_source: " + flow);
    return message.substring("vm.yaml: ".length());
  }

  private ArchiveTargetConfig.S3 s3(String flow) throws ConfigException {
    var archive = (StripeSourceConfig.Archive) source("{source: archive, type: s3, " + flow + "}");
    return (ArchiveTargetConfig.S3) archive.target();
  }

  @Test
  void a_raw_image() throws ConfigException {
    assertThat(source("{source: raw, path: /image}"))
        .isEqualTo(new StripeSourceConfig.Raw("/image"));
    assertThat(fixture.device("path: /d\nmetadata_path: /m\nimage_path: 12\n").source())
        .contains(new StripeSourceConfig.Raw("12"));
  }

  @Test
  void a_stripe_server() throws ConfigException {
    assertThat(source("{source: remote, address: \"10.0.0.1:1\"}"))
        .isEqualTo(
            new StripeSourceConfig.Remote(
                new RemoteConfig("10.0.0.1:1", Optional.empty(), Optional.empty())));
    var remote =
        (StripeSourceConfig.Remote)
            source("{source: remote, address: a, psk_identity: id, psk_secret: \"AQI=\"}");
    assertThat(remote.server().pskIdentity()).contains("id");
    assertThat(Hex.of(remote.server().pskSecret().orElseThrow())).isEqualTo("0102");
  }

  @Test
  void an_archive_in_a_directory() throws ConfigException {
    var archive =
        (StripeSourceConfig.Archive) source("{source: archive, type: filesystem, path: /a}");
    var target = (ArchiveTargetConfig.FileSystem) archive.target();
    assertThat(target.path()).isEqualTo("/a");
    assertThat(target.archiveKek().toString()).isEqualTo("none");
  }

  @Test
  void an_archive_in_s3() throws ConfigException {
    ArchiveTargetConfig.S3 least = s3("bucket: b");
    assertThat(least.bucket()).isEqualTo("b");
    assertThat(least.prefix()).isEmpty();
    assertThat(least.endpoint()).isEmpty();
    assertThat(least.region()).isEmpty();
    assertThat(least.profile()).isEmpty();
    assertThat(least.credentials()).isEmpty();
    assertThat(least.connections()).isEqualTo(16);
    ArchiveTargetConfig.S3 most =
        s3(
            "bucket: b, prefix: p/q, endpoint: \"http://e\", region: auto, profile: dev,"
                + " connections: 0x20, credentials: {access_key_id: \"aWQ=\","
                + " secret_access_key: \"a2V5\"}, archive_kek: {method: aes256-gcm}");
    assertThat(most.prefix()).contains("p/q");
    assertThat(most.endpoint()).contains("http://e");
    assertThat(most.region()).contains("auto");
    assertThat(most.profile()).contains("dev");
    assertThat(most.connections()).isEqualTo(32);
    assertThat(Hex.of(most.credentials().orElseThrow().accessKeyId())).isEqualTo("6964");
    assertThat(Hex.of(most.credentials().orElseThrow().secretAccessKey())).isEqualTo("6b6579");
    assertThat(most.archiveKek().toString()).startsWith("aes256-gcm");
  }

  @ParameterizedTest
  @CsvSource({"0, 1", "1, 1", "128, 128", "129, 128", "18446744073709551615, 128"})
  void connections_are_brought_into_their_range(String written, int used) throws ConfigException {
    assertThat(s3("bucket: b, connections: " + written).connections()).isEqualTo(used);
  }

  @ParameterizedTest
  @CsvSource({"/p/, p", "p, p", "//p//q//, p//q"})
  void slashes_around_a_prefix_are_dropped(String written, String used) throws ConfigException {
    assertThat(s3("bucket: b, prefix: " + written).prefix()).contains(used);
  }

  @ParameterizedTest
  @ValueSource(strings = {"/", "///", "\"\"", "~"})
  void a_prefix_of_nothing_is_none(String written) throws ConfigException {
    assertThat(s3("bucket: b, prefix: " + written).prefix()).isEmpty();
  }

  @ParameterizedTest
  @ValueSource(strings = {"..", "a/../b", "../a", "a/..", ".", "./a"})
  void a_prefix_of_a_target_file_stays_in_its_place(String prefix) throws ConfigException {
    assertThat(fixture.refusal(() -> fixture.archive("type: s3\nbucket: b\nprefix: " + prefix)))
        .isEqualTo("target.yaml: prefix: must have no component .. and no . at its beginning");
    assertThat(s3("bucket: b, prefix: " + prefix).prefix()).contains(prefix);
  }

  @Test
  void a_prefix_may_have_dots_elsewhere() throws ConfigException {
    var target = (ArchiveTargetConfig.S3) fixture.archive("type: s3\nbucket: b\nprefix: .b/./..c");
    assertThat(target.prefix()).contains(".b/./..c");
  }

  @ParameterizedTest
  @CsvSource({
    "123, 123",
    "true, true",
    "1.5, 1.5",
    "0x1, 0x1",
    "~, ~",
    "null, null",
    "'', empty",
  })
  void below_a_discriminator_a_scalar_is_what_it_looks_like(String scalar, String shown) {
    assertThat(refusal("{source: archive, type: s3, bucket: " + scalar + "}"))
        .startsWith("stripe_source.bucket: must be a string, is " + shown);
  }

  @Test
  void below_a_discriminator_quotes_make_a_string() throws ConfigException {
    assertThat(s3("bucket: \"123\"").bucket()).isEqualTo("123");
    assertThat(s3("bucket: on").bucket()).isEqualTo("on");
    assertThat(s3("bucket: 010").bucket()).isEqualTo("010");
    assertThat(refusal("{source: raw, path: 12}")).contains("; put it in quotes");
    assertThat(refusal("{source: 1, path: a}"))
        .isEqualTo("stripe_source.source: must be one of raw, remote, archive, is 1 (line 4)");
    assertThat(refusal("{source: archive, type: s3, bucket: b, connections: \"1\"}"))
        .startsWith("stripe_source.connections: must be an unsigned integer");
    assertThat(
            refusal("{source: remote, address: a, psk_identity: i, psk_secret: 1234567890123456}"))
        .isEqualTo(
            "stripe_source.psk_secret: must be base64, is a number; put it in quotes (line 4)");
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      quoteCharacter = '`',
      textBlock =
          """
          {path: /i} | source: is required, but not there
          {source: nbd} | source: must be one of raw, remote, archive, is nbd (line 4)
          {source: ~} | source: must be one of raw, remote, archive, is ~ (line 4)
          {source: raw} | path: is required, but not there
          {source: raw, path: ""} | path: must not be empty
          {source: remote} | address: is required, but not there
          {source: archive} | type: is required, but not there
          {source: archive, type: tape} | type: must be one of filesystem, s3, is tape (line 4)
          {source: archive, type: filesystem} | path: is required, but not there
          {source: archive, type: s3} | bucket: is required, but not there
          """)
  void what_a_source_lacks_is_named(String flow, String message) {
    assertThat(refusal(flow)).isEqualTo("stripe_source." + message);
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      quoteCharacter = '`',
      textBlock =
          """
          archive_kek: ~ | archive_kek: must be a mapping, is null (line 4)
          archive_kek: {} | archive_kek.method: is required, but not there
          archive_kek: {method: x} | archive_kek.method: must be one of none, aes256-gcm
          connections: ~ | connections: must be an unsigned integer without quotes, is ~ (line 4)
          credentials: {access_key_id: "QQ=="} | credentials.secret_access_key: is required
          credentials: [a, b] | credentials: must be a mapping, is a list (line 4)
          """)
  void what_an_archive_in_s3_lacks_is_named(String key, String message) {
    assertThat(refusal("{source: archive, type: s3, bucket: b, " + key + "}"))
        .startsWith("stripe_source." + message);
  }

  @Test
  void a_source_is_a_mapping() {
    assertThat(refusal("[raw]")).isEqualTo("stripe_source: must be a mapping, is a list (line 4)");
    assertThat(refusal("raw")).isEqualTo("stripe_source: must be a mapping, is a string (line 4)");
  }

  @Test
  void credentials_are_utf8() {
    assertThat(
            refusal(
                "{source: archive, type: s3, bucket: b, credentials: {access_key_id: \"/w==\","
                    + " secret_access_key: \"QQ==\"}}"))
        .isEqualTo("stripe_source.credentials.access_key_id: is not UTF-8");
  }

  @Test
  void a_server_file_takes_any_scalar_as_text() throws ConfigException {
    RemoteConfig remote = fixture.remote("address: 80\npsk_identity: 7\npsk_secret: AAAA\n");
    assertThat(remote.address()).isEqualTo("80");
    assertThat(remote.pskIdentity()).contains("7");
    assertThat(fixture.warnings).isEmpty();
    fixture.remote("address: a\nsource: remote\n");
    assertThat(fixture.warnings).hasSize(1).first().asString().contains("source: unknown key");
  }

  @Test
  void a_target_file_does_not() {
    assertThat(fixture.refusal(() -> fixture.archive("type: filesystem\npath: 12\n")))
        .isEqualTo("target.yaml: path: must be a string, is 12; put it in quotes (line 2)");
  }

  @Test
  void a_psk_has_both_parts() throws ConfigException {
    String alone = "{source: remote, address: a, psk_identity: i}";
    assertThat(refusal(alone))
        .isEqualTo("stripe_source.psk_secret: is required, because psk_identity is there");
    assertThat(refusal("{source: remote, address: a, psk_secret: \"QQ==\"}"))
        .isEqualTo("stripe_source.psk_identity: is required, because psk_secret is there");
    assertThat(refusal("{source: remote, address: a, psk_identity: ~, psk_secret: \"QQ==\"}"))
        .contains("psk_identity: is required");
    assertThat(fixture.refusal(() -> fixture.remote("address: a\npsk_identity: i\n")))
        .isEqualTo("server.yaml: psk_secret: is required, because psk_identity is there");
    assertThat(fixture.remote("address: a\npsk_identity: ~\npsk_secret:\n").pskSecret()).isEmpty();
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "{source: remote, address: a}",
        "{source: archive, type: filesystem, path: /a}",
      })
  void copies_on_read_from_far_away(String flow) {
    assertThat(fixture.deviceRefusal("path: /d\nmetadata_path: /m\nstripe_source: " + flow))
        .isEqualTo("vm.yaml: copy_on_read: must be true with a remote or archive stripe source");
  }

  @Test
  void a_raw_image_needs_no_copy_on_read() throws ConfigException {
    assertThat(
            fixture
                .device("path: /d\nmetadata_path: /m\nstripe_source: {source: raw, path: /i}")
                .source())
        .isPresent();
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "image_path: /i",
        "stripe_source: {source: raw, path: /i}",
        "stripe_source: {source: remote, address: a}",
        "stripe_source: {source: archive, type: filesystem, path: /a}",
      })
  void a_source_needs_metadata(String yaml) {
    assertThat(fixture.deviceRefusal("path: /d\ncopy_on_read: true\n" + yaml))
        .isEqualTo("vm.yaml: metadata_path: is required with a stripe source");
  }

  @Test
  void rules_are_told_in_their_order() {
    String allBroken =
        "path: /d\nimage_path: /i\nstripe_source: {source: remote, address: a, psk_identity: i}\n";
    assertThat(fixture.deviceRefusal(allBroken)).contains("image_path: cannot be used together");
    String three = allBroken.replace("image_path: /i\n", "");
    assertThat(fixture.deviceRefusal(three)).contains("psk_secret: is required");
    String two = three.replace(", psk_identity: i", "");
    assertThat(fixture.deviceRefusal(two)).contains("copy_on_read: must be true");
    assertThat(fixture.deviceRefusal(two + "copy_on_read: true"))
        .contains("metadata_path: is required");
  }
}
