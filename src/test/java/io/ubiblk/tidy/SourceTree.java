// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.tidy;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.FileVisitResult;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.SimpleFileVisitor;
import java.nio.file.attribute.BasicFileAttributes;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;

/** The project's own text files: no build output, nothing binary. */
public record SourceTree(List<SourceFile> files) {
  private static final Set<String> NOT_OURS = Set.of("target", "build", ".git", ".idea", ".vscode");
  private static final Set<String> TEXT_SUFFIXES =
      Set.of(
          "c",
          "h",
          "java",
          "md",
          "xml",
          "cmake",
          "sh",
          "yaml",
          "yml",
          "map",
          "txt",
          "service",
          "properties",
          "args",
          "config");

  /** Reads every text file below {@code root}. */
  public static SourceTree read(Path root) throws IOException {
    List<SourceFile> files = new ArrayList<>();
    Files.walkFileTree(
        root,
        new SimpleFileVisitor<>() {
          @Override
          public FileVisitResult preVisitDirectory(Path directory, BasicFileAttributes unused) {
            boolean ours =
                !root.equals(directory.getParent())
                    || !NOT_OURS.contains(directory.getFileName().toString());
            return ours ? FileVisitResult.CONTINUE : FileVisitResult.SKIP_SUBTREE;
          }

          @Override
          public FileVisitResult visitFile(Path file, BasicFileAttributes attributes)
              throws IOException {
            if (attributes.isRegularFile() && isText(file)) {
              String path = root.relativize(file).toString();
              files.add(new SourceFile(path, Files.readString(file, StandardCharsets.UTF_8)));
            }
            return FileVisitResult.CONTINUE;
          }
        });
    return new SourceTree(List.copyOf(files));
  }

  private static boolean isText(Path file) throws IOException {
    String name = file.getFileName().toString();
    int dot = name.lastIndexOf('.');
    if (dot > 0) {
      return TEXT_SUFFIXES.contains(name.substring(dot + 1));
    }
    try (var in = Files.newInputStream(file)) {
      byte[] start = in.readNBytes(2);
      return start.length == 2 && start[0] == '#' && start[1] == '!';
    }
  }
}
