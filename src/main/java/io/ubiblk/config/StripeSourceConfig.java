// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.config;

/** Where stripes come from that the base disk does not have yet. */
public sealed interface StripeSourceConfig extends AutoCloseable {
  /** Zeroes the secrets that were not handed on. */
  @Override
  void close();

  /**
   * A plaintext image on this host.
   *
   * @param path the image file
   */
  record Raw(String path) implements StripeSourceConfig {
    @Override
    public void close() {
      // An image has no secrets.
    }
  }

  /**
   * A stripe server.
   *
   * @param server where it is and how to talk to it
   */
  record Remote(RemoteConfig server) implements StripeSourceConfig {
    @Override
    public void close() {
      server.close();
    }
  }

  /**
   * An archive.
   *
   * @param target where it lies
   */
  record Archive(ArchiveTargetConfig target) implements StripeSourceConfig {
    @Override
    public void close() {
      target.close();
    }
  }
}
