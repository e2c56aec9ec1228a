// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.stripe;

import io.ubiblk.metadata.StripeFlags;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.ArrayDeque;
import java.util.Arrays;
import java.util.Deque;
import java.util.Optional;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.function.BooleanSupplier;

/** A lazy disk over memory, its guests, and a clock that stands still. */
final class LazyFixture implements AutoCloseable {
  static final int SOURCE = StripeFlags.HAS_SOURCE;
  static final int FETCHED = StripeFlags.HAS_SOURCE | StripeFlags.FETCHED;
  static final int WRITTEN = FETCHED | StripeFlags.WRITTEN;

  final Faults faults = new Faults();
  final ManualTicker ticker = new ManualTicker();
  final AtomicInteger buffers = new AtomicInteger();
  final AtomicInteger buffersMax = new AtomicInteger();
  final AtomicInteger completed = new AtomicInteger();
  final Misses misses = new Misses();
  final MemoryDisk disk;
  final MemorySource source;
  private volatile boolean outOfMemory;
  private Optional<LazyDisk> lazy = Optional.empty();

  LazyFixture(int... flags) {
    disk = new MemoryDisk(faults, flags);
    int end = flags.length;
    while (end > 0 && (flags[end - 1] & SOURCE) == 0) {
      end--;
    }
    source = new MemorySource(faults, end, end == flags.length);
  }

  /** Stripes that have to be fetched, and a last one without source. */
  static LazyFixture unfetched(int count) {
    int[] flags = new int[count + 1];
    Arrays.fill(flags, 0, count, SOURCE);
    return new LazyFixture(flags);
  }

  static LazyDiskSettings settings(boolean trackWritten, boolean autofetch, int concurrency) {
    return new LazyDiskSettings(trackWritten, autofetch, concurrency, 1 << 20, 10_000);
  }

  LazyFixture start(LazyDiskSettings settings) throws IOException {
    return start(settings, Optional.of(source));
  }

  LazyFixture start(LazyDiskSettings settings, Optional<StripeSource> from) throws IOException {
    lazy =
        Optional.of(
            LazyDisk.start(
                settings,
                disk,
                MemoryDisk.FORMAT,
                misses,
                from,
                this::allocate,
                completed::incrementAndGet,
                new Surroundings(ticker, () -> 0)));
    return this;
  }

  private StripeBuffer allocate(String what, int bytes) throws IOException {
    faults.happen("allocate " + what);
    if (outOfMemory) {
      throw new OutOfMemoryError("none left");
    }
    buffersMax.accumulateAndGet(buffers.incrementAndGet(), Math::max);
    return new StripeBuffer(ByteBuffer.allocateDirect(bytes), buffers::decrementAndGet);
  }

  /** From now on there is no memory, or there is. */
  void outOfMemory(boolean value) {
    outOfMemory = value;
  }

  LazyDisk lazy() {
    return lazy.orElseThrow();
  }

  void read(int stripe) {
    disk.ask(stripe, StripeFlags.READ_ASKED);
    misses.offer(StripeMisses.READ, stripe);
  }

  void write(int stripe) {
    disk.ask(stripe, StripeFlags.WRITE_ASKED);
    misses.offer(StripeMisses.WRITE, stripe);
  }

  void untilFlags(int stripe, int flags) {
    Eventually.until(
        "stripe %d with flags %02x".formatted(stripe, flags), () -> disk.flags(stripe) == flags);
  }

  void untilHeld(String event) {
    Eventually.until(event, () -> faults.isHolding(event));
  }

  void untilFailed(int count) {
    Eventually.until(count + " failing", () -> lazy().progress().retrying() == count);
  }

  /** Lets time pass in steps until something is so. */
  void passTimeUntil(String what, BooleanSupplier condition) {
    Eventually.until(
        what,
        () -> {
          ticker.advanceMs(1000);
          return condition.getAsBoolean();
        });
  }

  @Override
  public void close() {
    lazy.ifPresent(LazyDisk::close);
  }

  /** What queues tell. */
  static final class Misses implements StripeMisses {
    private final Deque<int[]> waiting = new ArrayDeque<>();
    private boolean closed;

    synchronized void offer(int kind, int stripe) {
      waiting.add(new int[] {kind, stripe});
      notifyAll();
    }

    @Override
    public synchronized int await(ByteBuffer batch, int max) {
      try {
        while (waiting.isEmpty() && !closed) {
          wait();
        }
      } catch (InterruptedException e) {
        throw new AssertionError(e);
      }
      if (closed) {
        return -108;
      }
      int count = 0;
      for (; count < max && !waiting.isEmpty(); count++) {
        int[] miss = waiting.remove();
        batch.putInt(count * ENTRY_BYTES, miss[0]);
        batch.putInt(count * ENTRY_BYTES + Integer.BYTES, miss[1]);
      }
      return count;
    }

    @Override
    public synchronized void close() {
      closed = true;
      notifyAll();
    }
  }
}
