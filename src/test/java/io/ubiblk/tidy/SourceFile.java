// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.tidy;

import java.util.ArrayList;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** A file of the project: its path from the root, with '/', and its text. */
public record SourceFile(String path, String text) {
  /** A comment, string, character or text block of C or Java; whatever comes first wins. */
  private static final Pattern NOT_CODE =
      Pattern.compile(
          "//[^\n]*|/\\*.*?\\*/|\"\"\".*?\"\"\"|\"(?:\\\\.|[^\"\\\\\n])*\"|'(?:\\\\.|[^'\\\\\n])*'",
          Pattern.DOTALL);

  boolean isC() {
    return path.endsWith(".c") || path.endsWith(".h");
  }

  boolean isJava() {
    return path.endsWith(".java");
  }

  boolean isMarkdown() {
    return path.endsWith(".md");
  }

  boolean isShell() {
    return path.endsWith(".sh")
        || text.startsWith("#!/bin/sh")
        || text.contains("#!/usr/bin/env ba");
  }

  boolean isUnder(String directory) {
    return path.startsWith(directory + "/");
  }

  String name() {
    return path.substring(path.lastIndexOf('/') + 1);
  }

  List<String> lines() {
    return text.lines().toList();
  }

  /** The lines with comments and literals blanked, so that a word in them is no code. */
  List<String> codeLines() {
    Matcher matcher = NOT_CODE.matcher(text);
    StringBuilder code = new StringBuilder();
    while (matcher.find()) {
      matcher.appendReplacement(code, "");
      code.append(matcher.group().replaceAll("[^\n]", " "));
    }
    matcher.appendTail(code);
    return code.toString().lines().toList();
  }

  /** A finding for each line of {@code lines} in which {@code pattern} occurs. */
  List<Finding> findingsWhere(List<String> lines, Pattern pattern, String message) {
    List<Finding> findings = new ArrayList<>();
    for (int i = 0; i < lines.size(); i++) {
      if (pattern.matcher(lines.get(i)).find()) {
        findings.add(finding(i + 1, message));
      }
    }
    return findings;
  }

  Finding finding(int line, String message) {
    return new Finding(path, line, message);
  }
}
