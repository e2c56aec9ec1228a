// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.secret;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.io.InputStream;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.IntRange;
import net.jqwik.api.constraints.Size;
import org.junit.jupiter.api.Test;

class SecretTextTest {
  private static String text(Secret secret) {
    return secret.lend(bytes -> new String(bytes, UTF_8));
  }

  @Test
  void joins_text_and_secrets() {
    try (var text = new SecretText();
        Secret key = Hex.secret("00".repeat(300))) {
      text.add("key: ").addBase64(key).add("\n");
      assertThat(text(text.toSecret())).isEqualTo("key: " + "A".repeat(400) + "\n");
      assertThat(key.length()).isEqualTo(300);
      assertThat(text.toString()).isEqualTo("[redacted]");
    }
  }

  @Test
  void has_nothing_once_it_is_closed() {
    var text = new SecretText().add("x");
    text.close();
    assertThat(text.toSecret().length()).isZero();
  }

  /** Gives as little at a time as it is allowed to. */
  private static InputStream inPieces(byte[] bytes, int pieceBytes) {
    return new ByteArrayInputStream(bytes) {
      @Override
      public synchronized int read(byte[] into, int offset, int count) {
        return super.read(into, offset, Math.min(count, pieceBytes));
      }
    };
  }

  @Property(tries = 300)
  void reads_to_the_end(
      @ForAll @Size(max = 2000) byte[] bytes, @ForAll @IntRange(min = 1, max = 700) int piece)
      throws IOException {
    try (Secret read = SecretText.readAll("input", inPieces(bytes, piece), 2000);
        Secret expected = Secret.take(bytes.clone())) {
      assertThat(read.sameBytes(expected)).isTrue();
    }
  }

  @Test
  void refuses_more_than_the_limit() throws IOException {
    assertThat(SecretText.readAll("input", inPieces(new byte[1000], 3), 1000).length())
        .isEqualTo(1000);
    assertThatThrownBy(() -> SecretText.readAll("input", inPieces(new byte[1001], 3), 1000))
        .isInstanceOf(IOException.class)
        .hasMessage("input: is longer than 1000 bytes");
  }
}
