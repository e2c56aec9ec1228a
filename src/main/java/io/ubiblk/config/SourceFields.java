// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.config;

import io.ubiblk.config.KekFile.WrittenKek;
import io.ubiblk.config.Keys.ArchiveKind;
import io.ubiblk.config.Keys.SourceKind;
import io.ubiblk.secret.KeyEncryption;
import io.ubiblk.secret.Secret;
import java.nio.ByteBuffer;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.Optional;
import java.util.regex.Pattern;

/** Reads where content comes from or goes to: stripe sources, stripe servers, archives. */
final class SourceFields {
  private static final Pattern SLASHES_AROUND = Pattern.compile("^/+|/+$");

  private SourceFields() {}

  /** The mapping under {@code stripe_source}. */
  static Written<StripeSourceConfig> stripeSource(
      ConfigFile file, String path, YamlNode.Mapping mapping) throws ConfigException {
    SourceKind kind = Fields.discriminator(file, path, mapping, Keys.SOURCE);
    if (kind == SourceKind.RAW) {
      var raw =
          new StripeSourceConfig.Raw(
              fields(file, path, mapping, Keys.RAW.after(Keys.SOURCE)).text(Keys.PATH));
      return kek -> raw;
    } else if (kind == SourceKind.REMOTE) {
      Written<RemoteConfig> server =
          remote(fields(file, path, mapping, Keys.REMOTE.after(Keys.SOURCE)));
      return kek -> new StripeSourceConfig.Remote(server.open(kek));
    }
    Written<ArchiveTargetConfig> target = archive(file, path, mapping, true);
    return kek -> new StripeSourceConfig.Archive(target.open(kek));
  }

  /** The keys of one end of a remote connection, without a look at their pairing. */
  static Written<RemoteConfig> remote(Fields fields) throws ConfigException {
    String address = fields.text(Keys.ADDRESS);
    Optional<String> identity = fields.optionalText(Keys.PSK_IDENTITY);
    Optional<WrappedSecret> secret = fields.optionalSecret(Keys.PSK_SECRET, SecretName.PSK_SECRET);
    return kek -> new RemoteConfig(address, identity, Written.openIfPresent(secret, kek));
  }

  /**
   * An archive's place, inside a device's configuration or as a file of its own.
   *
   * @param inSource whether the mapping has the discriminator {@code source} as well
   */
  static Written<ArchiveTargetConfig> archive(
      ConfigFile file, String path, YamlNode.Mapping mapping, boolean inSource)
      throws ConfigException {
    ArchiveKind kind = Fields.discriminator(file, path, mapping, Keys.TYPE);
    Schema own = kind == ArchiveKind.S3 ? Keys.S3 : Keys.FILESYSTEM;
    Schema schema = inSource ? own.after(Keys.SOURCE) : own;
    var fields = new Fields(file, path, mapping, schema, Fields.Mode.BUFFERED);
    return kind == ArchiveKind.S3 ? s3(file, fields) : fileSystem(file, fields);
  }

  private static Written<ArchiveTargetConfig> fileSystem(ConfigFile file, Fields fields)
      throws ConfigException {
    String directory = fields.text(Keys.PATH);
    Written<KeyEncryption> archiveKek = archiveKek(file, fields);
    return kek -> new ArchiveTargetConfig.FileSystem(directory, archiveKek.open(kek));
  }

  private static Written<ArchiveTargetConfig> s3(ConfigFile file, Fields fields)
      throws ConfigException {
    String bucket = fields.text(Keys.BUCKET);
    Optional<String> prefix =
        fields
            .optionalText(Keys.PREFIX)
            .map(text -> SLASHES_AROUND.matcher(text).replaceAll(""))
            .filter(text -> !text.isEmpty());
    Optional<String> endpoint = fields.optionalText(Keys.ENDPOINT);
    Optional<String> region = fields.optionalText(Keys.REGION);
    Optional<String> profile = fields.optionalText(Keys.PROFILE);
    Optional<Written<ArchiveTargetConfig.Credentials>> credentials = credentials(file, fields);
    int connections =
        (int) Math.max(1, Math.min(fields.whole(Keys.CONNECTIONS), Keys.CONNECTIONS_MAX));
    Written<KeyEncryption> archiveKek = archiveKek(file, fields);
    return kek -> {
      KeyEncryption openedKek = archiveKek.open(kek);
      return new ArchiveTargetConfig.S3(
          bucket,
          prefix,
          endpoint,
          region,
          profile,
          Written.openIfPresent(credentials, kek),
          connections,
          openedKek);
    };
  }

  private static Optional<Written<ArchiveTargetConfig.Credentials>> credentials(
      ConfigFile file, Fields fields) throws ConfigException {
    Optional<YamlNode> node = fields.optional(Keys.CREDENTIALS);
    if (node.isEmpty()) {
      return Optional.empty();
    }
    YamlNode.Mapping mapping = fields.mapping(Keys.CREDENTIALS, node.get());
    Fields pair = fields(file, fields.join("credentials"), mapping, Keys.S3_CREDENTIALS);
    WrappedSecret id = pair.secret(Keys.ACCESS_KEY_ID, SecretName.ACCESS_KEY_ID);
    WrappedSecret key = pair.secret(Keys.SECRET_ACCESS_KEY, SecretName.SECRET_ACCESS_KEY);
    return Optional.of(
        kek -> new ArchiveTargetConfig.Credentials(openText(id, kek), openText(key, kek)));
  }

  private static Secret openText(WrappedSecret wrapped, KeyEncryption kek) throws ConfigException {
    Secret secret = wrapped.open(kek);
    try {
      secret.lend(SourceFields::checkText);
      return secret;
    } catch (CharacterCodingException e) {
      throw wrapped.error("is not UTF-8");
    }
  }

  /** Keeps nothing of what it decodes; the result means nothing. */
  private static boolean checkText(byte[] bytes) throws CharacterCodingException {
    var characters = StandardCharsets.UTF_8.newDecoder().decode(ByteBuffer.wrap(bytes));
    Arrays.fill(characters.array(), '\0');
    return true;
  }

  private static Written<KeyEncryption> archiveKek(ConfigFile file, Fields fields)
      throws ConfigException {
    Optional<YamlNode> node = fields.present(Keys.ARCHIVE_KEK);
    if (node.isEmpty()) {
      return kek -> KeyEncryption.none();
    }
    YamlNode.Mapping mapping = fields.mapping(Keys.ARCHIVE_KEK, node.get());
    return WrittenKek.read(fields(file, fields.join("archive_kek"), mapping, Keys.KEK));
  }

  private static Fields fields(
      ConfigFile file, String path, YamlNode.Mapping mapping, Schema schema)
      throws ConfigException {
    return new Fields(file, path, mapping, schema, Fields.Mode.BUFFERED);
  }
}
