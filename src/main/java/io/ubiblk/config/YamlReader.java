// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.config;

import java.io.CharArrayReader;
import java.nio.ByteBuffer;
import java.nio.CharBuffer;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.yaml.snakeyaml.LoaderOptions;
import org.yaml.snakeyaml.error.MarkedYAMLException;
import org.yaml.snakeyaml.error.YAMLException;
import org.yaml.snakeyaml.events.AliasEvent;
import org.yaml.snakeyaml.events.Event;
import org.yaml.snakeyaml.events.Event.ID;
import org.yaml.snakeyaml.events.MappingStartEvent;
import org.yaml.snakeyaml.events.NodeEvent;
import org.yaml.snakeyaml.events.ScalarEvent;
import org.yaml.snakeyaml.events.SequenceStartEvent;
import org.yaml.snakeyaml.parser.ParserImpl;
import org.yaml.snakeyaml.reader.StreamReader;

/**
 * Reads one YAML document into nodes that keep what was written.
 *
 * <p>The YAML library is used as far as its parser's events: its resolver would give scalars YAML
 * 1.1 types, and its exceptions quote the text around a mistake, which may be a key. So its
 * messages are not passed on; position and a sentence of our own are.
 */
final class YamlReader {
  /** Deeper than any configuration; keeps the recursion below short. */
  static final int DEPTH_MAX = 32;

  private static final Map<String, String> KNOWN_PROBLEMS =
      Map.of(
          "mapping values are not allowed here", "a ':' where no key can be",
          "sequence entries are not allowed here", "a '-' where no list can be",
          "could not find expected ':'", "a key without ':'",
          "found unexpected end of stream", "a quote or bracket is never closed",
          "found character", "a character that cannot start a value (tabs do not indent)",
          "expected <block end>", "the indentation does not fit the lines before",
          "found unknown escape character", "an unknown escape in double quotes");

  private final ParserImpl parser;
  private final Map<String, YamlNode> anchors = new HashMap<>();

  private YamlReader(ParserImpl parser) {
    this.parser = parser;
  }

  /**
   * The document in {@code utf8}.
   *
   * @throws ConfigException without a file name, which {@link ConfigFile} adds
   */
  static YamlNode read(byte[] utf8) throws ConfigException {
    CharBuffer characters = decode(utf8);
    try {
      var reader =
          new StreamReader(
              new CharArrayReader(characters.array(), characters.position(), characters.length()));
      return new YamlReader(new ParserImpl(reader, new LoaderOptions())).document();
    } catch (MarkedYAMLException e) {
      throw new ConfigException(describe(e));
    } catch (YAMLException e) {
      throw new ConfigException("is not YAML: it has characters that YAML does not allow");
    } catch (NumberFormatException e) {
      // Of the library, where the text ends within the digits of an escape.
      throw new ConfigException("is not YAML: an escape in double quotes is cut short");
    } finally {
      Arrays.fill(characters.array(), '\0');
    }
  }

  private static CharBuffer decode(byte[] utf8) throws ConfigException {
    try {
      CharBuffer characters = StandardCharsets.UTF_8.newDecoder().decode(ByteBuffer.wrap(utf8));
      if (characters.hasRemaining() && characters.get(0) == '\uFEFF') {
        characters.get();
      }
      return characters;
    } catch (CharacterCodingException e) {
      throw new ConfigException("is not valid UTF-8");
    }
  }

  private YamlNode document() throws ConfigException {
    expect(ID.StreamStart);
    if (parser.checkEvent(ID.StreamEnd)) {
      throw new ConfigException("is empty");
    }
    expect(ID.DocumentStart);
    YamlNode root = node(parser.getEvent(), 1);
    expect(ID.DocumentEnd);
    if (!parser.checkEvent(ID.StreamEnd)) {
      throw new ConfigException(
          "has a second document in line " + line(parser.peekEvent()) + "; only one is read");
    }
    return root;
  }

  private YamlNode node(Event event, int depth) throws ConfigException {
    if (depth > DEPTH_MAX) {
      throw at(event, "is nested deeper than " + DEPTH_MAX + " levels");
    }
    if (event instanceof AliasEvent alias) {
      return anchored(alias);
    } else if (event instanceof ScalarEvent scalar) {
      refuseTag(scalar, scalar.getTag());
      return keep(scalar, scalar(scalar));
    } else if (event instanceof SequenceStartEvent start) {
      refuseTag(start, start.getTag());
      return keep(start, sequence(start, depth));
    } else if (event instanceof MappingStartEvent start) {
      refuseTag(start, start.getTag());
      return keep(start, mapping(start, depth));
    }
    throw new AssertionError("no node starts with " + event.getEventId());
  }

  /** An anchor is known once its node is complete, so nothing can contain itself. */
  private YamlNode keep(NodeEvent event, YamlNode node) {
    if (event.getAnchor() != null) {
      anchors.put(event.getAnchor(), node);
    }
    return node;
  }

  private YamlNode anchored(AliasEvent alias) throws ConfigException {
    YamlNode node = anchors.get(alias.getAnchor());
    if (node == null) {
      throw at(alias, "has an alias for which no complete anchor stands before it");
    }
    if (node instanceof YamlNode.Scalar scalar) {
      scalar.aliased(line(alias));
    }
    return node;
  }

  private static YamlNode.Scalar scalar(ScalarEvent event) throws ConfigException {
    if (!StandardCharsets.UTF_8.newEncoder().canEncode(event.getValue())) {
      throw at(event, "has an escape that is no Unicode character");
    }
    var span = new YamlNode.Span(event.getStartMark().getIndex(), event.getEndMark().getIndex());
    return new YamlNode.Scalar(line(event), event.getValue(), style(event), span);
  }

  private static YamlNode.Style style(ScalarEvent event) {
    if (event.isPlain()) {
      return YamlNode.Style.PLAIN;
    } else if (event.isSQuoted()) {
      return YamlNode.Style.SINGLE_QUOTED;
    }
    return event.isDQuoted() ? YamlNode.Style.DOUBLE_QUOTED : YamlNode.Style.BLOCK;
  }

  private YamlNode sequence(SequenceStartEvent start, int depth) throws ConfigException {
    List<YamlNode> items = new ArrayList<>();
    while (!parser.checkEvent(ID.SequenceEnd)) {
      items.add(node(parser.getEvent(), depth + 1));
    }
    parser.getEvent();
    return new YamlNode.Sequence(line(start), items);
  }

  private YamlNode mapping(MappingStartEvent start, int depth) throws ConfigException {
    List<YamlNode.Entry> entries = new ArrayList<>();
    while (!parser.checkEvent(ID.MappingEnd)) {
      Event keyEvent = parser.getEvent();
      if (!(node(keyEvent, depth + 1) instanceof YamlNode.Scalar key)) {
        throw at(keyEvent, "has a key that is no scalar");
      }
      entries.add(new YamlNode.Entry(key, node(parser.getEvent(), depth + 1)));
    }
    parser.getEvent();
    return new YamlNode.Mapping(line(start), entries);
  }

  private static void refuseTag(Event event, String tag) throws ConfigException {
    if (tag != null) {
      throw at(event, "has a tag, and tags are not read; use quotes to make a string");
    }
  }

  private void expect(ID id) {
    if (!parser.checkEvent(id)) {
      throw new AssertionError("the YAML parser gave no " + id);
    }
    parser.getEvent();
  }

  private static int line(Event event) {
    return event.getStartMark().getLine() + 1;
  }

  private static ConfigException at(Event event, String sentence) {
    return new ConfigException(sentence + " (line " + line(event) + ")");
  }

  private static String describe(MarkedYAMLException e) {
    String problem = e.getProblem() == null ? "" : e.getProblem();
    String sentence =
        KNOWN_PROBLEMS.entrySet().stream()
            .filter(known -> problem.startsWith(known.getKey()))
            .map(Map.Entry::getValue)
            .findFirst()
            .orElse("the syntax is broken");
    return e.getProblemMark() == null
        ? "is not YAML: " + sentence
        : "is not YAML: %s (line %d, column %d)"
            .formatted(
                sentence, e.getProblemMark().getLine() + 1, e.getProblemMark().getColumn() + 1);
  }
}
