// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.cli;

import java.util.Arrays;
import java.util.Locale;
import java.util.Optional;

/** How much is logged, from nothing to everything. */
enum LogLevel {
  OFF,
  ERROR,
  WARN,
  INFO,
  DEBUG,
  TRACE;

  /** The level that {@code text} names in any case. */
  static Optional<LogLevel> of(String text) {
    return Arrays.stream(values()).filter(level -> level.text().equalsIgnoreCase(text)).findFirst();
  }

  /** The level as it is written on a command line. */
  String text() {
    return name().toLowerCase(Locale.ROOT);
  }
}
