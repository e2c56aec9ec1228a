// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.nativelib;

import java.io.IOException;
import java.lang.ref.Cleaner;
import java.util.List;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.locks.ReadWriteLock;
import java.util.concurrent.locks.ReentrantReadWriteLock;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * A native object, from its making to its close.
 *
 * <p>Any thread may use it; close waits for uses in progress, and every later use fails at once
 * with {@link IllegalStateException} instead of touching freed memory. What native code keeps of
 * another object is declared by naming that object as {@code kept}: it refuses to be closed first.
 * Close is the rule; the cleaner only logs what was forgotten, because nothing tells it a safe
 * order to free in.
 */
public abstract class NativeHandle implements AutoCloseable {
  private static final Logger LOG = LoggerFactory.getLogger(NativeHandle.class);
  private static final Cleaner CLEANER = Cleaner.create();

  private final ReadWriteLock lock = new ReentrantReadWriteLock();
  private final Pointer pointer;
  private final List<NativeHandle> kept;
  private final AtomicInteger keeperCount = new AtomicInteger();

  NativeHandle(String name, long address, NativeHandle... kept) {
    this.pointer = new Pointer(name, address);
    this.kept = List.of(kept);
    this.kept.forEach(handle -> handle.keeperCount.incrementAndGet());
    CLEANER.register(this, pointer);
  }

  /** Ends the native object. Called once, with no use in progress. */
  abstract void destroy(long address) throws IOException;

  /** Lends the address for one call. */
  final <R, E extends Exception> R use(Use<R, E> use) throws E {
    // Not lock(): closing may take as long as the guest's last requests.
    if (!lock.readLock().tryLock()) {
      throw new IllegalStateException(pointer.name + " is being closed");
    }
    try {
      return use.with(openAddress());
    } finally {
      lock.readLock().unlock();
    }
  }

  /** Ends the native object; a second call does nothing. */
  @Override
  public void close() throws IOException {
    lock.writeLock().lock();
    try {
      if (pointer.address == 0) {
        return;
      }
      checkNotKept();
      long address = pointer.address;
      forget();
      destroy(address);
    } finally {
      lock.writeLock().unlock();
    }
  }

  /** Refuses what may only be done when nothing keeps this any more. */
  final void checkNotKept() {
    if (keeperCount.get() != 0) {
      throw new IllegalStateException(pointer.name + " is still in use");
    }
  }

  private void forget() {
    pointer.address = 0;
    kept.forEach(handle -> handle.keeperCount.decrementAndGet());
  }

  private long openAddress() {
    if (pointer.address == 0) {
      throw new IllegalStateException(pointer.name + " is closed");
    }
    return pointer.address;
  }

  /** What is done with an address while it is lent. */
  interface Use<R, E extends Exception> {
    R with(long address) throws E;
  }

  /** The cleaner's view; does not refer to the handle. */
  private static final class Pointer implements Runnable {
    private final String name;
    private volatile long address;

    Pointer(String name, long address) {
      this.name = name;
      this.address = address;
    }

    @Override
    public void run() {
      if (address != 0) {
        LOG.warn("{} was never closed", name);
      }
    }
  }
}
