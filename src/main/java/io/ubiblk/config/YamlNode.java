// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.config;

import java.util.ArrayList;
import java.util.List;

/**
 * A piece of a YAML document: scalars keep their text and whether they were quoted, because what a
 * scalar means depends on the key it stands at. Aliases are shared nodes, so they cost nothing
 * however often they are used. Any scalar may be a secret: no node prints its content.
 */
abstract sealed class YamlNode {
  private final int line;

  private YamlNode(int line) {
    this.line = line;
  }

  /** The line of the file that the node starts in, counted from 1. */
  int line() {
    return line;
  }

  /** What the node is, in a user's words. */
  abstract String kind();

  @Override
  public String toString() {
    return kind() + " in line " + line;
  }

  /** How a scalar is written. */
  enum Style {
    PLAIN,
    SINGLE_QUOTED,
    DOUBLE_QUOTED,
    /** Literal or folded. */
    BLOCK
  }

  /**
   * What a scalar takes up in the file, its anchor and quotes included: code points, counted from
   * the first one after a byte order mark. A block scalar ends somewhere before the next token.
   */
  record Span(int start, int end) {}

  /** A text, quoted or not. */
  static final class Scalar extends YamlNode {
    private final String text;
    private final Style style;
    private final Span span;
    private final List<Integer> lines = new ArrayList<>();

    Scalar(int line, String text, Style style, Span span) {
      super(line);
      this.text = text;
      this.style = style;
      this.span = span;
      lines.add(line);
    }

    String text() {
      return text;
    }

    /** Whether the text stands without quotes and is no block scalar. */
    boolean plain() {
      return style == Style.PLAIN;
    }

    Style style() {
      return style;
    }

    Span span() {
      return span;
    }

    /** The lines that the text stands in: its own, and those of aliases of it. */
    List<Integer> lines() {
      return lines;
    }

    /** Remembers an alias of the text, for the reader. */
    void aliased(int line) {
      lines.add(line);
    }

    @Override
    String kind() {
      return ScalarRules.typeOf(this).inWords();
    }
  }

  /** A list. */
  static final class Sequence extends YamlNode {
    private final List<YamlNode> items;

    /** Keeps {@code items}, which the reader still fills. */
    Sequence(int line, List<YamlNode> items) {
      super(line);
      this.items = items;
    }

    List<YamlNode> items() {
      return items;
    }

    @Override
    String kind() {
      return "a list";
    }
  }

  /** Keys and values in the order of the file; a key may occur more than once. */
  static final class Mapping extends YamlNode {
    private final List<Entry> entries;

    /** Keeps {@code entries}, which the reader still fills. */
    Mapping(int line, List<Entry> entries) {
      super(line);
      this.entries = entries;
    }

    List<Entry> entries() {
      return entries;
    }

    @Override
    String kind() {
      return "a mapping";
    }
  }

  /** One line of a mapping. */
  record Entry(Scalar key, YamlNode value) {}
}
