// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.secret;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.util.Arrays;
import org.junit.jupiter.api.Test;

class XtsKeysTest {
  private final byte[] dataKey = filled(1);
  private final byte[] tweakKey = filled(2);

  @Test
  void are_handed_over_once_and_zeroed() {
    XtsKeys keys = XtsKeys.take(Secret.take(dataKey), Secret.take(tweakKey));
    String seen = keys.handOver((data, tweak) -> data[31] + " " + tweak[31]);
    assertThat(seen).isEqualTo("1 2");
    assertThat(dataKey).containsOnly(0);
    assertThat(tweakKey).containsOnly(0);
    assertThatThrownBy(() -> keys.handOver((data, tweak) -> null))
        .isInstanceOf(IllegalStateException.class);
  }

  @Test
  void are_zeroed_when_the_receiver_fails() {
    XtsKeys keys = XtsKeys.take(Secret.take(dataKey), Secret.take(tweakKey));
    assertThatThrownBy(
            () ->
                keys.handOver(
                    (data, tweak) -> {
                      throw new IOException("no memory to lock");
                    }))
        .isInstanceOf(IOException.class);
    assertThat(dataKey).containsOnly(0);
    assertThat(tweakKey).containsOnly(0);
  }

  @Test
  void are_32_bytes_each() {
    assertThatThrownBy(() -> XtsKeys.take(Secret.take(new byte[31]), Secret.take(tweakKey)))
        .isInstanceOf(IllegalArgumentException.class);
    assertThatThrownBy(() -> XtsKeys.take(Secret.take(dataKey), Secret.take(new byte[33])))
        .isInstanceOf(IllegalArgumentException.class);
  }

  @Test
  void know_when_they_are_the_same() {
    assertThat(XtsKeys.take(Secret.take(filled(7)), Secret.take(filled(7))).halvesEqual()).isTrue();
    assertThat(XtsKeys.take(Secret.take(filled(7)), Secret.take(filled(8))).halvesEqual())
        .isFalse();
  }

  @Test
  void print_nothing() {
    assertThat(XtsKeys.take(Secret.take(dataKey), Secret.take(tweakKey)).toString())
        .isEqualTo("[redacted]");
  }

  private static byte[] filled(int value) {
    byte[] bytes = new byte[XtsKeys.KEY_BYTES];
    Arrays.fill(bytes, (byte) value);
    return bytes;
  }
}
