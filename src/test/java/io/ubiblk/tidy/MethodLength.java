// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.tidy;

import com.sun.source.tree.CompilationUnitTree;
import com.sun.source.tree.LineMap;
import com.sun.source.tree.MethodTree;
import com.sun.source.util.JavacTask;
import com.sun.source.util.SourcePositions;
import com.sun.source.util.TreeScanner;
import com.sun.source.util.Trees;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.net.URI;
import java.util.ArrayList;
import java.util.List;
import javax.tools.JavaFileObject;
import javax.tools.SimpleJavaFileObject;
import javax.tools.ToolProvider;

/** A Java method fits on a screen; the compiler's own parser says where it begins and ends. */
public final class MethodLength {
  private static final int METHOD_LINES = 70;

  private MethodLength() {}

  /** All rules of this class. */
  public static List<Rule> all() {
    return List.of(MethodLength::check);
  }

  static List<Finding> check(SourceFile file) {
    return file.isJava() ? findings(file) : List.of();
  }

  private static List<Finding> findings(SourceFile file) {
    JavacTask task =
        (JavacTask)
            ToolProvider.getSystemJavaCompiler()
                .getTask(null, null, unused -> {}, null, null, List.of(new InMemory(file)));
    SourcePositions positions = Trees.instance(task).getSourcePositions();
    List<Finding> findings = new ArrayList<>();
    try {
      for (CompilationUnitTree unit : task.parse()) {
        new LongMethods(file, unit, positions, findings).scan(unit, null);
      }
    } catch (IOException e) {
      throw new UncheckedIOException(file.path(), e);
    }
    return findings;
  }

  private static final class LongMethods extends TreeScanner<Void, Void> {
    private final SourceFile file;
    private final CompilationUnitTree unit;
    private final SourcePositions positions;
    private final List<Finding> findings;

    LongMethods(
        SourceFile file,
        CompilationUnitTree unit,
        SourcePositions positions,
        List<Finding> findings) {
      this.file = file;
      this.unit = unit;
      this.positions = positions;
      this.findings = findings;
    }

    @Override
    public Void visitMethod(MethodTree method, Void unused) {
      if (method.getBody() != null) {
        LineMap lines = unit.getLineMap();
        long first = lines.getLineNumber(positions.getStartPosition(unit, method.getBody()));
        long last = lines.getLineNumber(positions.getEndPosition(unit, method.getBody()));
        if (last - first - 1 > METHOD_LINES) {
          findings.add(
              file.finding(
                  (int) first,
                  "%s has %d lines, at most 70: split it"
                      .formatted(method.getName(), last - first - 1)));
        }
      }
      return super.visitMethod(method, null);
    }
  }

  private static final class InMemory extends SimpleJavaFileObject {
    private final SourceFile file;

    InMemory(SourceFile file) {
      super(URI.create("string:///" + file.path()), JavaFileObject.Kind.SOURCE);
      this.file = file;
    }

    @Override
    public CharSequence getCharContent(boolean ignoreEncodingErrors) {
      return file.text();
    }
  }
}
