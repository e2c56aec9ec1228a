// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.transcode;

import java.io.IOException;
import java.io.InterruptedIOException;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;

/** Threads that share pieces of work. Whoever waits is told of a failure once all have ended. */
final class Work implements AutoCloseable {
  private final ExecutorService threads;

  /** So many threads, which have {@code name} and a number as their names. */
  Work(String name, int count) {
    AtomicInteger number = new AtomicInteger();
    threads =
        Executors.newFixedThreadPool(
            count,
            task -> {
              Thread thread = new Thread(task, name + "-" + number.getAndIncrement());
              thread.setDaemon(true);
              return thread;
            });
  }

  /** Begins a piece. */
  <T> Future<T> begin(Callable<T> piece) {
    return threads.submit(piece);
  }

  /** Does all pieces, and gives their results in order. */
  <T> List<T> all(List<Callable<T>> pieces) throws IOException {
    return ended(pieces.stream().map(this::begin).toList());
  }

  /** Waits for all pieces, then gives their results in order, or throws the first failure. */
  static <T> List<T> ended(List<Future<T>> begun) throws IOException {
    List<T> results = new ArrayList<>();
    Throwable failure = null;
    for (Future<T> piece : begun) {
      try {
        results.add(piece.get());
      } catch (ExecutionException e) {
        failure = failure == null ? e.getCause() : failure;
      } catch (InterruptedException e) {
        // Nobody interrupts these threads but whoever ends the process, which may happen any time.
        throw new InterruptedIOException("interrupted");
      }
    }
    if (failure instanceof IOException e) {
      throw e;
    } else if (failure instanceof RuntimeException e) {
      throw e;
    } else if (failure instanceof Error e) {
      throw e;
    }
    return results;
  }

  /** Waits for one piece. */
  static <T> T ended(Future<T> begun) throws IOException {
    return ended(List.of(begun)).get(0);
  }

  /** Ends the threads, once the pieces have ended that were begun: they use what is freed next. */
  @Override
  public void close() {
    threads.shutdown();
    boolean interrupted = false;
    while (!threads.isTerminated()) {
      try {
        threads.awaitTermination(1, TimeUnit.MINUTES);
      } catch (InterruptedException e) {
        interrupted = true;
      }
    }
    if (interrupted) {
      Thread.currentThread().interrupt();
    }
  }
}
