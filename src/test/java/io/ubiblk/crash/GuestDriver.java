// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.crash;

import io.ubiblk.nativelib.CrashRecorder;
import io.ubiblk.nativelib.GuestQueue;
import io.ubiblk.nativelib.NativeDevice;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.concurrent.TimeUnit;

/**
 * The guest: makes random requests on all queues, checks what it reads, and writes down in the
 * history and in the record what it did. It never has two requests to one sector at once unless
 * both read. One thread.
 */
final class GuestDriver implements AutoCloseable {
  private static final int SECTORS_MAX = 160;
  private static final int SLOT_BYTES = SECTORS_MAX * CrashSetup.SECTOR_BYTES;
  private static final long PATIENCE_NS = TimeUnit.SECONDS.toNanos(60);

  /** A request between its start and its end. */
  private record Request(int kind, int sector, int count, int begunAt, GuestHistory.Write write) {
    boolean collidesWith(int otherKind, int otherSector, int otherCount) {
      return (kind == GuestQueue.WRITE || otherKind == GuestQueue.WRITE)
          && sector < otherSector + otherCount
          && otherSector < sector + count;
    }
  }

  private final CrashSetup setup;
  private final GuestHistory history;
  private final GuestProgress progress;
  private final Random random;
  private final List<GuestQueue> queues = new ArrayList<>();
  private final List<Request[]> slots = new ArrayList<>();
  private final ByteBuffer memory;

  private int lastMark;
  private int inFlight;
  private boolean durable;

  GuestDriver(CrashSetup setup, NativeDevice device, GuestHistory history, GuestProgress progress)
      throws IOException {
    this.setup = setup;
    this.history = history;
    this.progress = progress;
    this.random = new Random(setup.seed() + 1);
    this.durable = setup.writeThrough();
    memory = ByteBuffer.allocateDirect(setup.queueCount() * CrashSetup.QUEUE_SIZE * SLOT_BYTES);
    for (int queue = 0; queue < setup.queueCount(); queue++) {
      queues.add(GuestQueue.open(device, queue));
      slots.add(new Request[CrashSetup.QUEUE_SIZE]);
    }
  }

  /**
   * Does everything there is to do, and waits for all of it to end.
   *
   * @param faults turns the failures of the setup on and off
   */
  void run(FaultSwitch faults) throws Violation {
    faults.turn(setup.faults().always());
    for (int i = 0; i < setup.requestCount(); i++) {
      if (random.nextInt(20) == 0) {
        faults.turn(random.nextBoolean() || setup.faults().always());
      }
      if (random.nextInt(25) == 0 && !setup.writeThrough()) {
        changeCacheMode();
      }
      startOne();
      goOn();
    }
    faults.turn(false);
    drain();
  }

  private void startOne() throws Violation {
    int queue = random.nextInt(queues.size());
    int share = random.nextInt(100);
    int kind =
        share < setup.writeShare()
            ? GuestQueue.WRITE
            : share < 90 ? GuestQueue.READ : GuestQueue.FLUSH;
    int count = kind == GuestQueue.FLUSH ? 0 : sectorCount();
    int sector = kind == GuestQueue.FLUSH ? 0 : sector(count);
    if (!collides(kind, sector, count)) {
      start(queue, freeSlot(queue), kind, sector, count);
    }
  }

  private int sector(int count) {
    int first = setup.firstStripe() * CrashSetup.STRIPE_SECTORS;
    return first + random.nextInt(setup.diskSectors() - first - count + 1);
  }

  private int sectorCount() {
    return switch (random.nextInt(8)) {
      case 0 -> 1;
      case 1, 2, 3 -> 1 + random.nextInt(8);
      case 4, 5 -> 1 + random.nextInt(CrashSetup.STRIPE_SECTORS);
      case 6 -> CrashSetup.STRIPE_SECTORS;
      default -> 1 + random.nextInt(SECTORS_MAX);
    };
  }

  private boolean collides(int kind, int sector, int count) {
    for (Request[] ofQueue : slots) {
      for (Request request : ofQueue) {
        if (request != null && request.collidesWith(kind, sector, count)) {
          return true;
        }
      }
    }
    return false;
  }

  private int freeSlot(int queue) throws Violation {
    long deadlineNs = System.nanoTime() + PATIENCE_NS;
    while (true) {
      Request[] ofQueue = slots.get(queue);
      int first = random.nextInt(ofQueue.length);
      for (int i = 0; i < ofQueue.length; i++) {
        int slot = (first + i) % ofQueue.length;
        if (ofQueue[slot] == null) {
          return slot;
        }
      }
      await(deadlineNs);
    }
  }

  private void start(int queue, int slot, int kind, int sector, int count) {
    int position = position(queue, slot);
    int begunAt = mark();
    GuestHistory.Write write = null;
    if (kind == GuestQueue.WRITE) {
      write = history.begin(sector, count, begunAt);
      Stamps.fill(memory, position, sector, count, write.stamp);
    }
    slots.get(queue)[slot] = new Request(kind, sector, count, begunAt, write);
    inFlight++;
    queues.get(queue).start(slot, kind, sector, memory, position, count * CrashSetup.SECTOR_BYTES);
  }

  private static int position(int queue, int slot) {
    return (queue * CrashSetup.QUEUE_SIZE + slot) * SLOT_BYTES;
  }

  /** Gathers a batch, or looks what has ended, or gives the others time. */
  private void goOn() throws Violation {
    int share = random.nextInt(32);
    if (share == 0) {
      drain();
    } else if (share < 8) {
      collect();
      queues.get(0).await(TimeUnit.MICROSECONDS.toNanos(random.nextInt(500)));
    }
    if (share < 24) {
      collect();
    }
  }

  private void drain() throws Violation {
    long deadlineNs = System.nanoTime() + PATIENCE_NS;
    collect();
    while (inFlight > 0) {
      await(deadlineNs);
    }
  }

  private void await(long deadlineNs) throws Violation {
    if (System.nanoTime() > deadlineNs) {
      throw new Violation(Violation.Kind.BROKEN, inFlight + " requests do not end");
    }
    for (GuestQueue queue : queues) {
      queue.await(TimeUnit.MICROSECONDS.toNanos(500));
    }
    collect();
  }

  private void collect() throws Violation {
    for (int queue = 0; queue < queues.size(); queue++) {
      queues.get(queue).step();
      for (long done = queues.get(queue).nextDone(); done >= 0; ) {
        ended(queue, (int) (done >>> 32), (int) done);
        done = queues.get(queue).nextDone();
      }
    }
  }

  private void ended(int queue, int slot, int result) throws Violation {
    Request request = slots.get(queue)[slot];
    slots.get(queue)[slot] = null;
    inFlight--;
    int at = mark();
    if (result != 0 && (request.kind == GuestQueue.READ || !setup.faults().failsRequests())) {
      throw new Violation(
          Violation.Kind.BROKEN,
          "a request of kind %d ends with %d".formatted(request.kind, result));
    } else if (request.kind == GuestQueue.READ) {
      check(request, position(queue, slot));
    } else if (result == 0 && request.kind == GuestQueue.FLUSH) {
      history.flushed(request.begunAt, at);
    } else if (result == 0) {
      request.write.succeededAt = at;
      request.write.durableAt = durable ? at : request.write.durableAt;
      progress.writeSucceeded();
    }
  }

  private void check(Request request, int position) throws Violation {
    for (int i = 0; i < request.count; i++) {
      history.checkRead(memory, position + i * CrashSetup.SECTOR_BYTES, request.sector + i);
    }
  }

  /** Off: writes that have succeeded before are durable then, and those that succeed later, too. */
  private void changeCacheMode() throws Violation {
    if (durable) {
      durable = false;
      queues.get(0).setWriteBack(true);
      return;
    }
    int before = mark();
    boolean synced = true;
    for (GuestQueue queue : queues) {
      synced &= queue.setWriteBack(false);
    }
    if (synced) {
      history.flushed(before, mark());
      durable = true;
    } else if (!setup.faults().failsRequests()) {
      throw new Violation(Violation.Kind.BROKEN, "the cache could not be turned off");
    }
  }

  private int mark() {
    CrashRecorder.mark(++lastMark);
    return lastMark;
  }

  @Override
  public void close() {
    queues.forEach(GuestQueue::close);
  }

  /** Failures of what is below the guest. */
  interface FaultSwitch {
    /** Lets things fail, or work. */
    void turn(boolean on);
  }
}
