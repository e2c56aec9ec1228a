// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.secret;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.Base64;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class StrictBase64Test {
  @Property(tries = 300)
  void decodes_what_an_encoder_wrote(@ForAll byte[] bytes) {
    try (Secret decoded = StrictBase64.decode(Base64.getEncoder().encodeToString(bytes))) {
      assertThat(decoded.<byte[], RuntimeException>lend(byte[]::clone)).isEqualTo(bytes);
    }
  }

  @Property(tries = 300)
  void encodes_as_an_encoder_does(@ForAll byte[] bytes) {
    assertThat(StrictBase64.encode(bytes)).isEqualTo(Base64.getEncoder().encode(bytes));
  }

  @Property(tries = 1000)
  void every_value_has_one_text(@ForAll String text) {
    try (Secret decoded = StrictBase64.decode(text)) {
      assertThat(decoded.lend(Base64.getEncoder()::encodeToString)).isEqualTo(text);
    } catch (IllegalArgumentException e) {
      assertThat(e).hasMessage("is not canonical base64").hasNoCause();
    }
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "QQ", // no padding
        "QQ=", // half of it
        "QQ===", // more than it
        "QR==", // trailing bits of a second digit
        "QUF=", // trailing bits of a third digit
        "QUFB====", // padding where none is due
        "QQ==QQ==", // padding inside
        " QQ==", // white space
        "QQ==\n",
        "QU FB",
        "QU\nFB",
        "Q-_=", // the alphabet for URLs
        "QQ＝＝", // an equals sign that only looks like one
        "=",
        "A",
      })
  void refuses_what_an_encoder_would_not_write(String text) {
    assertThatThrownBy(() -> StrictBase64.decode(text))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessage("is not canonical base64");
  }
}
