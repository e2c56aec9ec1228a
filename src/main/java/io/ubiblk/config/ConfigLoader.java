// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.config;

import io.ubiblk.secret.KeyEncryption;
import java.nio.file.Path;
import java.util.function.Consumer;

/**
 * Loads configuration files: read, parse, open secrets, check limits and rules, in this order. So a
 * wrong KEK is told before any mistake of logic.
 *
 * <p>Each method takes the KEK file or null, which means that secrets are not wrapped, and a
 * consumer of one-line warnings. The caller closes the result.
 */
public final class ConfigLoader {
  private static final Format<DeviceConfig> DEVICE =
      new Format<>(DeviceFields::read, DeviceRules::check);

  private static final Format<RemoteConfig> REMOTE =
      new Format<>(
          (file, root) ->
              SourceFields.remote(new Fields(file, "", root, Keys.REMOTE, Fields.Mode.DIRECT)),
          (file, remote) -> DeviceRules.checkPsk(file, "", remote));

  private static final Format<ArchiveTargetConfig> ARCHIVE =
      new Format<>(
          (file, root) -> SourceFields.archive(file, "", root, false), DeviceRules::checkPrefix);

  private ConfigLoader() {}

  /** A device's configuration. */
  public static DeviceConfig load(Path path, KekFile kek, Consumer<String> warnings)
      throws ConfigException {
    return load(path, kek, warnings, DEVICE);
  }

  /** The end of a remote connection: a server's listen file, or a client's server file. */
  public static RemoteConfig loadRemote(Path path, KekFile kek, Consumer<String> warnings)
      throws ConfigException {
    return load(path, kek, warnings, REMOTE);
  }

  /** The place that an archive is written to or read from. */
  public static ArchiveTargetConfig loadArchiveTarget(
      Path path, KekFile kek, Consumer<String> warnings) throws ConfigException {
    return load(path, kek, warnings, ARCHIVE);
  }

  /**
   * What one of the methods above reads, as far as its secrets; opening it gives what they give.
   */
  static Written<?> parse(ConfigKind kind, ConfigFile file, YamlNode.Mapping root)
      throws ConfigException {
    return switch (kind) {
      case DEVICE -> DEVICE.parse(file, root);
      case REMOTE -> REMOTE.parse(file, root);
      case ARCHIVE -> ARCHIVE.parse(file, root);
    };
  }

  private static <T> T load(Path path, KekFile kek, Consumer<String> warnings, Format<T> format)
      throws ConfigException {
    KeyEncryption encryption = kek == null ? KeyEncryption.none() : kek.keyEncryption();
    try (var file = new ConfigFile(path.toString(), warnings)) {
      T config = format.parse(file, ConfigFile.read(file, path)).open(encryption);
      file.release();
      return config;
    }
  }

  /** How files of one kind are read. */
  private record Format<T>(Parser<T> parser, Rules<T> rules) {
    Written<T> parse(ConfigFile file, YamlNode.Mapping root) throws ConfigException {
      Written<T> written = parser.parse(file, root);
      return kek -> {
        T config = written.open(kek);
        file.checkRanges();
        rules.check(file, config);
        return config;
      };
    }
  }

  private interface Parser<T> {
    Written<T> parse(ConfigFile file, YamlNode.Mapping root) throws ConfigException;
  }

  private interface Rules<T> {
    void check(ConfigFile file, T config) throws ConfigException;
  }
}
