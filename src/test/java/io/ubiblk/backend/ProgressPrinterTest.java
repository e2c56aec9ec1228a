// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.backend;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.ByteArrayOutputStream;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicLong;
import org.junit.jupiter.api.Test;

class ProgressPrinterTest {
  private static final long GIB_SECTORS = 1 << 21;

  private final ByteArrayOutputStream bytes = new ByteArrayOutputStream();
  private final AtomicLong nowNs = new AtomicLong(5);

  private ProgressPrinter printer(boolean terminal) {
    return new ProgressPrinter(
        new PrintStream(bytes, true, StandardCharsets.UTF_8), terminal, nowNs::get);
  }

  private void pass(long milliseconds) {
    nowNs.addAndGet(TimeUnit.MILLISECONDS.toNanos(milliseconds));
  }

  private String printed() {
    return bytes.toString(StandardCharsets.UTF_8);
  }

  @Test
  void elsewhere_there_is_a_line_every_ten_seconds_and_one_at_the_end() {
    try (ProgressPrinter printer = printer(false)) {
      printer.reached(0, 4 * GIB_SECTORS);
      pass(9_999);
      printer.reached(GIB_SECTORS / 2, 4 * GIB_SECTORS);
      pass(1);
      printer.reached(GIB_SECTORS, 4 * GIB_SECTORS);
      pass(30_000);
      printer.reached(4 * GIB_SECTORS, 4 * GIB_SECTORS);
    }
    assertThat(printed())
        .isEqualTo(
            """
             25 %  1024 of 4096 MiB  102 MiB/s  0:30 left
            100 %  4096 of 4096 MiB  102 MiB/s  in 0:40
            """);
  }

  @Test
  void on_a_terminal_a_bar_stays_in_its_line() {
    try (ProgressPrinter printer = printer(true)) {
      printer.reached(0, GIB_SECTORS);
      pass(100);
      printer.reached(1, GIB_SECTORS);
      pass(100);
      printer.reached(GIB_SECTORS / 2, GIB_SECTORS);
    }
    assertThat(printed())
        .isEqualTo(
            "\r[###############---------------]  50 %  512 of 1024 MiB  2560 MiB/s  0:00 left   \n");
  }

  @Test
  void long_times_have_hours_and_nothing_to_do_is_done_at_once() {
    try (ProgressPrinter printer = printer(false)) {
      printer.reached(0, GIB_SECTORS);
      pass(3_723_000);
      printer.reached(GIB_SECTORS / 2, GIB_SECTORS);
    }
    assertThat(printed()).contains("1:02:03 left");
    bytes.reset();
    try (ProgressPrinter printer = printer(false)) {
      printer.reached(0, 0);
    }
    assertThat(printed()).isEmpty();
  }

  @Test
  void a_silent_one_prints_nothing() {
    try (ProgressPrinter printer = ProgressPrinter.silent()) {
      printer.reached(0, 1);
      printer.reached(1, 1);
    }
    assertThat(printed()).isEmpty();
  }
}
