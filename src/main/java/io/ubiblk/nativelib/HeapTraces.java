// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.nativelib;

import java.lang.ref.WeakReference;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.atomic.AtomicReference;

/**
 * Overwrites what the load of secrets leaves in the heap as garbage: texts of the parser, buffers
 * of the base64 codec, the KEK's schedule inside of JCA's cipher. None of these can be zeroed by
 * whoever used them, and a collection frees memory without clearing it.
 *
 * <p>{@link #expect} empties the space in which objects are made, so that all of the load lies
 * there, unless it is collected meanwhile. {@link #clear} fills that space several times over. Each
 * time with objects of another size, since some memory is left out where thread-local buffers and
 * the space end. If there was a collection in between, objects may have been copied to elsewhere,
 * and the other spaces are filled as well.
 *
 * <p>This is made for the serial collector with the small heap that the launcher sets. With another
 * one it does no harm, and less good: in a heap of its full size it fills no more than half of
 * that, so some may be left. One thread calls both methods.
 */
public final class HeapTraces {
  private static final int MIB = 1 << 20;

  /** Sizes of the arrays of each round; the first one does not fit into a thread's buffer. */
  private static final int[] ROUND_BYTES = {512 << 10, 48 << 10, 3 << 10, 600};

  /** More than a survivor space of the launcher's heap, in pieces that leave little at its end. */
  private static final int SURVIVOR_BYTES = 2 * MIB;

  private static final int SURVIVOR_PIECE_BYTES = 496;

  private static final int OLD_PIECE_BYTES = 32 << 10;

  private static final int FULL_COLLECTIONS = 4;

  /** Heaps larger than what the launcher sets are not filled to their end. */
  private static final int FILLED_BYTES_MAX = 64 * MIB;

  /** An array made by {@link #expect}, which the next collection moves. */
  private static byte[] witness = {};

  private static long witnessAddress;

  /** The newest array, so that no compiler leaves one out. */
  private static final AtomicReference<byte[]> NEWEST = new AtomicReference<>();

  private HeapTraces() {}

  /** Secrets will be read next. The library must be loaded. */
  public static void expect() {
    fillEden(ROUND_BYTES[0]);
    witness = new byte[1];
    witnessAddress = addressOf(witness);
  }

  /** Nothing that is reachable has a secret any more. */
  public static void clear() {
    if (addressOf(witness) != witnessAddress) {
      fillSurvivors();
      fillOld();
    }
    for (int bytes : ROUND_BYTES) {
      fillEden(bytes);
    }
    NEWEST.set(null);
  }

  /** Fills the space of new objects to its end, and a little of it once more. */
  private static void fillEden(int arrayBytes) {
    WeakReference<Object> collected = new WeakReference<>(new Object());
    long filled = 0;
    while (collected.get() != null && filled < FILLED_BYTES_MAX) {
      NEWEST.set(new byte[arrayBytes]);
      filled += arrayBytes;
    }
  }

  /** Each of the two survivor spaces takes what is alive at every other collection. */
  private static void fillSurvivors() {
    for (int i = 0; i < 2; i++) {
      List<byte[]> alive = new ArrayList<>();
      for (int bytes = 0; bytes < SURVIVOR_BYTES; bytes += SURVIVOR_PIECE_BYTES) {
        alive.add(new byte[SURVIVOR_PIECE_BYTES]);
      }
      fillEden(ROUND_BYTES[0]);
      NEWEST.set(alive.get(0));
    }
  }

  /** Fills the old space until the heap grows; what it grew by, later collections give back. */
  private static void fillOld() {
    // Three of four full collections leave some garbage where it is, if moving it is not worth it.
    for (int i = 0; i < FULL_COLLECTIONS; i++) {
      System.gc();
    }
    long total = Runtime.getRuntime().totalMemory();
    List<byte[]> alive = new ArrayList<>();
    while (Runtime.getRuntime().totalMemory() <= total
        && (long) alive.size() * OLD_PIECE_BYTES < FILLED_BYTES_MAX / 2
        && isHalfFree()) {
      alive.add(new byte[OLD_PIECE_BYTES]);
      NEWEST.set(alive.get(0));
    }
    alive.clear();
    System.gc();
  }

  /** Whether more can be kept alive. The JVM ends a process whose heap does not suffice. */
  private static boolean isHalfFree() {
    Runtime jvm = Runtime.getRuntime();
    return jvm.totalMemory() - jvm.freeMemory() < jvm.maxMemory() / 2;
  }

  /** Where the array lies now. */
  private static native long addressOf(byte[] array);
}
