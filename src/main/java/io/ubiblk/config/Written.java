// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.config;

import io.ubiblk.secret.KeyEncryption;
import java.util.Optional;

/**
 * A part of a configuration as it was written: typed and complete but for its secrets, which are
 * still wrapped. Opening them gives the finished {@code T}.
 */
@FunctionalInterface
interface Written<T> {
  /** Opens every secret under {@code kek}, in the order of the format. */
  T open(KeyEncryption kek) throws ConfigException;

  /** Opens a part that may be absent. */
  static <T> Optional<T> openIfPresent(Optional<? extends Written<T>> part, KeyEncryption kek)
      throws ConfigException {
    return part.isPresent() ? Optional.of(part.get().open(kek)) : Optional.empty();
  }
}
