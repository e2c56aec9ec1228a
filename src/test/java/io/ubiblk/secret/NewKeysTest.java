// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.secret;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.security.SecureRandom;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.Test;

class NewKeysTest {
  /** A random source that is stuck after {@code sets} answers, each of another byte. */
  private static SecureRandom stuckAfter(int sets) {
    return new SecureRandom() {
      private static final long serialVersionUID = 1L;
      private int answers;

      @Override
      public void nextBytes(byte[] bytes) {
        Arrays.fill(bytes, (byte) Math.min(++answers, sets));
      }
    };
  }

  @Test
  void keys_are_what_the_random_source_gives() throws Exception {
    assertThat(Hex.of(NewKeys.kek(stuckAfter(1)))).isEqualTo("01".repeat(32));
    assertThat(Hex.of(NewKeys.psk(stuckAfter(1)))).isEqualTo("01".repeat(32));
    List<Secret> pair = NewKeys.xtsPair(stuckAfter(2));
    assertThat(pair.stream().map(Hex::of)).containsExactly("01".repeat(32), "02".repeat(32));
  }

  @Test
  void two_equal_halves_are_refused() {
    assertThatThrownBy(() -> NewKeys.xtsPair(stuckAfter(1)))
        .isInstanceOf(IOException.class)
        .hasMessage("the random source gave the same key twice; no keys were made");
  }

  @Test
  void the_real_source_gives_others_each_time() throws Exception {
    SecureRandom random = SecureRandom.getInstanceStrong();
    assertThat(Hex.of(NewKeys.kek(random))).isNotEqualTo(Hex.of(NewKeys.kek(random)));
  }
}
