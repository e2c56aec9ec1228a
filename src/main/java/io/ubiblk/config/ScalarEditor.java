// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.config;

import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;

/**
 * Puts base64 in the place of scalars of a YAML file that are base64, and leaves every other byte
 * as it is: the file is never printed from a tree, only cut at the places that the parser gave.
 *
 * <p>Quotes, block indicators and anchors stay. What is replaced:
 *
 * <ul>
 *   <li>plain: the text, which has no escapes, so it is the end of the scalar's span
 *   <li>in quotes: all between them, escapes and continued lines included
 *   <li>a block: the only line with text; a block without text becomes a text in quotes
 * </ul>
 *
 * <p>An anchor belongs to the span, and space, comments and line ends may follow it.
 */
final class ScalarEditor {
  private static final byte[] BYTE_ORDER_MARK = {(byte) 0xEF, (byte) 0xBB, (byte) 0xBF};

  private final byte[] utf8;
  private final List<Cut> cuts = new ArrayList<>();

  /** Bytes from {@code from} to before {@code to} give way to {@code content}. */
  private static final class Cut {
    final int from;
    final int to;
    final byte[] content;

    Cut(int from, int to, byte[] content) {
      this.from = from;
      this.to = to;
      this.content = content;
    }
  }

  /** Borrows {@code utf8}, the file that scalars were read from, until {@link #edited}. */
  ScalarEditor(byte[] utf8) {
    this.utf8 = utf8;
  }

  /** Remembers to put {@code base64} in the place of {@code scalar}, which is replaced once. */
  void replace(YamlNode.Scalar scalar, byte[] base64) {
    int from = offsetOf(scalar.span().start());
    int to = offsetOf(scalar.span().end());
    cuts.add(
        switch (scalar.style()) {
          case PLAIN -> new Cut(to - scalar.text().length(), to, base64);
          case SINGLE_QUOTED, DOUBLE_QUOTED -> new Cut(afterAnchor(from) + 1, to - 1, base64);
          case BLOCK -> block(afterAnchor(from), scalar.text(), base64);
        });
  }

  /** The file with all replacements; the caller zeroes it. */
  byte[] edited() {
    cuts.sort(Comparator.comparingInt(cut -> cut.from));
    int length = utf8.length;
    for (Cut cut : cuts) {
      length += cut.content.length - (cut.to - cut.from);
    }
    byte[] result = new byte[length];
    int read = 0;
    int written = 0;
    for (Cut cut : cuts) {
      System.arraycopy(utf8, read, result, written, cut.from - read);
      written += cut.from - read;
      System.arraycopy(cut.content, 0, result, written, cut.content.length);
      written += cut.content.length;
      read = cut.to;
    }
    System.arraycopy(utf8, read, result, written, utf8.length - read);
    return result;
  }

  private Cut block(int start, String text, byte[] base64) {
    int at = start + 1;
    while (at < utf8.length && (utf8[at] == '+' || utf8[at] == '-' || isDigit(utf8[at]))) {
      at++;
    }
    if (text.isEmpty()) {
      byte[] quoted =
          ('"' + new String(base64, StandardCharsets.US_ASCII) + '"')
              .getBytes(StandardCharsets.US_ASCII);
      return new Cut(start, at, quoted);
    }
    int from = afterSpace(at);
    return new Cut(from, from + text.length(), base64);
  }

  private static boolean isDigit(byte b) {
    return '0' <= b && b <= '9';
  }

  /** Where the scalar itself begins. */
  private int afterAnchor(int start) {
    if (utf8[start] != '&') {
      return start;
    }
    int at = start;
    while (!isBlank(at) && lineEndAt(at) == 0) {
      at++;
    }
    return afterSpace(at);
  }

  /** Passes over blanks, line ends and comments, which begin after one of these. */
  private int afterSpace(int start) {
    int at = start;
    while (at < utf8.length) {
      if (isBlank(at)) {
        at++;
      } else if (lineEndAt(at) > 0) {
        at += lineEndAt(at);
      } else if (utf8[at] == '#') {
        while (at < utf8.length && lineEndAt(at) == 0) {
          at++;
        }
      } else {
        break;
      }
    }
    return at;
  }

  private boolean isBlank(int at) {
    return utf8[at] == ' ' || utf8[at] == '\t';
  }

  /** Bytes of the line end there, or 0; the parser takes Unicode's for line ends, too. */
  private int lineEndAt(int at) {
    return switch (utf8[at]) {
      case '\n', '\r' -> 1;
      case (byte) 0xC2 -> utf8[at + 1] == (byte) 0x85 ? 2 : 0;
      case (byte) 0xE2 -> utf8[at + 1] == (byte) 0x80 && (utf8[at + 2] & 0xFE) == 0xA8 ? 3 : 0;
      default -> 0;
    };
  }

  /** The offset in bytes of a code point. */
  private int offsetOf(int codePoint) {
    boolean marked = Arrays.mismatch(utf8, BYTE_ORDER_MARK) == BYTE_ORDER_MARK.length;
    int at = marked ? BYTE_ORDER_MARK.length : 0;
    for (int passed = 0; passed < codePoint; passed++) {
      at++;
      while (at < utf8.length && (utf8[at] & 0xC0) == 0x80) {
        at++;
      }
    }
    return at;
  }
}
