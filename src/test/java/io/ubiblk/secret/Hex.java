// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.secret;

import java.util.HexFormat;
import java.util.Optional;

/** Secrets from and to hexadecimal text, for tests. */
public final class Hex {
  private Hex() {}

  public static Secret secret(String hex) {
    return Secret.take(HexFormat.of().parseHex(hex));
  }

  public static Optional<Secret> present(String hex) {
    return Optional.of(secret(hex));
  }

  public static String of(Secret secret) {
    return secret.lend(bytes -> HexFormat.of().formatHex(bytes));
  }
}
