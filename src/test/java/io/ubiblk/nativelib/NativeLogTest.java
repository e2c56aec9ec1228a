// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.nativelib;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.slf4j.event.Level;

@Timeout(30)
class NativeLogTest {
  @BeforeAll
  static void loadLibrary() throws IOException {
    NativeLibrary.load();
  }

  @Test
  void hands_lines_to_the_logger_in_order_and_what_is_left_before_it_closes() throws IOException {
    ByteArrayOutputStream captured = new ByteArrayOutputStream();
    PrintStream before = System.err;
    System.setErr(new PrintStream(captured, true, StandardCharsets.UTF_8));
    try (NativeLog log = NativeLog.open()) {
      log.write(Level.ERROR, "a disk with 100 % d\u00e9faults");
      log.write(Level.INFO, "front end\nconnected");
      log.write(Level.DEBUG, "not shown at this level");
    } finally {
      System.setErr(before);
    }
    String text = captured.toString(StandardCharsets.UTF_8);
    assertThat(text)
        .contains("ERROR io.ubiblk.native - a disk with 100 % d\u00e9faults")
        .contains("INFO io.ubiblk.native - front end?connected")
        .doesNotContain("not shown");
    assertThat(text.indexOf("faults")).isLessThan(text.indexOf("connected"));
  }

  @Test
  void ends_its_thread_when_it_is_closed() throws IOException {
    try (NativeLog log = NativeLog.open()) {
      assertThat(log).isNotNull();
      assertThat(Thread.getAllStackTraces().keySet())
          .anyMatch(thread -> thread.getName().equals("native-log"));
    }
    assertThat(Thread.getAllStackTraces().keySet())
        .noneMatch(thread -> thread.getName().equals("native-log"));
  }
}
