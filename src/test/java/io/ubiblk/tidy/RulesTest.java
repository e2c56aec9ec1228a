// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.tidy;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.List;
import java.util.Set;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;

/** The checker itself: each rule finds what it is for and leaves the rest alone. */
class RulesTest {
  private static final String C = "src/main/c/virtq/virtq.c";
  private static final String JAVA = "src/main/java/io/ubiblk/config/Config.java";

  @Test
  void findsTheLineThatIsTooLong() {
    String text = "short\n" + "x".repeat(101) + "\n" + "x".repeat(100) + "\n";
    assertThat(TextRules.lineLength(new SourceFile(JAVA, text)))
        .extracting(Finding::toString)
        .containsExactly(JAVA + ":2: 101 columns, at most 100");
    assertThat(TextRules.lineLength(new SourceFile("README.md", text))).isEmpty();
    String literal = "    \"" + "x".repeat(100) + "\",\n";
    assertThat(TextRules.lineLength(new SourceFile(JAVA, literal))).isEmpty();
  }

  @Test
  void findsWhiteSpaceThatTheEditorShouldHaveRemoved() {
    assertThat(messages(TextRules::whiteSpace, C, "a \n\tb\nc"))
        .containsExactly(
            "white space at the end", "a tab: indent with spaces", "no line feed at the end");
    assertThat(messages(TextRules::whiteSpace, C, "a\nb\n")).isEmpty();
  }

  @Test
  void wantsALicenceLineAtTheTop() {
    assertThat(messages(TextRules::licence, C, "int a;\n")).hasSize(1);
    assertThat(messages(TextRules::licence, C, "/* SPDX-License-Identifier: AGPL-3.0-only */\n"))
        .isEmpty();
    assertThat(messages(TextRules::licence, "README.md", "# ubiblk\n")).isEmpty();
  }

  @Test
  void findsNotesToOneself() {
    assertThat(messages(TextRules::notes, C, "/* FIX" + "ME: later */\n")).hasSize(1);
    assertThat(messages(TextRules::notes, C, "/* fixed */\n")).isEmpty();
  }

  @Test
  void refusesAnIncludeOfALayerAbove() {
    assertThat(messages(CRules::layers, C, "#include \"blk/blk_request.h\"\n"))
        .containsExactly("virtq must not include blk");
    assertThat(messages(CRules::layers, C, "#include \"base/error.h\"\n#include \"virtq.h\"\n"))
        .isEmpty();
    assertThat(messages(CRules::layers, "src/main/c/misc/a.c", "int a;\n")).hasSize(1);
  }

  @Test
  void keepsOutsideHeadersToTheirLayers() {
    assertThat(messages(CRules::layers, C, "#include <jni.h>\n#include <liburing.h>\n")).hasSize(2);
    assertThat(messages(CRules::layers, "src/main/c/jni/jni_env.c", "#include <jni.h>\n"))
        .isEmpty();
    assertThat(messages(CRules::layers, "src/main/c/io/uring.c", "#include <liburing.h>\n"))
        .isEmpty();
  }

  @Test
  void theLayerTableHasNoCycle() {
    for (String layer : CRules.LAYERS.keySet()) {
      assertThat(reachable(layer)).as("what %s includes", layer).doesNotContain(layer);
    }
  }

  @Test
  void wantsAFilesOwnHeaderFirst() {
    String late = "#include <stdio.h>\n#include \"virtq/virtq.h\"\n";
    assertThat(messages(CRules::ownHeaderFirst, C, late)).hasSize(1);
    assertThat(messages(CRules::ownHeaderFirst, C, "#include \"virtq.h\"\n#include <stdio.h>\n"))
        .isEmpty();
    assertThat(messages(CRules::ownHeaderFirst, C, "#include <stdio.h>\n")).isEmpty();
  }

  @Test
  void findsTheFunctionThatIsLongerThanAScreen() {
    String body = "    call();\n";
    assertThat(messages(CRules::functionLength, C, "int f(void)\n{\n" + body.repeat(71) + "}\n"))
        .containsExactly("a function of 71 lines, at most 70: split it");
    assertThat(messages(CRules::functionLength, C, "int f(void)\n{\n" + body.repeat(70) + "}\n"))
        .isEmpty();
  }

  @Test
  void findsTheMethodThatIsLongerThanAScreen() {
    assertThat(messages(MethodLength::check, JAVA, method(71)))
        .containsExactly("f has 71 lines, at most 70: split it");
    assertThat(messages(MethodLength::check, JAVA, method(70))).isEmpty();
  }

  @Test
  void allowsTypedefsOfCallbacksOnly() {
    assertThat(messages(CRules::typedefs, C, "typedef struct queue queue;\n")).hasSize(1);
    assertThat(messages(CRules::typedefs, C, "typedef void (*done_fn)(void *);\n")).isEmpty();
  }

  @Test
  void namesTheReplacementOfABannedCall() {
    assertThat(messages(BannedCalls::check, C, "    strcpy(a, b);\n"))
        .singleElement()
        .asString()
        .contains("snprintf");
    assertThat(messages(BannedCalls::check, JAVA, "System.out.println();\n"))
        .containsExactly("use a logger");
  }

  @Test
  void takesCommentsStringsAndMembersForNoCall() {
    assertThat(
            messages(
                BannedCalls::check,
                C,
                "/* strcpy(a, b) */\nlog(\"sprintf(\\\"x\");\nmy_strcpy(a);\nops->exit(1);\n"))
        .isEmpty();
  }

  @Test
  void findsLinksThatLeadNowhere() {
    SourceFile readme =
        new SourceFile(
            "README.md",
            "[a](docs/a.md#the-part) [b](docs/b.md) [c](docs/a.md#gone) [d](https://x)\n");
    SourceFile a = new SourceFile("docs/a.md", "# A\n\n## The part\n[up](../README.md)\n");
    assertThat(
            TreeRules.links(
                new SourceTree(List.of(readme, a)), Set.of("README.md", "docs", "docs/a.md")))
        .extracting(Finding::message)
        .containsExactly(
            "the link to docs/b.md leads nowhere", "the link to docs/a.md#gone leads nowhere");
  }

  @Test
  void wantsATestBesideEverySourceOfTheCore() {
    SourceTree tree =
        new SourceTree(
            List.of(
                new SourceFile("src/main/c/base/error.c", ""),
                new SourceFile("src/main/c/base/log.c", ""),
                new SourceFile("src/main/c/base/entry.c", ""),
                new SourceFile("src/main/c/jni/jni_env.c", ""),
                new SourceFile("src/test/c/base/log_test.c", "")));
    assertThat(TreeRules.testBesideSource(tree, Set.of("src/main/c/base/entry.c")))
        .extracting(Finding::message)
        .containsExactly("has no src/test/c/base/error_test.c");
  }

  @Test
  void findsWhatTwoFrontEndsRepeat() {
    String code = "void %s_end(void)\n{\n    one();\n\n    two(); /* why */\n    three();\n}\n";
    SourceTree tree =
        new SourceTree(
            List.of(
                new SourceFile("src/main/c/vhost/vhost_a.c", code.formatted("vhost")),
                new SourceFile("src/main/c/ublk/ublk_a.c", "int b;\n" + code.formatted("ublk")),
                new SourceFile("src/main/c/ublk/ublk_c.c", code.replace("two", "other"))));
    assertThat(TreeRules.repeatedBlocks(tree, "vhost", "ublk", 4))
        .extracting(Finding::toString)
        .singleElement()
        .asString()
        .contains("ublk_a.c", "2");
    assertThat(TreeRules.repeatedBlocks(tree, "vhost", "ublk", 5)).isEmpty();
  }

  @Test
  void findsWhatTheGlueAndTheJavaOfFrontEndsRepeat() {
    String code = "import a.%1$s;\nclass Native%1$s {\n  int a;\n  %1$s b;\n}\n";
    SourceTree tree =
        new SourceTree(
            List.of(
                new SourceFile(
                    "src/main/java/io/ubiblk/a/NativeVhost.java", code.formatted("Vhost")),
                new SourceFile("src/main/java/io/ubiblk/b/NativeUblk.java", code.formatted("Ublk")),
                new SourceFile("src/main/c/jni/jni_ublk_backend.c", code.formatted("ublk")),
                new SourceFile("src/main/java/io/ubiblk/b/Other.java", code.formatted("Ublk"))));
    assertThat(TreeRules.repeatedBlocks(tree, "vhost", "ublk", 3))
        .extracting(Finding::path)
        .containsExactly(
            "src/main/java/io/ubiblk/b/NativeUblk.java", "src/main/c/jni/jni_ublk_backend.c");
  }

  private static List<String> messages(Rule rule, String path, String text) {
    return rule.check(new SourceFile(path, text)).stream().map(Finding::message).toList();
  }

  private static String method(int lines) {
    String body = IntStream.range(0, lines).mapToObj(i -> "    g();\n").reduce("", String::concat);
    return "class Config {\n  void f() {\n" + body + "  }\n}\n";
  }

  private static Set<String> reachable(String layer) {
    Set<String> found = new java.util.TreeSet<>();
    List<String> next = List.copyOf(CRules.LAYERS.get(layer));
    while (!next.isEmpty()) {
      next = next.stream().filter(found::add).flatMap(l -> CRules.LAYERS.get(l).stream()).toList();
    }
    return found;
  }
}
