// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.cli;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.channels.ClosedChannelException;
import org.junit.jupiter.api.Test;

class LoggingTest {
  @Test
  void a_failure_is_one_line_and_never_an_empty_one() {
    assertThat(Logging.sentence(new IOException("a\nb\u0007"))).isEqualTo("a?b?");
    assertThat(Logging.sentence(new ClosedChannelException()))
        .isEqualTo("java.nio.channels.ClosedChannelException");
  }
}
