// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.config;

import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;

/** A file system of a few pages, mounted for one test, which needs root. */
final class TinyFileSystem implements AutoCloseable {
  private final Path root;

  private TinyFileSystem(Path root) {
    this.root = root;
  }

  static TinyFileSystem mount(Path directory, int kib) throws IOException {
    Path root = Files.createDirectory(directory.resolve("tiny"));
    assumeTrue(
        run("mount", "-t", "tmpfs", "-o", "size=" + kib + "k", "tmpfs", root.toString()),
        "mounting a file system needs root");
    return new TinyFileSystem(root);
  }

  Path root() {
    return root;
  }

  /** Lets nothing change any more. */
  void makeReadOnly() throws IOException {
    if (!run("mount", "-o", "remount,ro", root.toString())) {
      throw new IOException("cannot make " + root + " read-only");
    }
  }

  @Override
  public void close() throws IOException {
    if (!run("umount", root.toString())) {
      throw new IOException("cannot unmount " + root);
    }
  }

  private static boolean run(String... command) throws IOException {
    Process process =
        new ProcessBuilder(command).redirectError(ProcessBuilder.Redirect.DISCARD).start();
    try {
      return process.waitFor() == 0;
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new IOException("interrupted", e);
    }
  }
}
