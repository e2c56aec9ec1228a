// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.cli;

import java.io.PrintWriter;
import java.io.StringWriter;
import java.io.Writer;
import java.nio.file.Path;
import java.util.Arrays;
import org.junit.jupiter.api.io.TempDir;

/** Command lines as {@link Main} takes them, with programs that only remember them. */
abstract class CommandHarness {
  final RecordingPrograms programs = new RecordingPrograms();
  final StringWriter out = new StringWriter();
  final StringWriter err = new StringWriter();

  /** For the files that a command line names. */
  @TempDir Path directory;

  /** Runs a command line, whose first word names the program, and gives the exit code. */
  final int run(Object... arguments) {
    return runTo(out, arguments);
  }

  /** The same, with standard output to {@code printed}. */
  final int runTo(Writer printed, Object... arguments) {
    return Main.execute(
        programs,
        line -> line.setOut(new PrintWriter(printed)).setErr(new PrintWriter(err)),
        Arrays.stream(arguments).map(Object::toString).toArray(String[]::new));
  }
}
