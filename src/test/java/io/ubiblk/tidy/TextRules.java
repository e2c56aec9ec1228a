// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.tidy;

import java.util.ArrayList;
import java.util.List;
import java.util.regex.Pattern;

/** Rules about any text: length, white space, licence line, left-over notes. */
public final class TextRules {
  private static final int COLUMNS = 100;

  /** A line with less code than this is a literal, which the formatter does not break either. */
  private static final int MOSTLY_LITERAL = 30;

  private static final Pattern LONG_BY_NATURE = Pattern.compile("^(import |package )|https?://");
  private static final Pattern TRAILING_SPACE = Pattern.compile("[ \t]+$");
  private static final Pattern TAB = Pattern.compile("\t");
  // In two halves, or this file would break its own rule.
  private static final Pattern NOTE = Pattern.compile("\\b(FIX" + "ME|TO" + "DO|XX" + "X)\\b");

  private TextRules() {}

  /** All rules of this class. */
  public static List<Rule> all() {
    return List.of(
        TextRules::lineLength, TextRules::whiteSpace, TextRules::licence, TextRules::notes);
  }

  static List<Finding> lineLength(SourceFile file) {
    List<Finding> findings = new ArrayList<>();
    if (!file.isC() && !file.isJava()) {
      return findings;
    }
    List<String> lines = file.lines();
    List<String> code = file.codeLines();
    for (int i = 0; i < lines.size(); i++) {
      String line = lines.get(i);
      if (code.get(i).replace(" ", "").length() < MOSTLY_LITERAL) {
        continue;
      }
      int columns = line.codePointCount(0, line.length());
      if (columns > COLUMNS && !LONG_BY_NATURE.matcher(line).find()) {
        findings.add(file.finding(i + 1, columns + " columns, at most " + COLUMNS));
      }
    }
    return findings;
  }

  static List<Finding> whiteSpace(SourceFile file) {
    if (file.isUnder("src/test/resources") || file.isUnder("LICENSES")) {
      return List.of();
    }
    List<Finding> findings = new ArrayList<>();
    findings.addAll(file.findingsWhere(file.lines(), TRAILING_SPACE, "white space at the end"));
    findings.addAll(file.findingsWhere(file.lines(), TAB, "a tab: indent with spaces"));
    if (file.text().indexOf('\r') >= 0) {
      findings.add(file.finding(1, "carriage returns: end lines with a line feed"));
    }
    if (!file.text().isEmpty() && !file.text().endsWith("\n")) {
      findings.add(file.finding(file.lines().size(), "no line feed at the end"));
    }
    return findings;
  }

  static List<Finding> licence(SourceFile file) {
    boolean carriesOne =
        file.isC()
            || file.isJava()
            || file.isShell()
            || file.path().endsWith(".cmake")
            || file.path().endsWith(".xml")
            || file.path().endsWith(".map")
            || file.path().endsWith(".service");
    boolean has =
        file.lines().stream()
            .limit(2)
            .anyMatch(line -> line.contains("SPDX-License-Identifier: AGPL-3.0-only"));
    return carriesOne && !has
        ? List.of(file.finding(1, "no SPDX-License-Identifier: AGPL-3.0-only at the top"))
        : List.of();
  }

  static List<Finding> notes(SourceFile file) {
    return file.isUnder("LICENSES")
        ? List.of()
        : file.findingsWhere(
            file.lines(), NOTE, "a note to oneself: do it, or write down why it is so");
  }
}
