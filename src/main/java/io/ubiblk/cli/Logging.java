// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.cli;

import java.util.Optional;

/**
 * Sets up the log: lines on stderr, level by flag or environment. The logging library reads its
 * properties when the first logger is made, so {@link #configure} runs before anything asks for
 * one.
 */
final class Logging {
  /** The environment variable with the level; the flag wins over it. */
  static final String VARIABLE = "UBIBLK_LOG";

  private static final String PREFIX = "org.slf4j.simpleLogger.";

  private Logging() {}

  /**
   * Sets the level: {@code flag} if given, else {@code variable} if it names one, else {@code
   * quiet}.
   *
   * @return a warning, if the variable names no level
   */
  static Optional<String> configure(
      Optional<LogLevel> flag, Optional<String> variable, LogLevel quiet) {
    Optional<LogLevel> fromVariable = variable.flatMap(LogLevel::of);
    LogLevel level = flag.or(() -> fromVariable).orElse(quiet);
    System.setProperty(PREFIX + "logFile", "System.err");
    System.setProperty(PREFIX + "defaultLogLevel", level.text());
    System.setProperty(PREFIX + "showThreadName", "false");
    System.setProperty(PREFIX + "showShortLogName", "true");
    System.setProperty(PREFIX + "levelInBrackets", "true");
    return variable
        .filter(text -> !text.isEmpty() && fromVariable.isEmpty())
        .map(text -> VARIABLE + " names no level; use off, error, warn, info, debug or trace");
  }

  /** What a failure says, as one line of log; its kind if it says nothing. */
  static String sentence(Throwable failure) {
    return oneLine(failure.getMessage() != null ? failure.getMessage() : failure.toString());
  }

  /** The text with whatever would start a second line of log replaced. */
  static String oneLine(String text) {
    return text.replaceAll("\\p{Cntrl}", "?");
  }
}
