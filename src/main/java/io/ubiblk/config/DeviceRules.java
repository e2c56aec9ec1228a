// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.config;

import java.util.List;
import java.util.Optional;

/** What the keys of a configuration demand of each other; looked at once the secrets are open. */
final class DeviceRules {
  private DeviceRules() {}

  /** Checks the rules in the order in which their violations are told. */
  static void check(ConfigFile file, DeviceConfig config) throws ConfigException {
    if (config.imagePath().isPresent() && config.stripeSource().isPresent()) {
      throw file.error(
          Keys.IMAGE_PATH.name(), "cannot be used together with stripe_source; keep the latter");
    }
    Optional<StripeSourceConfig> source = config.source();
    if (source.isEmpty()) {
      return;
    }
    if (source.get() instanceof StripeSourceConfig.Remote remote) {
      checkPsk(file, "stripe_source.", remote.server());
    }
    if (!(source.get() instanceof StripeSourceConfig.Raw) && !config.copyOnRead()) {
      throw file.error(
          Keys.COPY_ON_READ.name(), "must be true with a remote or archive stripe source");
    }
    if (config.metadataPath().isEmpty()) {
      throw file.error(Keys.METADATA_PATH.name(), "is required with a stripe source");
    }
  }

  /** A pre-shared key has a name and a secret, or there is none. */
  static void checkPsk(ConfigFile file, String prefix, RemoteConfig server) throws ConfigException {
    if (server.pskIdentity().isPresent() != server.pskSecret().isPresent()) {
      boolean identity = server.pskIdentity().isPresent();
      String there = identity ? "psk_identity" : "psk_secret";
      String missing = identity ? "psk_secret" : "psk_identity";
      throw file.error(prefix + missing, "is required, because " + there + " is there");
    }
  }

  /** An archive's prefix never leaves the place it names; told for target files only. */
  static void checkPrefix(ConfigFile file, ArchiveTargetConfig target) throws ConfigException {
    if (target instanceof ArchiveTargetConfig.S3 s3 && s3.prefix().isPresent()) {
      List<String> components = List.of(s3.prefix().get().split("/", -1));
      if (components.contains("..") || components.get(0).equals(".")) {
        throw file.error(Keys.PREFIX.name(), "must have no component .. and no . at its beginning");
      }
    }
  }
}
