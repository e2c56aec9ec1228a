// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.secret;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.Test;

class SecretTest {
  @Test
  void prints_nothing_of_its_bytes() {
    try (Secret secret = Secret.take("marker".getBytes(UTF_8))) {
      assertThat(secret.toString()).isEqualTo("[redacted]");
      assertThat(List.of(secret).toString()).isEqualTo("[[redacted]]");
    }
  }

  @Test
  void zeroes_the_array_it_took_on_close() {
    byte[] bytes = {1, 2, 3};
    Secret secret = Secret.take(bytes);
    secret.close();
    assertThat(bytes).containsOnly(0);
  }

  @Test
  void is_unusable_after_close() {
    Secret secret = Secret.take(new byte[] {1});
    secret.close();
    secret.close();
    assertThatThrownBy(secret::length).isInstanceOf(IllegalStateException.class);
    assertThatThrownBy(() -> secret.lend(Arrays::toString))
        .isInstanceOf(IllegalStateException.class);
    assertThatThrownBy(secret::copy).isInstanceOf(IllegalStateException.class);
  }

  @Test
  void a_copy_lives_on_its_own() {
    Secret first = Secret.take(new byte[] {1, 2});
    Secret second = first.copy();
    first.close();
    assertThat(Hex.of(second)).isEqualTo("0102");
  }

  @Test
  void compares_by_bytes_only_when_asked() {
    try (Secret one = Hex.secret("00ff");
        Secret same = Hex.secret("00ff");
        Secret other = Hex.secret("00fe")) {
      assertThat(one.sameBytes(same)).isTrue();
      assertThat(one.sameBytes(other)).isFalse();
      assertThat(one).isNotEqualTo(same);
    }
  }
}
