// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.config;

import java.util.Comparator;
import java.util.List;
import java.util.Optional;
import java.util.stream.Stream;

/**
 * The keys of one kind of mapping, under the title that docs/config.md gives their table.
 *
 * @param secret whether any value may be a secret in the wrong place, so that no message shows one
 */
record Schema(String title, boolean secret, List<Key> keys) {
  static Schema of(String title, Key... keys) {
    return new Schema(title, false, List.of(keys));
  }

  static Schema ofSecrets(String title, Key... keys) {
    return new Schema(title, true, List.of(keys));
  }

  /** The same keys with {@code first} before them, for a mapping that carries a discriminator. */
  Schema after(Key first) {
    return new Schema(title, secret, Stream.concat(Stream.of(first), keys.stream()).toList());
  }

  Optional<Key> find(String name) {
    return keys.stream().filter(key -> key.name().equals(name)).findFirst();
  }

  /** The key that takes the fewest edits to reach from {@code name}. */
  String nearest(String name) {
    return nearest(name, keys.stream().map(Key::name).toList());
  }

  /** The one of {@code known} that takes the fewest edits to reach from {@code name}. */
  static String nearest(String name, List<String> known) {
    return known.stream()
        .min(Comparator.comparingInt(candidate -> distance(name, candidate)))
        .orElseThrow();
  }

  /**
   * Levenshtein's distance with weights: what is typed is more often too short than too long, so
   * adding a character counts 1, and removing or replacing one counts 2.
   */
  private static int distance(String from, String to) {
    int[] row = new int[to.length() + 1];
    for (int j = 0; j < row.length; j++) {
      row[j] = j;
    }
    for (int i = 1; i <= from.length(); i++) {
      int diagonal = row[0];
      row[0] = 2 * i;
      for (int j = 1; j < row.length; j++) {
        int replaced = diagonal + (from.charAt(i - 1) == to.charAt(j - 1) ? 0 : 2);
        diagonal = row[j];
        row[j] = Math.min(replaced, Math.min(row[j] + 2, row[j - 1] + 1));
      }
    }
    return row[to.length()];
  }
}
