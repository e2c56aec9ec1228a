// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.config;

import io.ubiblk.secret.Secret;
import java.util.Optional;

/**
 * An end of a remote stripe connection: part of a device's configuration, or the whole of a listen
 * or server file.
 *
 * @param address {@code host:port}
 * @param pskIdentity the name of the pre-shared key; present if and only if the secret is
 * @param pskSecret the pre-shared key
 */
public record RemoteConfig(String address, Optional<String> pskIdentity, Optional<Secret> pskSecret)
    implements AutoCloseable {
  @Override
  public void close() {
    pskSecret.ifPresent(Secret::close);
  }
}
