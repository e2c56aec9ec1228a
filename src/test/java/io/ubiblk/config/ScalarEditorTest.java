// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.config;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;

import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Each document has {@code QUJD} for what is replaced, or a spelling of it between « and ». */
class ScalarEditorTest {
  private static final String NEW = "bmV3IHZhbHVl";

  /** The document with the value of its key {@code k} replaced. */
  private static String edited(String yaml) throws ConfigException {
    byte[] utf8 = yaml.getBytes(UTF_8);
    var editor = new ScalarEditor(utf8);
    var root = (YamlNode.Mapping) YamlReader.read(utf8);
    for (YamlNode.Entry entry : root.entries()) {
      if (entry.key().text().equals("k")) {
        editor.replace((YamlNode.Scalar) entry.value(), NEW.getBytes(UTF_8));
      }
    }
    return new String(editor.edited(), UTF_8);
  }

  private static void check(String document) throws ConfigException {
    String marked = document.contains("«") ? document : document.replace("QUJD", "«QUJD»");
    String before = marked.replaceAll("[«»]", "");
    assertThat(edited(before)).isEqualTo(replaced(marked));
  }

  /** A block without text becomes a text in quotes. */
  private static String replaced(String marked) {
    return marked.replaceAll("«[|>]-»", '"' + NEW + '"').replaceAll("(?s)«.*»", NEW);
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "k: QUJD",
        "k: QUJD\n",
        "k: QUJD   # remark\nx: y\n",
        "k:    QUJD\t\n",
        "k:\n  # before\n  QUJD\n  # after\nx: y\n",
        "{k: QUJD}",
        "{a: b, k: QUJD , x: y}\n",
        "? k\n: QUJD\nx: y\n",
        "k: 'QUJD'",
        "{'k':'QUJD','x':'y'}",
        "{\"k\":\"QUJD\"}",
        "k: \"QUJD\" # \"remark\"\n",
        "k: \"«\\x51UJD»\"\n",
        "k: \"«QU\\\n    JD»\"\nx: y\n",
        "k: \"«\\\n\n\\\n  QUJD»\"\nx: y\n",
        "k: \"«\\u0051\\U00000055JD»\"\nx: y\n",
        "k: |-\n  QUJD\nx: y\n",
        "k: >-\n  QUJD\nx: y\n",
        "k: |- # remark\n  QUJD\n\n\n# remark\nx: y\n",
        "k: >2-\n  QUJD\n",
        "k: |-2\n  QUJD",
        "k: |\n  QUJD",
        "k: |+\n     QUJD",
        "k: «|-»\nx: y\n",
        "k: «>-» # remark\n\n\nx: y\n",
      })
  void only_the_text_of_the_scalar_changes(String document) throws ConfigException {
    check(document);
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "k: &a QUJD\nx: *a\n",
        "k: &anchor-1_ä 'QUJD'\nx: y\n",
        "k: &a \"QUJD\"\n",
        "k: &a |-\n  QUJD\nx: *a\n",
        "k: &a # remark: 'x'\n  # another \"remark\"\n\n  'QUJD'\nx: y\n",
        "k:\n  &a\n  \"QUJD\"\nx: y\n",
        "{k: &a 'QUJD', x: *a}\n",
        "k: &a   >-\n  QUJD\n",
      })
  void anchors_stay(String document) throws ConfigException {
    check(document);
  }

  @ParameterizedTest
  @ValueSource(strings = {"\n", "\r\n", "\r", "\u0085", "\u2028"})
  void line_ends_of_every_kind_stay(String end) throws ConfigException {
    check("# ü 🔑 remark\na: b\nk: &a # remark\n  \"QUJD\"\nx: y\n".replace("\n", end));
  }

  @Test
  void a_byte_order_mark_and_wide_characters_do_not_shift_anything() throws ConfigException {
    check("\uFEFF# ä € 🔑\n'🔑': ä\nk: QUJD # 🔑\n");
    check("\uFEFFk: 'QUJD'");
    check("%YAML 1.1\n---\n# 🔑\nk: QUJD\n...\n");
  }

  @Test
  void several_are_replaced_whatever_their_order() throws ConfigException {
    byte[] utf8 = "a: QQ==\nb: 'QUI='\nc: |-\n  QUJD\n".getBytes(UTF_8);
    var editor = new ScalarEditor(utf8);
    List<YamlNode.Entry> entries = ((YamlNode.Mapping) YamlReader.read(utf8)).entries();
    for (int i = entries.size() - 1; i >= 0; i--) {
      byte[] other = "x".repeat(10 * i).getBytes(UTF_8);
      editor.replace((YamlNode.Scalar) entries.get(i).value(), other);
    }
    assertThat(new String(editor.edited(), UTF_8))
        .isEqualTo("a: \nb: 'xxxxxxxxxx'\nc: |-\n  xxxxxxxxxxxxxxxxxxxx\n");
  }
}
