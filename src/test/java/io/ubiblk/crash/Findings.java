// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.crash;

import java.util.EnumMap;
import java.util.Map;

/** Violations that were found, by kind: in how many states, and the first one. Any thread. */
final class Findings {
  private final Map<Violation.Kind, Violation> first = new EnumMap<>(Violation.Kind.class);
  private final Map<Violation.Kind, Integer> counts = new EnumMap<>(Violation.Kind.class);

  /** Adds those of one state. */
  synchronized void add(Map<Violation.Kind, Violation> ofState) {
    ofState.forEach(first::putIfAbsent);
    ofState.keySet().forEach(kind -> counts.merge(kind, 1, Integer::sum));
  }

  /** States with a violation of that kind. */
  synchronized int count(Violation.Kind kind) {
    return counts.getOrDefault(kind, 0);
  }

  synchronized boolean isEmpty() {
    return first.isEmpty();
  }

  /** The first of each kind. */
  @Override
  public synchronized String toString() {
    return first.toString();
  }
}
