// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.config;

import io.ubiblk.secret.KeyEncryption;
import io.ubiblk.secret.Secret;
import java.util.Optional;

/** Where an archive lies: part of a device's configuration, or the whole of a target file. */
public sealed interface ArchiveTargetConfig extends AutoCloseable {
  /** The key that the archive's own keys are wrapped with. */
  KeyEncryption archiveKek();

  /** Zeroes the secrets that were not handed on. */
  @Override
  void close();

  /**
   * A directory.
   *
   * @param path the directory
   */
  record FileSystem(String path, KeyEncryption archiveKek) implements ArchiveTargetConfig {
    @Override
    public void close() {
      archiveKek.close();
    }
  }

  /**
   * A bucket of an S3 service.
   *
   * @param prefix what every object's name starts with, without slashes at its ends
   * @param endpoint the service's URL, if it is not Amazon's
   * @param profile the profile of the shared AWS configuration
   * @param connections concurrent connections
   */
  record S3(
      String bucket,
      Optional<String> prefix,
      Optional<String> endpoint,
      Optional<String> region,
      Optional<String> profile,
      Optional<Credentials> credentials,
      int connections,
      KeyEncryption archiveKek)
      implements ArchiveTargetConfig {
    @Override
    public void close() {
      credentials.ifPresent(Credentials::close);
      archiveKek.close();
    }
  }

  /** A pair of S3 keys, each valid UTF-8. */
  record Credentials(Secret accessKeyId, Secret secretAccessKey) implements AutoCloseable {
    @Override
    public void close() {
      accessKeyId.close();
      secretAccessKey.close();
    }
  }
}
