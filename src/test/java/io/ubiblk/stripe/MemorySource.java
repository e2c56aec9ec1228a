// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.stripe;

import java.io.IOException;
import java.nio.ByteBuffer;

/**
 * A source whose reads fail and stall as {@link Faults} says. Events: {@code read N}, {@code
 * close}.
 */
final class MemorySource implements StripeSource {
  private final Faults faults;
  private final int stripeCount;
  private final boolean wholeDisk;
  private int readers;
  private int readersMax;
  private boolean deaf;
  private Exception breakage;

  MemorySource(Faults faults, int stripeCount, boolean wholeDisk) {
    this.faults = faults;
    this.stripeCount = stripeCount;
    this.wholeDisk = wholeDisk;
  }

  /** Reads that stall do not notice interrupts. */
  synchronized void ignoreInterrupts() {
    deaf = true;
  }

  /** The next read throws this: a runtime exception, or an interrupt that nobody sent. */
  synchronized void breakNext(Exception exception) {
    breakage = exception;
  }

  private synchronized void breakIfDue() throws InterruptedException {
    Exception due = breakage;
    breakage = null;
    if (due instanceof RuntimeException exception) {
      throw exception;
    } else if (due instanceof InterruptedException exception) {
      throw exception;
    }
  }

  /** Most reads at the same time. */
  synchronized int readersMax() {
    return readersMax;
  }

  synchronized int readers() {
    return readers;
  }

  @Override
  public long byteLength() {
    int missing = wholeDisk ? MemoryDisk.STRIPE_BYTES - MemoryDisk.LAST_BYTES : 0;
    return (long) stripeCount * MemoryDisk.STRIPE_BYTES - missing;
  }

  @Override
  public boolean has(int stripe) {
    return stripe < stripeCount;
  }

  @Override
  public void read(int stripe, ByteBuffer into) throws IOException, InterruptedException {
    boolean interruptible;
    synchronized (this) {
      interruptible = !deaf;
      readersMax = Math.max(readersMax, ++readers);
    }
    try {
      if (interruptible) {
        faults.happenInterruptibly("read " + stripe);
      } else {
        faults.happen("read " + stripe);
      }
      breakIfDue();
      into.put(MemoryDisk.content(stripe), 0, into.remaining());
    } finally {
      synchronized (this) {
        readers--;
      }
    }
  }

  @Override
  public String describe() {
    return "memory";
  }

  @Override
  public void close() throws IOException {
    faults.happen("close");
  }
}
