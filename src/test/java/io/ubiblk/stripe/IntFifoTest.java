// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.stripe;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.ArrayDeque;
import java.util.Deque;
import java.util.List;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.Size;

class IntFifoTest {
  /** Positive numbers are added; others take one out. */
  @Property
  void gives_out_what_was_put_in_in_the_same_order(@ForAll @Size(max = 300) List<Integer> steps) {
    IntFifo fifo = new IntFifo();
    Deque<Integer> model = new ArrayDeque<>();
    for (int step : steps) {
      if (step > 0 || step % 3 == 0) {
        fifo.add(step);
        model.add(step);
      } else if (!model.isEmpty()) {
        assertThat(fifo.peek()).isEqualTo(model.remove());
        fifo.remove();
      }
      assertThat(fifo.isEmpty()).isEqualTo(model.isEmpty());
    }
    while (!model.isEmpty()) {
      assertThat(fifo.peek()).isEqualTo(model.remove());
      fifo.remove();
    }
    assertThat(fifo.isEmpty()).isTrue();
  }
}
