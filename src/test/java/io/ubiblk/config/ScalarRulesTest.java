// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.config;

import static org.assertj.core.api.Assertions.assertThat;

import java.math.BigInteger;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.BigRange;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class ScalarRulesTest {
  private static YamlNode.Scalar scalar(String text, YamlNode.Style style) {
    return new YamlNode.Scalar(1, text, style, new YamlNode.Span(0, text.length()));
  }

  private static YamlNode.Scalar plain(String text) {
    return scalar(text, YamlNode.Style.PLAIN);
  }

  private static YamlNode.Scalar quoted(String text) {
    return scalar(text, YamlNode.Style.DOUBLE_QUOTED);
  }

  @ParameterizedTest
  @CsvSource({
    "'', NULL",
    "~, NULL",
    "null, NULL",
    "Null, NULL",
    "NULL, NULL",
    "nULL, STRING",
    "true, BOOLEAN",
    "True, BOOLEAN",
    "TRUE, BOOLEAN",
    "false, BOOLEAN",
    "tRUE, STRING",
    "yes, STRING",
    "no, STRING",
    "on, STRING",
    "off, STRING",
    "y, STRING",
    "n, STRING",
    "0, INTEGER",
    "7, INTEGER",
    "+7, INTEGER",
    "-7, INTEGER",
    "0x1F, INTEGER",
    "0o17, INTEGER",
    "0b11, INTEGER",
    "-0x1f, INTEGER",
    "+0b1, INTEGER",
    "010, STRING",
    "00, STRING",
    "-01, STRING",
    "1_000, STRING",
    "0x, STRING",
    "0X1, STRING",
    "0o8, STRING",
    "++1, STRING",
    "1:30, STRING",
    "2026-01-01, STRING",
    "1.5, FLOAT",
    "1., FLOAT",
    ".5, FLOAT",
    "1e3, FLOAT",
    "-1.5E-3, FLOAT",
    "01.5, FLOAT",
    ".inf, FLOAT",
    "-.INF, FLOAT",
    ".nan, FLOAT",
    "inf, STRING",
    "nan, STRING",
    "1e999, STRING",
    "., STRING",
    "e5, STRING",
    "<<, STRING",
  })
  void an_unquoted_scalar_has_the_type_it_looks_like(String text, ScalarRules.Type type) {
    assertThat(ScalarRules.typeOf(plain(text))).isEqualTo(type);
  }

  @ParameterizedTest
  @ValueSource(strings = {"", "~", "null", "true", "7", "0x1", "1.5", "text"})
  void a_quoted_scalar_is_a_string(String text) {
    assertThat(ScalarRules.typeOf(quoted(text))).isEqualTo(ScalarRules.Type.STRING);
    assertThat(ScalarRules.isNull(quoted(text))).isFalse();
    assertThat(ScalarRules.booleanOf(quoted(text))).isEmpty();
    assertThat(ScalarRules.integerOf(quoted(text))).isEmpty();
  }

  @Property(tries = 300)
  void every_notation_of_an_integer_has_its_value(
      @ForAll @BigRange(min = "0", max = "680564733841876926926749214863536422912")
          BigInteger value) {
    assertThat(ScalarRules.integerOf(plain(value.toString()))).contains(value);
    assertThat(ScalarRules.integerOf(plain("+" + value))).contains(value);
    assertThat(ScalarRules.integerOf(plain("-" + value))).contains(value.negate());
    assertThat(ScalarRules.integerOf(plain("0x" + value.toString(16)))).contains(value);
    assertThat(ScalarRules.integerOf(plain("0o" + value.toString(8)))).contains(value);
    assertThat(ScalarRules.integerOf(plain("+0b" + value.toString(2)))).contains(value);
    assertThat(ScalarRules.integerOf(plain("0" + value))).isEmpty();
  }

  @Property(tries = 1000)
  void no_text_is_both_boolean_and_integer(@ForAll String text) {
    boolean number = ScalarRules.integerOf(plain(text)).isPresent();
    boolean truth = ScalarRules.booleanOf(plain(text)).isPresent();
    assertThat(number && truth).isFalse();
  }
}
