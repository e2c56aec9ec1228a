// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.tidy;

import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Locale;
import java.util.Set;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Collectors;

/** Rules that need more than one file: links between documents, tests beside sources. */
public final class TreeRules {
  private static final Pattern LINK = Pattern.compile("\\[[^\\]]*\\]\\(([^)\\s]+)\\)");
  private static final Pattern OUTSIDE = Pattern.compile("^[a-z]+:.*");
  private static final Pattern IMPORT = Pattern.compile("#|(package|import) .*");
  private static final Pattern HEADING = Pattern.compile("(?m)^#+ +(.*)$");

  private TreeRules() {}

  /**
   * Every relative link of a document leads to a file or directory, and its anchor to a heading.
   */
  public static List<Finding> links(SourceTree tree, Set<String> paths) {
    List<Finding> findings = new ArrayList<>();
    for (SourceFile file : tree.files()) {
      if (file.isMarkdown()) {
        List<String> lines = file.lines();
        for (int i = 0; i < lines.size(); i++) {
          Matcher link = LINK.matcher(lines.get(i));
          while (link.find()) {
            if (!OUTSIDE.matcher(link.group(1)).matches()
                && !resolves(tree, paths, file, link.group(1))) {
              findings.add(file.finding(i + 1, "the link to " + link.group(1) + " leads nowhere"));
            }
          }
        }
      }
    }
    return findings;
  }

  private static boolean resolves(
      SourceTree tree, Set<String> paths, SourceFile from, String link) {
    String[] parts = link.split("#", 2);
    String target = parts[0].isEmpty() ? from.path() : normalize(from.path(), parts[0]);
    boolean exists =
        paths.contains(target) || paths.stream().anyMatch(path -> path.startsWith(target + "/"));
    if (!exists || parts.length == 1 || !target.endsWith(".md")) {
      return exists;
    }
    return tree.files().stream()
        .filter(file -> file.path().equals(target))
        .anyMatch(file -> anchors(file).contains(parts[1]));
  }

  private static String normalize(String from, String link) {
    return java.nio.file.Path.of(from).resolveSibling(link).normalize().toString();
  }

  private static Set<String> anchors(SourceFile file) {
    Set<String> anchors = new HashSet<>();
    Matcher heading = HEADING.matcher(file.text());
    while (heading.find()) {
      anchors.add(
          heading
              .group(1)
              .strip()
              .toLowerCase(Locale.ROOT)
              .replaceAll("[^\\p{L}\\p{N} _-]", "")
              .replace(' ', '-'));
    }
    return anchors;
  }

  /**
   * Every source of the core has a test of its name at the same place of the test tree. The JNI
   * layer has none: the tests of the Java classes that it serves run it, under -Xcheck:jni.
   */
  public static List<Finding> testBesideSource(SourceTree tree, Set<String> excepted) {
    Set<String> paths =
        tree.files().stream().map(SourceFile::path).collect(Collectors.toUnmodifiableSet());
    return tree.files().stream()
        .filter(file -> file.isUnder("src/main/c") && file.path().endsWith(".c"))
        .filter(file -> !file.isUnder("src/main/c/jni") && !excepted.contains(file.path()))
        .filter(file -> !paths.contains(testOf(file.path())))
        .map(file -> file.finding(1, "has no " + testOf(file.path())))
        .toList();
  }

  /**
   * No {@code length} lines of code in a row, C or Java, stand in the files of both front ends,
   * their names aside: what both need belongs below them. A front end's files are those with its
   * name in their path.
   */
  public static List<Finding> repeatedBlocks(
      SourceTree tree, String frontEnd, String other, int length) {
    Set<List<String>> known = new HashSet<>();
    blocks(tree, frontEnd, length).forEach(block -> known.add(block.lines()));
    return blocks(tree, other, length).stream()
        .filter(block -> known.contains(block.lines()))
        .map(block -> block.file().finding(block.number(), "stands in " + frontEnd + " as well"))
        .toList();
  }

  private record Block(SourceFile file, int number, List<String> lines) {}

  private static List<Block> blocks(SourceTree tree, String frontEnd, int length) {
    Pattern name = Pattern.compile(frontEnd + "_?", Pattern.CASE_INSENSITIVE);
    List<Block> blocks = new ArrayList<>();
    for (SourceFile file : tree.files()) {
      if (!file.isUnder("src/main")
          || !(file.isC() || file.isJava())
          || !name.matcher(file.path()).find()) {
        continue;
      }
      List<String> lines = file.codeLines();
      List<Integer> numbers = new ArrayList<>();
      for (int i = 0; i < lines.size(); i++) {
        String line = lines.get(i).strip();
        if (line.length() > 2 && !IMPORT.matcher(line).lookingAt()) {
          numbers.add(i);
        }
      }
      for (int first = 0; first + length <= numbers.size(); first++) {
        List<String> block =
            numbers.subList(first, first + length).stream()
                .map(number -> name.matcher(lines.get(number).strip()).replaceAll(""))
                .toList();
        blocks.add(new Block(file, numbers.get(first) + 1, block));
      }
    }
    return blocks;
  }

  private static String testOf(String source) {
    return source.replace("src/main/c/", "src/test/c/").replaceAll("\\.c$", "_test.c");
  }
}
