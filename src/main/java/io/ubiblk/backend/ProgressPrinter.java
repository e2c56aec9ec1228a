// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.backend;

import io.ubiblk.transcode.Progress;
import java.io.OutputStream;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.Locale;
import java.util.concurrent.TimeUnit;
import java.util.function.LongSupplier;

/**
 * Shows how far a tool has come: a bar that stays in its line on a terminal, else a line now and
 * then.
 */
final class ProgressPrinter implements Progress, AutoCloseable {
  private static final long TERMINAL_PERIOD_NS = TimeUnit.MILLISECONDS.toNanos(200);
  private static final long LINES_PERIOD_NS = TimeUnit.SECONDS.toNanos(10);
  private static final int BAR_CHARACTERS = 30;
  private static final int SECTORS_PER_MIB = 2048;

  private final PrintStream out;
  private final boolean terminal;
  private final LongSupplier clockNs;
  private long beginNs;
  private long shownNs;
  private boolean begun;
  private boolean lineIsOpen;

  /**
   * A printer that has printed nothing.
   *
   * @param terminal whether lines can be printed over
   * @param clockNs as {@link System#nanoTime}
   */
  ProgressPrinter(PrintStream out, boolean terminal, LongSupplier clockNs) {
    this.out = out;
    this.terminal = terminal;
    this.clockNs = clockNs;
  }

  /** Prints nothing. */
  static ProgressPrinter silent() {
    return new ProgressPrinter(
        new PrintStream(OutputStream.nullOutputStream(), false, StandardCharsets.UTF_8),
        false,
        System::nanoTime);
  }

  @Override
  public synchronized void reached(long done, long total) {
    long nowNs = clockNs.getAsLong();
    if (!begun) {
      begun = true;
      beginNs = nowNs;
      shownNs = nowNs;
      return;
    }
    long periodNs = terminal ? TERMINAL_PERIOD_NS : LINES_PERIOD_NS;
    if (done >= total || nowNs - shownNs >= periodNs) {
      shownNs = nowNs;
      show(done, total, nowNs - beginNs);
    }
  }

  private void show(long done, long total, long elapsedNs) {
    String text = text(done, total, elapsedNs);
    if (terminal) {
      // Blanks cover what a longer text before may have left.
      out.print("\r" + bar(done, total) + " " + text + "   ");
      lineIsOpen = true;
    } else {
      out.println(text);
    }
    out.flush();
  }

  private static String bar(long done, long total) {
    int full = (int) Math.min(BAR_CHARACTERS, (long) BAR_CHARACTERS * done / Math.max(1, total));
    return "[" + "#".repeat(full) + "-".repeat(BAR_CHARACTERS - full) + "]";
  }

  private static String text(long done, long total, long elapsedNs) {
    double seconds = Math.max(1, elapsedNs) / 1e9;
    double doneMib = (double) done / SECTORS_PER_MIB;
    return String.format(
        Locale.ROOT,
        "%3d %%  %.0f of %.0f MiB  %.0f MiB/s  %s",
        100 * done / Math.max(1, total),
        doneMib,
        (double) total / SECTORS_PER_MIB,
        doneMib / seconds,
        done >= total
            ? "in " + clock(seconds)
            : clock(seconds * (total - done) / Math.max(1, done)) + " left");
  }

  /** As in 1:02:03. */
  private static String clock(double seconds) {
    long whole = Math.round(seconds);
    long minutes = whole / 60;
    return minutes < 60
        ? String.format(Locale.ROOT, "%d:%02d", minutes, whole % 60)
        : String.format(Locale.ROOT, "%d:%02d:%02d", minutes / 60, minutes % 60, whole % 60);
  }

  /** Ends the line that the bar is in. */
  @Override
  public synchronized void close() {
    if (lineIsOpen) {
      lineIsOpen = false;
      out.println();
    }
  }
}
