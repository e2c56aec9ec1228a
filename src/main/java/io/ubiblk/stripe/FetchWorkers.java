// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.stripe;

import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.Condition;
import java.util.concurrent.locks.Lock;
import java.util.function.Supplier;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * The threads {@code fetch-N}: made when there is work that nobody is free for, up to a limit, and
 * ended, with their buffers, when there has been none for a while. Nobody polls: who has nothing to
 * do sleeps until it is signalled or until the next job's time.
 */
final class FetchWorkers {
  private static final Logger LOG = LoggerFactory.getLogger(FetchWorkers.class);

  /** How long a worker without work stays. */
  static final long IDLE_NS = TimeUnit.SECONDS.toNanos(10);

  /** What workers do. Called with the lock held. */
  interface Jobs {
    /** Whether there is a job now. */
    boolean ready(long nowNs);

    /** Takes a job; there is one. */
    Job take(long nowNs);

    /** When there may be one without {@link #changed}, if there is none now. */
    long dueNs(long nowNs);
  }

  /** One piece of work; runs without the lock. */
  interface Job {
    /**
     * Does it.
     *
     * @throws InterruptedException if the workers are being stopped
     */
    void run(WorkerBuffer buffer) throws InterruptedException;
  }

  private final int countMax;
  private final Jobs jobs;
  private final Supplier<WorkerBuffer> buffers;
  private final Ticker ticker;
  private final Lock lock;
  private final Condition changed;

  /** All guarded by the lock. By number. */
  private final Map<Integer, Thread> workers = new TreeMap<>();

  private int idleCount;
  private boolean stopped;

  /**
   * @param lock guards the jobs as well
   */
  FetchWorkers(int countMax, Jobs jobs, Supplier<WorkerBuffer> buffers, Ticker ticker, Lock lock) {
    this.countMax = countMax;
    this.jobs = jobs;
    this.buffers = buffers;
    this.ticker = ticker;
    this.lock = lock;
    this.changed = lock.newCondition();
  }

  /** There may be work, or its time has changed. The lock is held. */
  void changed() {
    if (stopped) {
      return;
    }
    long nowNs = ticker.nowNs();
    if (idleCount > 0) {
      changed.signal();
    } else if (workers.size() < countMax
        && (jobs.ready(nowNs) || jobs.dueNs(nowNs) != Ticker.NEVER)) {
      // All are busy, perhaps for long: for a job whose time is known, too, somebody has to stay.
      add();
    }
  }

  /** Asks all workers to end and takes no more work. */
  void stop() {
    lock.lock();
    try {
      stopped = true;
      workers.values().forEach(Thread::interrupt);
    } finally {
      lock.unlock();
    }
  }

  /** Waits for stopped workers to end; false if some are still at it. */
  boolean join(Deadline deadline) throws InterruptedException {
    List<Thread> left;
    lock.lock();
    try {
      left = new ArrayList<>(workers.values());
    } finally {
      lock.unlock();
    }
    boolean ended = true;
    for (Thread worker : left) {
      ended &= deadline.join(worker);
    }
    return ended;
  }

  /** Threads at this moment. The lock is held. */
  int count() {
    return workers.size();
  }

  private void add() {
    int number = 0;
    while (workers.containsKey(number)) {
      number++;
    }
    int own = number;
    Thread worker = new Thread(() -> work(own), "fetch-" + number);
    worker.setDaemon(true);
    try {
      worker.start();
      workers.put(number, worker);
    } catch (OutOfMemoryError e) {
      // No more threads for this process. With one there is progress; without, none ever.
      if (workers.isEmpty()) {
        throw e;
      }
      LOG.warn("no thread for one more fetch at once than {}: {}", workers.size(), e.getMessage());
    }
  }

  private void work(int number) {
    try (WorkerBuffer buffer = buffers.get()) {
      Optional<Job> job = take(number);
      while (job.isPresent()) {
        job.get().run(buffer);
        job = take(number);
      }
    } catch (InterruptedException e) {
      // Stopped.
    } catch (IOException e) {
      LOG.warn("a stripe's buffer was not given back: {}", e.getMessage());
    } finally {
      end(number);
    }
  }

  private void end(int number) {
    lock.lock();
    try {
      workers.remove(number, Thread.currentThread());
    } finally {
      lock.unlock();
    }
  }

  /** The next job; empty when the worker shall end. */
  private Optional<Job> take(int number) throws InterruptedException {
    lock.lockInterruptibly();
    try {
      long endNs = ticker.nowNs() + IDLE_NS;
      while (!stopped) {
        long nowNs = ticker.nowNs();
        if (jobs.ready(nowNs)) {
          Job job = jobs.take(nowNs);
          changed();
          return Optional.of(job);
        }
        long dueNs = jobs.dueNs(nowNs);
        // Somebody has to stay for a job whose time is known.
        boolean needed = dueNs != Ticker.NEVER && idleCount == 0;
        if (nowNs >= endNs && !needed) {
          break;
        }
        await(nowNs >= endNs ? dueNs : Math.min(dueNs, endNs));
      }
      workers.remove(number, Thread.currentThread());
      return Optional.empty();
    } finally {
      lock.unlock();
    }
  }

  @SuppressWarnings("WaitNotInLoop") // The caller loops.
  private void await(long untilNs) throws InterruptedException {
    idleCount++;
    try {
      ticker.await(lock, changed, untilNs);
    } finally {
      idleCount--;
    }
  }
}
