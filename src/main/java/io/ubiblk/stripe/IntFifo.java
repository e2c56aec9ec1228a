// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.stripe;

import java.util.Arrays;

/** A first-in first-out queue of ints that costs four bytes each. Not thread-safe. */
final class IntFifo {
  private int[] ring = new int[16];
  private int head;
  private int size;

  boolean isEmpty() {
    return size == 0;
  }

  void add(int value) {
    if (size == ring.length) {
      int[] larger = Arrays.copyOfRange(ring, head, head + 2 * size);
      System.arraycopy(ring, 0, larger, ring.length - head, head);
      ring = larger;
      head = 0;
    }
    ring[(head + size) % ring.length] = value;
    size++;
  }

  /** The oldest; there is one. */
  int peek() {
    return ring[head];
  }

  /** Takes the oldest out; there is one. */
  void remove() {
    head = (head + 1) % ring.length;
    size--;
  }
}
