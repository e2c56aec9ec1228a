// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.stripe;

import java.io.IOException;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.Set;

/**
 * What happens, in one order, and what goes wrong on the way: events fail, or are held up, by name.
 * A name is an event's first word, or all of it.
 */
final class Faults {
  private final List<String> events = new ArrayList<>();
  private final Map<String, Integer> failures = new HashMap<>();
  private final Set<String> held = new HashSet<>();
  private final Set<String> holding = new HashSet<>();
  private Random random = new Random(0);
  private double failureRate;

  /** The next so many events of the name fail. */
  synchronized void fail(String name, int times) {
    failures.put(name, times);
  }

  /** Events of the name fail until {@link #heal}. */
  void failAlways(String name) {
    fail(name, Integer.MAX_VALUE);
  }

  synchronized void heal(String name) {
    failures.remove(name);
  }

  /** So many of all events fail. */
  synchronized void failAtRandom(double rate, Random source) {
    failureRate = rate;
    random = source;
  }

  /** Events of the name wait until {@link #release}. */
  synchronized void hold(String name) {
    held.add(name);
  }

  synchronized void release(String name) {
    held.remove(name);
    notifyAll();
  }

  /** Whether an event is held up. */
  synchronized boolean isHolding(String event) {
    return holding.contains(event);
  }

  /** Notes an event that cannot fail. */
  synchronized void note(String event) {
    events.add(event);
  }

  /** Notes an event, and lets it wait or fail; interrupts do not end the waiting. */
  synchronized void happen(String event) throws IOException {
    events.add(event);
    boolean interrupted = false;
    while (isHeld(event)) {
      try {
        pass(event);
      } catch (InterruptedException e) {
        interrupted = true;
      }
    }
    if (interrupted) {
      Thread.currentThread().interrupt();
    }
    failIfDue(event);
  }

  /** The same, for an event that an interrupt ends. */
  synchronized void happenInterruptibly(String event) throws IOException, InterruptedException {
    events.add(event);
    while (isHeld(event)) {
      pass(event);
    }
    failIfDue(event);
  }

  private void pass(String event) throws InterruptedException {
    holding.add(event);
    try {
      while (isHeld(event)) {
        wait();
      }
    } finally {
      holding.remove(event);
    }
  }

  private boolean isHeld(String event) {
    return held.contains(event) || held.contains(name(event));
  }

  private void failIfDue(String event) throws IOException {
    for (String name : List.of(event, name(event))) {
      int left = failures.getOrDefault(name, 0);
      if (left > 0) {
        failures.put(name, left - 1);
        throw new IOException(event + " fails");
      }
    }
    if (random.nextDouble() < failureRate) {
      throw new IOException(event + " fails by chance");
    }
  }

  private static String name(String event) {
    return event.split(" ", 2)[0];
  }

  synchronized List<String> events() {
    return List.copyOf(events);
  }

  /** Events of these names. */
  List<String> events(String... names) {
    return events().stream().filter(event -> Set.of(names).contains(name(event))).toList();
  }

  synchronized void forget() {
    events.clear();
  }
}
