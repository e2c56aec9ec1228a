// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk;

import static org.assertj.core.api.Assertions.assertThat;

import io.ubiblk.tidy.BannedCalls;
import io.ubiblk.tidy.CRules;
import io.ubiblk.tidy.Finding;
import io.ubiblk.tidy.MethodLength;
import io.ubiblk.tidy.Rule;
import io.ubiblk.tidy.SourceFile;
import io.ubiblk.tidy.SourceTree;
import io.ubiblk.tidy.TextRules;
import io.ubiblk.tidy.TreeRules;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Set;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

/** Holds the whole tree against the house rules; {@code io.ubiblk.tidy} says what they are. */
class TidyTest {
  private static final Path ROOT = Path.of("").toAbsolutePath();

  private static SourceTree tree;

  @BeforeAll
  static void readTree() throws IOException {
    tree = SourceTree.read(ROOT);
    assertThat(tree.files()).extracting(SourceFile::path).contains("pom.xml", "CMakeLists.txt");
  }

  @Test
  void textIsTidy() {
    assertTidy(TextRules.all());
  }

  @Test
  void cKeepsItsLayersAndShapes() {
    assertTidy(CRules.all());
  }

  @Test
  void methodsFitOnAScreen() {
    assertTidy(MethodLength.all());
  }

  @Test
  void callsWithASaferReplacementAreNotMade() {
    assertTidy(BannedCalls.all());
  }

  @Test
  void linksOfDocumentsLeadSomewhere() throws IOException {
    assertThat(TreeRules.links(tree, allPaths())).isEmpty();
  }

  @Test
  void everySourceOfTheCoreHasItsTest() {
    assertThat(TreeRules.testBesideSource(tree, Set.of())).isEmpty();
  }

  @Test
  void noFrontEndRepeatsTheOther() {
    assertThat(TreeRules.repeatedBlocks(tree, "vhost", "ublk", 6)).isEmpty();
  }

  private static void assertTidy(List<Rule> rules) {
    List<Finding> findings =
        tree.files().stream()
            .flatMap(file -> rules.stream().flatMap(rule -> rule.check(file).stream()))
            .sorted()
            .toList();
    assertThat(findings).isEmpty();
  }

  private static Set<String> allPaths() throws IOException {
    try (Stream<Path> paths = Files.walk(ROOT)) {
      return paths
          .map(path -> ROOT.relativize(path).toString())
          .filter(path -> !path.startsWith(".git/") && !path.startsWith("target/"))
          .collect(Collectors.toUnmodifiableSet());
    }
  }
}
