// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.tidy;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** Rules about C: layers, headers, function length, types. */
public final class CRules {
  private static final String MAIN = "src/main/c/";
  private static final int FUNCTION_LINES = 70;

  /** Each layer with those it may include beside itself; the core's dependencies as a table. */
  static final Map<String, Set<String>> LAYERS =
      Map.ofEntries(
          Map.entry("base", Set.of()),
          Map.entry("launch", Set.of()),
          Map.entry("mem", Set.of("base")),
          Map.entry("virtq", Set.of("base")),
          Map.entry("stripe", Set.of("base")),
          Map.entry("crypt", Set.of("base", "mem")),
          Map.entry("io", Set.of("base", "mem")),
          Map.entry("blk", Set.of("base", "mem", "stripe", "crypt", "io")),
          Map.entry("vhost", Set.of("base", "mem", "virtq", "blk")),
          Map.entry("ublk", Set.of("base", "mem", "blk")),
          Map.entry(
              "jni",
              Set.of("base", "mem", "virtq", "stripe", "crypt", "io", "blk", "vhost", "ublk")));

  /** Outside headers with the layers that may see them. */
  private static final Map<String, Set<String>> KEPT_HEADERS =
      Map.of("jni.h", Set.of("jni"), "liburing.h", Set.of("io", "ublk"));

  private static final Pattern OURS = Pattern.compile("^#include \"([a-z_0-9]+)/[^\"]+\"");
  private static final Pattern SYSTEM = Pattern.compile("^#include <([^>]+)>");
  private static final Pattern INCLUDE = Pattern.compile("^#include [<\"]([^>\"]+)[>\"]");
  private static final Pattern TYPEDEF = Pattern.compile("^\\s*typedef\\b(?!.*\\b\\w+_fn\\b)");

  private CRules() {}

  /** All rules of this class. */
  public static List<Rule> all() {
    return List.of(
        CRules::layers, CRules::ownHeaderFirst, CRules::functionLength, CRules::typedefs);
  }

  static List<Finding> layers(SourceFile file) {
    List<Finding> findings = new ArrayList<>();
    if (!file.isC() || !file.path().startsWith(MAIN)) {
      return findings;
    }
    String layer = file.path().substring(MAIN.length()).split("/", 2)[0];
    Set<String> allowed = LAYERS.get(layer);
    if (allowed == null) {
      return List.of(file.finding(1, layer + " is no layer: see CRules.LAYERS"));
    }
    List<String> lines = file.lines();
    for (int i = 0; i < lines.size(); i++) {
      Matcher ours = OURS.matcher(lines.get(i));
      if (ours.find() && !ours.group(1).equals(layer) && !allowed.contains(ours.group(1))) {
        findings.add(file.finding(i + 1, layer + " must not include " + ours.group(1)));
      }
      Matcher system = SYSTEM.matcher(lines.get(i));
      if (system.find()
          && KEPT_HEADERS.containsKey(system.group(1))
          && !KEPT_HEADERS.get(system.group(1)).contains(layer)) {
        findings.add(
            file.finding(
                i + 1,
                "<%s> is for %s only"
                    .formatted(system.group(1), KEPT_HEADERS.get(system.group(1)))));
      }
    }
    return findings;
  }

  static List<Finding> ownHeaderFirst(SourceFile file) {
    if (!file.path().startsWith(MAIN) || !file.path().endsWith(".c")) {
      return List.of();
    }
    String header = file.name().replace(".c", ".h");
    List<String> lines = file.lines();
    for (int i = 0; i < lines.size(); i++) {
      Matcher include = INCLUDE.matcher(lines.get(i));
      if (include.find()) {
        boolean named = file.text().contains("\"" + header) || file.text().contains("/" + header);
        boolean first = include.group(1).endsWith(header);
        return named && !first
            ? List.of(file.finding(i + 1, "include " + header + " first: it must stand alone"))
            : List.of();
      }
    }
    return List.of();
  }

  static List<Finding> functionLength(SourceFile file) {
    List<Finding> findings = new ArrayList<>();
    if (!file.isC()) {
      return findings;
    }
    List<String> lines = file.lines();
    int opened = -1;
    for (int i = 0; i < lines.size(); i++) {
      if (lines.get(i).equals("{")) {
        opened = i;
      } else if (opened >= 0 && lines.get(i).startsWith("}")) {
        int length = i - opened - 1;
        if (length > FUNCTION_LINES) {
          findings.add(
              file.finding(
                  opened + 1, "a function of %d lines, at most 70: split it".formatted(length)));
        }
        opened = -1;
      }
    }
    return findings;
  }

  static List<Finding> typedefs(SourceFile file) {
    return file.isC()
        ? file.findingsWhere(
            file.codeLines(), TYPEDEF, "a typedef: write struct or enum (callbacks end in _fn)")
        : List.of();
  }
}
