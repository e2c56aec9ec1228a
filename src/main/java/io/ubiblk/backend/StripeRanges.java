// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.backend;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.function.IntPredicate;

/** The stripes of a disk whose flags fulfil a condition, as ranges; found anew each time. */
final class StripeRanges {
  private final ByteBuffer flags;
  private final IntPredicate condition;

  /**
   * Stripes among {@code flags}, one byte each.
   *
   * @param condition on the flags of a stripe
   */
  StripeRanges(ByteBuffer flags, IntPredicate condition) {
    this.flags = flags;
    this.condition = condition;
  }

  /** How many stripes there are. */
  long count() {
    long count = 0;
    for (int stripe = 0; stripe < flags.limit(); stripe++) {
      count += condition.test(flags.get(stripe)) ? 1 : 0;
    }
    return count;
  }

  /** Visits the ranges in ascending order; they are as long as they can be. */
  void forEach(Visitor visitor) throws IOException {
    int first = -1;
    for (int stripe = 0; stripe < flags.limit(); stripe++) {
      boolean in = condition.test(flags.get(stripe));
      if (in && first < 0) {
        first = stripe;
      } else if (!in && first >= 0) {
        visitor.visit(first, stripe - 1);
        first = -1;
      }
    }
    if (first >= 0) {
      visitor.visit(first, flags.limit() - 1);
    }
  }

  /** What is done with a range. */
  interface Visitor {
    void visit(int first, int last) throws IOException;
  }
}
