// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.config;

import static java.nio.charset.StandardCharsets.UTF_16;
import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;

import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.CharRange;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class YamlReaderTest {
  private static YamlNode.Mapping mapping(String yaml) throws ConfigException {
    return (YamlNode.Mapping) YamlReader.read(yaml.getBytes(UTF_8));
  }

  private static YamlNode.Scalar value(String yaml) throws ConfigException {
    return (YamlNode.Scalar) mapping(yaml).entries().get(0).value();
  }

  private static String refusal(String yaml) {
    return refusal(yaml.getBytes(UTF_8));
  }

  private static String refusal(byte[] bytes) {
    try {
      YamlReader.read(bytes);
    } catch (ConfigException e) {
      assertThat(e).hasNoCause();
      return e.getMessage();
    }
    throw new AssertionError("was read");
  }

  @ParameterizedTest
  @CsvSource({
    "a: on, on, true",
    "a: \"on\", on, false",
    "a: 'on', on, false",
    "a:, '', true",
    "a: \"\", '', false",
    "a: 0123, 0123, true",
    "a: \"\\x41\", A, false",
  })
  void keeps_text_and_quotes(String yaml, String text, boolean plain) throws ConfigException {
    assertThat(value(yaml).text()).isEqualTo(text);
    assertThat(value(yaml).plain()).isEqualTo(plain);
  }

  @Test
  void block_scalars_count_as_quoted() throws ConfigException {
    assertThat(value("a: |\n  true\n").plain()).isFalse();
    assertThat(value("a: >-\n  true\n").text()).isEqualTo("true");
  }

  @Test
  void knows_the_line_of_everything() throws ConfigException {
    YamlNode.Mapping root = mapping("# remark\na: 1\nb:\n- x\n- y\n");
    assertThat(root.entries().get(0).key().line()).isEqualTo(2);
    var list = (YamlNode.Sequence) root.entries().get(1).value();
    assertThat(list.items().get(1).line()).isEqualTo(5);
  }

  @Test
  void an_alias_is_the_node_of_its_anchor() throws ConfigException {
    YamlNode.Mapping root = mapping("a: &x {k: v}\nb: *x\n");
    assertThat(root.entries().get(1).value()).isSameAs(root.entries().get(0).value());
  }

  @Test
  void the_last_anchor_of_a_name_counts() throws ConfigException {
    YamlNode.Mapping root = mapping("a: &x 1\nb: &x 2\nc: *x\n");
    assertThat(root.entries().get(2).value()).isSameAs(root.entries().get(1).value());
  }

  @Test
  void aliases_of_aliases_cost_nothing() throws ConfigException {
    StringBuilder laughs = new StringBuilder("a0: &a0 [lol, lol]\n");
    for (int i = 1; i <= 1000; i++) {
      String item = "*a" + (i - 1);
      laughs.append("a%d: &a%d [%s, %s, %s, %s]\n".formatted(i, i, item, item, item, item));
    }
    assertThat(mapping(laughs.toString()).entries()).hasSize(1001);
  }

  @Test
  void nothing_contains_itself() {
    assertThat(refusal("a: &x [*x]\n")).contains("no complete anchor").contains("line 1");
    assertThat(refusal("a: &x {b: *x}\n")).contains("no complete anchor");
    assertThat(refusal("a: *nowhere\n")).contains("no complete anchor");
  }

  @ParameterizedTest
  @ValueSource(
      strings = {"---\na: b\n", "a: b\n...\n", "%YAML 1.2\n---\na: b\n...\n", "\uFEFFa: b"})
  void one_document_may_have_its_marks(String yaml) throws ConfigException {
    assertThat(value(yaml).text()).isEqualTo("b");
  }

  @Test
  void a_second_document_is_refused() {
    assertThat(refusal("a: b\n---\nc: d\n")).contains("second document in line 2");
    assertThat(refusal("a: b\n---\n")).contains("second document");
  }

  @ParameterizedTest
  @ValueSource(strings = {"", "\n\n", "# only a remark\n"})
  void nothing_is_no_document(String yaml) {
    assertThat(refusal(yaml)).isEqualTo("is empty");
  }

  @Test
  void only_utf8_is_read() {
    assertThat(refusal(new byte[] {'a', ':', ' ', (byte) 0xe4})).isEqualTo("is not valid UTF-8");
    assertThat(refusal(new byte[] {'a', ':', (byte) 0xc0, (byte) 0x80}))
        .isEqualTo("is not valid UTF-8");
    assertThat(refusal("a: b".getBytes(UTF_16))).isEqualTo("is not valid UTF-8");
  }

  @ParameterizedTest
  @ValueSource(strings = {"a: \0", "a: \u0007", "a: b\u001b[31m"})
  void control_characters_are_refused(String yaml) {
    assertThat(refusal(yaml)).contains("characters that YAML does not allow");
  }

  @Test
  void half_a_character_is_refused() {
    assertThat(refusal("a: \"\\uD800\"")).contains("no Unicode character");
  }

  @Test
  void tags_are_refused() {
    assertThat(refusal("a: !!str 1")).contains("tag").contains("line 1");
    assertThat(refusal("a: ! 1")).contains("tag");
    assertThat(refusal("!!map {a: 1}")).contains("tag");
    assertThat(refusal("a: !x [1]")).contains("tag");
  }

  @Test
  void a_key_is_a_scalar() {
    assertThat(refusal("? [a]\n: b\n")).contains("key that is no scalar");
    assertThat(refusal("? {a: b}\n: c\n")).contains("key that is no scalar");
  }

  @Test
  void depth_is_limited() throws ConfigException {
    int most = YamlReader.DEPTH_MAX - 2;
    assertThat(mapping("a: " + "[".repeat(most) + "]".repeat(most)).entries()).hasSize(1);
    assertThat(refusal("a: " + "[".repeat(most + 1) + "1" + "]".repeat(most + 1)))
        .contains("nested deeper than 32");
    assertThat(refusal("[".repeat(100_000))).contains("nested deeper");
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "a: MARKER: b",
        "a: \"MARKER",
        "a: 'MARKER",
        "a: [MARKER",
        "a: {MARKER",
        "a: MARKER\n b: c",
        "MARKER\na: b",
        "a: %MARKER",
        "a: @MARKER",
        "a: `MARKER",
        "a: \"\\MARKER\"",
        "a: \"\\xMARKER\"",
        "a: \"\\uMARK\"",
        "a: *MARKER",
        "a: &MARKER *MARKER",
        "a: !MARKER!x b",
        "a: !<MARKER b",
        "a: |MARKER\n b",
        "%TAG MARKER MARKER\n---\na: b",
        "a: b\n\tMARKER: c",
        "- a\nMARKER: c",
        "a: b\n---\nMARKER",
        "? [MARKER]\n: b",
        "a: !!str MARKER",
      })
  void no_message_quotes_the_text(String yaml) {
    assertThat(refusal(yaml)).isNotEmpty().doesNotContain("MARK").doesNotContain("\n");
  }

  @Test
  void broken_syntax_has_a_place_and_a_reason() {
    assertThat(refusal("a: b: c\n"))
        .isEqualTo("is not YAML: a ':' where no key can be (line 1, column 5)");
    assertThat(refusal("a: [1\n")).contains("line 2");
    assertThat(refusal("a: b\n\tc: d\n")).contains("line 2");
  }

  @ParameterizedTest
  @ValueSource(strings = {"a: \"\\u", "a: \"\\x", "a: \"\\U", "\"\\u"})
  void an_escape_that_ends_with_the_text_is_refused(String text) {
    assertThat(refusal(text)).contains("is not YAML");
  }

  @Property(tries = 2000)
  void whatever_the_bytes_they_are_read_or_refused(@ForAll byte[] bytes) {
    readOrRefuse(bytes);
  }

  @Property(tries = 3000)
  void whatever_the_text_it_is_read_or_refused(
      @ForAll @CharRange(from = '\t', to = '\n') @CharRange(from = ' ', to = '~') String text) {
    readOrRefuse(text.getBytes(UTF_8));
    readOrRefuse(("a: " + text).getBytes(UTF_8));
    readOrRefuse(("a: \"\\" + text + "\"").getBytes(UTF_8));
  }

  private static void readOrRefuse(byte[] bytes) {
    try {
      assertThat(YamlReader.read(bytes)).isNotNull();
    } catch (ConfigException e) {
      assertThat(e).hasNoCause();
    }
  }

  @Test
  void nodes_print_no_content() throws ConfigException {
    YamlNode.Mapping root = mapping("marker: [marker]\nx: marker\n");
    assertThat(root.toString() + root.entries()).doesNotContain("marker");
  }
}
